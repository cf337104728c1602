"""Forges as receivers: `[apps.APP.forge]` shows the app's deployments where its repository is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib import import_module

from deploybot.domain import Kind
from deploybot.events.deployment_reports import ReportedTarget
from deploybot.part_tables import FORGE_TABLE
from deploybot.reporting.reporter_port import Path, ReportReceiver, ReportTarget, ReportTools
from deploybot.settings import ForgeSettings, Settings
from deploybot.settings.forge_settings import api_of

_RELEASING = frozenset({Kind.DEPLOY, Kind.ROLLBACK})


class ForgeReporter:
    """ReporterPart for forges. Restarts and tasks release nothing, so they are not reported to them."""

    def receivers(self, settings: Settings) -> Iterator[ReportReceiver]:
        """Yield the forge of each app. No [outgoing.NAME] can have the same name in the database."""
        for name, app in settings.apps.items():
            if app.forge is not None and (place := api_of(app, app.forge)):
                yield ReportReceiver(
                    target=ReportedTarget(f"forge:{name}", frozenset({name}), _RELEASING, code=True),
                    title=f"forge of {name}",
                    connect=partial(_connect, app.forge, *place),
                )

    def problems(self, settings: Settings) -> Iterator[tuple[Path, str]]:
        """Yield forges whose API is not known."""
        for name, app in settings.apps.items():
            if app.forge is not None and app.repo and api_of(app, app.forge) is None:
                yield (
                    ("apps", name, "forge"),
                    "needs more than `repo`: give api_url and repository, such as acme/shop",
                )


def _connect(forge: ForgeSettings, url: str, repository: str, tools: ReportTools) -> ReportTarget:
    module = import_module(f"{__package__}.{FORGE_TABLE[forge.kind].module}")
    made: ReportTarget = module.forge(tools.caller, url, repository, forge.token.reveal(), forge.kind)
    return made


REPORTER = ForgeReporter()
