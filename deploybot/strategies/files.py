"""Strategy `files`: a folder a release, and the link `current` to the one in use.

For static sites and binaries. An optional command builds the release on the server, in its own folder; another one
restarts what uses it.
"""

from __future__ import annotations

from deploybot.domain import Release, ServerFacts, ServerPlan, Step
from deploybot.settings import App, Environment
from deploybot.strategies.folders import Folders
from deploybot.strategies.needs import check_server
from deploybot.strategies.steps import Move, Site, moves, plan


class Files(Folders):
    """ports.Strategy for `strategy = "files"`."""

    def deploy(
        self, app: App, environment: Environment, release: Release, previous: Release | None, facts: ServerFacts
    ) -> ServerPlan:
        """Fetch and build what is not there yet, then move the link and restart."""
        site = Site(app=app, environment=environment, facts=facts)
        check_server(site, release)
        there, back = moves(site, release, previous)
        command = app.restart or ""
        steps = (*there.fetch(built_later=bool(app.build)), *_build(there), there.switch(command=command))
        restore = (back.switch("restore", command=command),) if back else ()
        return plan(site, steps, replaces=previous, restore=restore)


def _build(move: Move) -> tuple[Step, ...]:
    app = move.site.app
    if not app.build or move.site.holds(move.release):
        return ()
    values = {"DEPLOYBOT_COMMAND": app.build, "DEPLOYBOT_OUTPUT": app.output or ""}
    return (move.step("build", "build", values),)
