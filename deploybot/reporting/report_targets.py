"""The report targets that bot.toml configures, by their names in the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from deploybot.events.deployment_reports import TRACES, forge_target
from deploybot.ports import ChatFinding, Store
from deploybot.reporting.gitea_reporter import GiteaReporter
from deploybot.reporting.github_reporter import GitHubReporter
from deploybot.reporting.gitlab_reporter import GitLabReporter
from deploybot.reporting.report_http import Caller
from deploybot.reporting.report_worker import ReportTarget
from deploybot.reporting.signed_calls import SignedCallTarget
from deploybot.settings import ForgeSettings, Settings
from deploybot.settings.forge_settings import api_of


def targets(
    settings: Settings, caller: Caller, store: Store, mask: Callable[[str], str] = str
) -> dict[str, ReportTarget]:
    """Return all report targets by name. `mask` removes secrets from a text.

    Raises ConfigError for a secret that cannot sign, or if a package for traces is not installed.
    """
    made: dict[str, ReportTarget] = {}
    for name, app in settings.apps.items():
        if app.forge is not None and (place := api_of(app, app.forge)):
            made[forge_target(name)] = _forge(caller, app.forge, *place)
    for name, one in settings.outgoing.items():
        made[f"outgoing:{name}"] = SignedCallTarget(caller, f"outgoing.{name}", one.url, one.secret.reveal())
    if settings.otel is not None:
        from deploybot.reporting.otel_traces import Traces  # noqa: PLC0415  seven megabytes, and an optional extra

        made[TRACES] = Traces(caller, settings.otel, store, mask)
    return made


def _forge(caller: Caller, forge: ForgeSettings, url: str, repository: str) -> ReportTarget:
    token = forge.token.reveal()
    if forge.kind == "github":
        return GitHubReporter(caller, url, repository, token)
    if forge.kind == "gitlab":
        return GitLabReporter(caller, url, repository, token)
    return GiteaReporter(caller, url, repository, token, forge.kind.capitalize())


def tries(settings: Settings, store: Store) -> dict[str, AsyncIterator[ChatFinding]]:
    """Return the check of each target, by name. Each has its own connections, closed at its end."""
    return {_shown(name): _try(settings, store, name) for name in targets(settings, Caller(), store)}


def _shown(name: str) -> str:
    """Return a target's name for people: `forge of shop`, `outgoing board`, `traces`."""
    kind, _, rest = name.partition(":")
    return "traces" if kind == TRACES else f"forge of {rest}" if kind == "forge" else f"{kind} {rest}"


async def _try(settings: Settings, store: Store, name: str) -> AsyncIterator[ChatFinding]:
    caller = Caller()
    try:
        async for found in targets(settings, caller, store)[name].check():
            yield found
    finally:
        await caller.close()
