"""Strategy `script`: the repository's own deploy script, run from the checked-out release."""

from __future__ import annotations

from deploybot.domain import Release, ServerPlan
from deploybot.ports import Site
from deploybot.strategies.common_steps import moves, plan
from deploybot.strategies.release_folders import Folders


class ScriptStrategy(Folders):
    """ports.Strategy for `strategy = "script"`."""

    def deploy(self, site: Site, release: Release, previous: Release | None, *, back: bool = False) -> ServerPlan:
        """Fetch what was never good there, run its script, move the link; back by the previous release's script."""
        del back  # a folder that was good is used again, whoever asks for it
        self.check(site, release)
        there, home = moves(site, release, previous)
        script = site.app.script or ""
        fetch = () if site.trusts(release) else (there.fetch(built_later=False),)
        restore = (home.switch("restore", script=script),) if home else ()
        return plan(site, (*fetch, there.switch(script=script)), replaces=previous, restore=restore)
