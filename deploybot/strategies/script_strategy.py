"""Strategy `script`: the repository's own deploy script, run from the checked-out release."""

from __future__ import annotations

from deploybot.domain import Release, ServerPlan
from deploybot.ports import Site
from deploybot.strategies.common_steps import moves, plan
from deploybot.strategies.release_folders import Folders


class ScriptStrategy(Folders):
    """ports.Strategy for `strategy = "script"`."""

    def deploy(self, site: Site, release: Release, previous: Release | None, *, back: bool = False) -> ServerPlan:
        """Return the plan: fetch a release that was never good there, run its script, move the link.

        The restore runs the previous release's script.
        """
        del back  # a good folder is always reused
        self.check(site, release)
        there, home = moves(site, release, previous)
        script = site.app.script or ""
        fetch = () if site.trusts(release) else (there.fetch(built_later=False, again=not site.uses(release)),)
        restore = (home.switch("restore", script=script),) if home else ()
        return plan(site, (*fetch, there.switch(script=script)), replaces=previous, restore=restore)


STRATEGY = ScriptStrategy()
