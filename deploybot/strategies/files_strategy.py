"""Strategy `files`: one folder per release, and the link `current` to the one in use.

For static sites and binaries. An optional command builds the release on the server, in its own folder. Another one
restarts what uses it.
"""

from __future__ import annotations

from deploybot.domain import Release, ServerPlan, Step
from deploybot.ports import Site
from deploybot.strategies.common_steps import Move, moves, plan
from deploybot.strategies.release_folders import Folders


class FilesStrategy(Folders):
    """ports.Strategy for `strategy = "files"`."""

    def deploy(self, site: Site, release: Release, previous: Release | None, *, back: bool = False) -> ServerPlan:
        """Return the plan: fetch and build a release that was never good there, move the link, restart."""
        del back  # a good folder is always reused
        self.check(site, release)
        there, home = moves(site, release, previous)
        command = site.app.restart or ""
        steps = (*_prepare(there), there.switch(command=command))
        restore = (home.switch("restore", command=command),) if home else ()
        return plan(site, steps, replaces=previous, restore=restore)


def _prepare(move: Move) -> tuple[Step, ...]:
    app = move.site.app
    if move.site.trusts(move.release):
        return ()
    fetch = move.fetch(built_later=bool(app.build))
    if not app.build:
        return (fetch,)
    values = {"DEPLOYBOT_COMMAND": app.build, "DEPLOYBOT_OUTPUT": app.output or ""}
    return fetch, move.step("build", "build", values)


STRATEGY = FilesStrategy()
