"""Give each step of a deployment its values and run it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from deploybot.deploy.inspection import Inspector, step_values
from deploybot.deploy.steps import StepRunner, Work
from deploybot.deploy.stop import Stop
from deploybot.domain import Deployment, Manifest, Phase, Release, ServerPlan, Step, StepRow
from deploybot.errors import UserError
from deploybot.ports import Clock, Site, Store, Strategy, Tables
from deploybot.settings import App, Environment, Settings

UP = "up"
RESTORE = "restore"
PRUNE = "prune"
BEFORE = Release("")
"""Stands for what ran before the bot came: it has no commit."""


class Executor:
    """Runs single steps of deployments. Values that depend on what is observed are computed right before a start."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        steps: StepRunner,
        inspector: Inspector,
        strategies: Mapping[str, Strategy],
        clock: Clock,
    ) -> None:
        """Take the ports and parts."""
        self._settings = settings
        self._store = store
        self._steps = steps
        self._inspector = inspector
        self._strategies = strategies
        self._clock = clock

    async def run(
        self, deployment: Deployment, phase: Phase, part: ServerPlan, numbered: tuple[int, Step], stop: Stop
    ) -> StepRow:
        """Run one step of a server's plan to its end. Raises what `StepRunner.run` raises."""
        position, step = numbered
        app, environment = self.target(deployment)

        async def values() -> Mapping[str, str]:
            bound = await self._bound(deployment, part, step) if step.bind else {}
            return {**step_values(app, environment, step), **bound}

        work = Work(
            deployment=deployment,
            app=app,
            phase=phase,
            server=part.server,
            position=position,
            step=step,
            values=values,
        )
        return await self._steps.run(work, stop)

    def target(self, deployment: Deployment) -> tuple[App, Environment]:
        """Give the app and the environment of a deployment."""
        app = self._settings.apps[deployment.plan.app]
        return app, app.environments[deployment.plan.environment]

    async def manifest(self, deployment: Deployment, part: ServerPlan, release: Release) -> Manifest:
        """Give what a release is recorded to run on a server; without services where nothing is recorded."""
        if release == BEFORE:
            return part.before or Manifest()
        plan = deployment.plan
        found = await self._store.read(lambda tables: tables.manifests.all(plan.app, plan.environment, part.server))
        return found.get(release.id, Manifest())

    async def _bound(self, deployment: Deployment, part: ServerPlan, step: Step) -> Mapping[str, str]:
        app, environment = self.target(deployment)
        plan = deployment.plan
        strategy = self._strategies[app.strategy]
        site = await self._inspector.site(app, environment, part.server, remove_orphans=plan.remove_orphans)
        if step.bind == PRUNE:
            return strategy.bind(step, site, plan.release)
        if step.bind == RESTORE and part.replaces is None:
            known = dataclasses.replace(site, manifests={**site.manifests, BEFORE.id: part.before or Manifest()})
            return strategy.bind(step, known, BEFORE)
        release = plan.release if step.bind == UP or part.replaces is None else part.replaces
        site = await self._inspector.ask(site, release)
        if step.bind == UP and part.made:
            site = await self._record(deployment, site, release)
        if release.id not in site.manifests:
            raise UserError(f"Which images {release} ran on {part.server} is not recorded.", hint="Deploy it again.")
        return strategy.bind(step, site, release)

    async def _record(self, deployment: Deployment, site: Site, release: Release) -> Site:
        """Keep which images a release has that was just prepared, before anything is switched to it."""
        strategy = self._strategies[site.app.strategy]
        images = await self._inspector.images(site, strategy.image_names(site, release))
        manifest = strategy.manifest(site, release, images)
        plan, now = deployment.plan, self._clock.now()

        def keep(tables: Tables) -> None:
            tables.manifests.put(plan.app, plan.environment, site.server, release.id, manifest, now=now)

        await self._store.write(keep)
        return dataclasses.replace(site, manifests={**site.manifests, release.id: manifest})
