"""Strategy `script`: the repository's own deploy script, run from the checked-out release."""

from __future__ import annotations

from deploybot.domain import Release, ServerFacts, ServerPlan
from deploybot.settings import App, Environment
from deploybot.strategies.folders import Folders
from deploybot.strategies.needs import check_server
from deploybot.strategies.steps import Site, moves, plan


class Script(Folders):
    """ports.Strategy for `strategy = "script"`."""

    def deploy(
        self, app: App, environment: Environment, release: Release, previous: Release | None, facts: ServerFacts
    ) -> ServerPlan:
        """Fetch what is not there yet, run its script, move the link; back by the previous release's script."""
        site = Site(app=app, environment=environment, facts=facts)
        check_server(site, release)
        there, back = moves(site, release, previous)
        script = app.script or ""
        steps = (*there.fetch(built_later=False), there.switch(script=script))
        restore = (back.switch("restore", script=script),) if back else ()
        return plan(site, steps, replaces=previous, restore=restore)
