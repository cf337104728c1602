"""Strategy `files`: one folder per release, and the link `current` to the one in use.

For static sites and binaries. An optional command builds the release on the server, in its own folder. Another one
restarts what uses it.
"""

from __future__ import annotations

from dataclasses import replace

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
        return replace(plan(site, steps, replaces=previous, restore=restore), warnings=_warnings(there))


def _prepare(move: Move) -> tuple[Step, ...]:
    app = move.site.app
    if move.site.trusts(move.release):
        return ()
    fetch = move.fetch(built_later=bool(app.build), again=not move.site.uses(move.release))
    if not app.build:
        return (fetch,)
    values = {"DEPLOYBOT_COMMAND": app.build, "DEPLOYBOT_OUTPUT": app.output or ""}
    return fetch, move.step("build", "build", values)


def _warnings(move: Move) -> tuple[str, ...]:
    """Return that a release in use is not built again, if it never succeeded: a changed `build` has no effect on it."""
    site, release = move.site, move.release
    if not site.app.build or site.trusts(release) or not (site.uses(release) and site.holds(release)):
        return ()
    return (f"{release} is in use, so it is not built again: if its build is wrong, deploy a new commit",)


STRATEGY = FilesStrategy()
