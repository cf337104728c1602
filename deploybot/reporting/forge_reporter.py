"""Forges as receivers: `[apps.APP.forge]` shows the app's deployments where its repository is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module

from deploybot.domain import Kind, ReportItem
from deploybot.events.deployment_reports import ReportedTarget
from deploybot.part_tables import FORGE_TABLE
from deploybot.ports import ChatFinding
from deploybot.reporting.reporter_port import Path, ReportReceiver, ReportTarget, ReportTools
from deploybot.settings import App, ForgeSettings, Settings
from deploybot.settings.forge_settings import api_of

_RELEASING = frozenset({Kind.DEPLOY, Kind.ROLLBACK})


class ForgeReporter:
    """ReporterPart for forges. Restarts and tasks release nothing, so they are not reported to them."""

    def receivers(self, settings: Settings) -> Iterator[ReportReceiver]:
        """Yield the forge of each app. No [outgoing.NAME] can have the same name in the database.

        Releases that are artifacts have no commit to report, and their token may not be allowed to.
        """
        for name, app in settings.apps.items():
            if app.forge is not None and app.artifact is None and (named := api_of(app, app.forge)):
                yield ReportReceiver(
                    target=ReportedTarget(f"forge:{name}", frozenset({name}), _RELEASING, code=True),
                    title=f"forge of {name}",
                    connect=partial(_connect, app.forge, *named, _shared(settings, app)),
                )

    def problems(self, settings: Settings) -> Iterator[tuple[Path, str]]:
        """Yield forges whose API is not known."""
        for name, app in settings.apps.items():
            if app.forge is not None and app.repo and api_of(app, app.forge) is None:
                yield (
                    ("apps", name, "forge"),
                    "needs more than `repo`: give api_url and repository, such as acme/shop",
                )


def _shared(settings: Settings, app: App) -> frozenset[str]:
    """Return the environments of an app that another app of the same repository also has, and reports there."""
    repository = _repository(app)
    others = [one for one in settings.apps.values() if one.name != app.name and _repository(one) == repository]
    return frozenset(name for name in app.environments if any(name in one.environments for one in others))


def _repository(app: App) -> tuple[str, str] | None:
    named = api_of(app, app.forge) if app.forge and app.artifact is None else None
    return (named[0].lower(), named[1].lower()) if named else None


class _SharedRepository:
    """A target for one of several apps of a repository. It tells their environments of one name apart.

    Otherwise the success of one app would make the other's deployment inactive, and hide its failed status.
    """

    def __init__(self, target: ReportTarget, shared: frozenset[str]) -> None:
        self._target = target
        self._shared = shared

    async def send(self, item: ReportItem) -> str:
        """See ReportTarget."""
        report = item.report
        if report.environment in self._shared:
            item = replace(item, report=replace(report, environment=f"{report.app}/{report.environment}"))
        return await self._target.send(item)

    def check(self) -> AsyncIterator[ChatFinding]:
        """See ReportTarget."""
        return self._target.check()


def _connect(
    forge: ForgeSettings, url: str, repository: str, shared: frozenset[str], tools: ReportTools
) -> ReportTarget:
    module = import_module(f"{__package__}.{FORGE_TABLE[forge.kind].module}")
    made: ReportTarget = module.forge(tools.caller, url, repository, forge.token.reveal(), forge.kind)
    return _SharedRepository(made, shared) if shared else made


REPORTER = ForgeReporter()
