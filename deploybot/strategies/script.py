"""Strategy `script`: the repository's own deploy script, run from the checked-out release."""

from __future__ import annotations

from deploybot.domain import Release, ServerFacts, ServerPlan, Step
from deploybot.settings import App, Environment
from deploybot.strategies.needs import check_server
from deploybot.strategies.steps import Site, moves, plan, prune, restart_command, standing, task_command


class Script:
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

    def restart(self, app: App, environment: Environment, release: Release, facts: ServerFacts) -> ServerPlan:
        """Run the restart command. Raises UserError where bot.toml has none."""
        site = Site(app=app, environment=environment, facts=facts)
        return plan(site, [standing(site, release).command("restart", restart_command(app))])

    def task(self, app: App, environment: Environment, release: Release, task: str, facts: ServerFacts) -> ServerPlan:
        """Run a task in the directory of the current release."""
        site = Site(app=app, environment=environment, facts=facts)
        step = standing(site, release).command(task, task_command(app, task))
        return ServerPlan(server=facts.server, steps=(step,))

    def prune(self, app: App, environment: Environment, keep: tuple[str, ...], facts: ServerFacts) -> tuple[Step, ...]:
        """Delete the folders of releases that are neither kept nor in use."""
        return prune(Site(app=app, environment=environment, facts=facts), keep)
