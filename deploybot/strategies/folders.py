"""What strategies share that keep a folder a release and the link `current`: all but how a release gets there."""

from __future__ import annotations

from deploybot.domain import Release, ServerFacts, ServerPlan, Step
from deploybot.settings import App, Environment
from deploybot.strategies.steps import Site, plan, prune, restart_command, standing, task_command


class Folders:
    """ports.Strategy without `deploy`."""

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
