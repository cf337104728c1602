"""Compute the values of each step of a deployment and run it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.registry_logins import registry_values
from deploybot.deployments.release_verification import as_restored, as_verified
from deploybot.deployments.retention import with_requested
from deploybot.deployments.step_runner import StepRunner, Work
from deploybot.deployments.target_inspection import Inspector, going_back, step_values
from deploybot.domain import (
    NO_RELEASE,
    Deployment,
    Kind,
    Manifest,
    ManifestRow,
    Observed,
    Phase,
    Plan,
    Release,
    ServerPlan,
    Step,
    StepRow,
)
from deploybot.errors import UserError
from deploybot.ports import Clock, Site, Store, Strategy, Tables
from deploybot.settings import App, Environment, Settings
from deploybot.strategies.release_values import lacking_values

UP = "up"
RESTORE = "restore"
PRUNE = "prune"


class Executor:
    """Runs single steps of deployments. Values that depend on the observed state are computed right before a start."""

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
        self,
        deployment: Deployment,
        phase: Phase,
        part: ServerPlan,
        numbered: tuple[int, Step],
        stop: CancellationWatch,
    ) -> StepRow:
        """Run one step of a server's plan to its end. Raises what `StepRunner.run` raises."""
        position, step = numbered
        app, environment = self.target(deployment)

        async def values() -> Mapping[str, str]:
            bound = await self._bound(deployment, part, step) if step.bind else {}
            lacking = lacking_values(step, (deployment.plan.release, *deployment.plan.replaced))
            known = {**lacking, **step_values(app, environment, step), **bound}
            return {**known, **registry_values(self._settings.registries, app, step, known)}

        work = Work(
            deployment=deployment,
            app=app,
            phase=phase,
            server=part.server,
            position=position,
            step=step,
            values=values,
            careful=part.optional and phase is Phase.FORWARD,
        )
        return await self._steps.run(work, stop)

    def target(self, deployment: Deployment) -> tuple[App, Environment]:
        """Return the app, as it is in the environment of a deployment, and that environment."""
        app = self._settings.apps[deployment.plan.app].at(deployment.plan.environment)
        return app, app.environments[deployment.plan.environment]

    async def clean_up(self, deployment: Deployment, part: ServerPlan) -> None:
        """Run the clean-up of a server. No plan is made there meanwhile: it might need what is deleted."""
        app, _ = self.target(deployment)
        async with self._inspector.turn(part.server, app.bot_folder):
            for numbered in enumerate(part.cleanup):
                await self.run(deployment, Phase.CLEANUP, part, numbered, CancellationWatch())

    def has_server(self, name: str) -> bool:
        """Return whether bot.toml has a server."""
        return name in self._settings.servers

    def missing(self, deployment: Deployment, *, without: Collection[str] = ()) -> str:
        """Return what bot.toml lacks to continue a deployment: its target, or servers; empty if it has everything.

        Servers that are left out may be gone.
        """
        return lost_from(self._settings, deployment.plan, without=without)

    async def manifest(self, deployment: Deployment, part: ServerPlan) -> Manifest:
        """Return what the new release is recorded to run on a server; without services if nothing is recorded."""
        found = await self._store.read(lambda tables: recorded(tables, deployment.plan, part))
        return found.manifest if found else Manifest()

    async def note_verified(self, deployment: Deployment, phase: Phase, part: ServerPlan, seen: Observed) -> None:
        """Add what was seen to run during verification to the record of the release, or of the restored one."""
        # A restart keeps what a person did by hand, and does not make it the release.
        effects = part.effects if deployment.plan.kind is not Kind.RESTART else ()

        def note(tables: Tables) -> None:
            found = recorded(tables, deployment.plan, part)
            if found is not None:
                tables.manifests.put(dataclasses.replace(found, manifest=as_verified(found.manifest, seen, effects)))

        def note_restored(tables: Tables) -> None:
            if part.replaces is not None and part.before is not None:
                restored = as_restored(part.before, seen)
                tables.manifests.put(self._attempt(deployment, part, part.replaces, restored))

        await self._store.write(note if phase is Phase.FORWARD else note_restored)

    async def _bound(self, deployment: Deployment, part: ServerPlan, step: Step) -> Mapping[str, str]:
        app, environment = self.target(deployment)
        plan = deployment.plan
        strategy = self._strategies[app.strategy]
        site = await self._inspector.site(app, environment, part.server, remove_orphans=plan.remove_orphans)
        if step.bind == PRUNE:
            planned = dict(step.env)["DEPLOYBOT_KEEP"].split("\n")
            stay = await self._store.read(lambda tables: with_requested(tables, plan.app, planned))
            keep = {"DEPLOYBOT_KEEP": "\n".join(stay)}
            step = dataclasses.replace(step, env=tuple(sorted({**dict(step.env), **keep}.items())))
            return {**keep, **strategy.bind(step, site, plan.release)}
        if step.bind == RESTORE:
            release = NO_RELEASE if part.is_link_restored else part.replaces or NO_RELEASE
            site = dataclasses.replace(site, manifests={**site.manifests, release.id: part.before or Manifest()})
            return strategy.bind(step, await self._inspector.ask(going_back(site, release), release), release)
        if plan.kind is Kind.ROLLBACK:
            site = going_back(site, plan.release, part.configuration)
        site = await self._inspector.ask(site, plan.release)
        if step.bind != UP:
            return strategy.bind(step, site, plan.release)
        if not part.made and plan.release.id not in site.manifests:
            raise UserError(f"The images that {plan.release} ran on {part.server} are not recorded: deploy it again.")
        manifest = await self._manifest(site, plan.release, made=part.made)
        row = self._attempt(deployment, part, plan.release, manifest)
        await self._store.write(lambda tables: tables.manifests.put(row))
        manifests = {**site.manifests, plan.release.id: manifest}
        return strategy.bind(step, dataclasses.replace(site, manifests=manifests), plan.release)

    async def _manifest(self, site: Site, release: Release, *, made: bool) -> Manifest:
        """Return what a release is about to run: the images just `made` or recorded ones, with today's settings."""
        strategy = self._strategies[site.app.strategy]
        if made:
            images = await self._inspector.images(site, strategy.image_names(site, release))
            return strategy.manifest(site, release, images)
        known = site.manifests[release.id]
        images = {one.service: (one.image, one.digest) for one in known.services}
        return with_settings(known, strategy.manifest(site, release, images))

    def _attempt(self, deployment: Deployment, part: ServerPlan, release: Release, manifest: Manifest) -> ManifestRow:
        plan = deployment.plan
        return ManifestRow(
            app=plan.app,
            environment=plan.environment,
            server=part.server,
            release=release.id,
            manifest=manifest,
            at=self._clock.now(),
            verified=False,
        )


def lost_from(settings: Settings, plan: Plan, *, without: Collection[str] = ()) -> str:
    """Return what bot.toml lacks to carry out a plan `without` some servers; empty if it has everything."""
    app = settings.apps.get(plan.app)
    if app is None or plan.environment not in app.environments:
        return f"{plan.app}/{plan.environment}"
    return ", ".join(part.server for part in plan.servers if part.server not in {*settings.servers, *without})


def with_settings(known: Manifest, now: Manifest) -> Manifest:
    """Return a record with the settings and numbers of containers that its files yield `now`.

    They may depend on files and variables of the server that changed since.
    """
    services = []
    for one in known.services:
        found = now.of(one.service) or one
        services.append(dataclasses.replace(one, settings=found.settings, replicas=found.replicas, ends=found.ends))
    return dataclasses.replace(now, services=tuple(services))


def recorded(tables: Tables, plan: Plan, part: ServerPlan) -> ManifestRow | None:
    """Return what the release of a plan must run on a server, as it is stored; None if it is not.

    It is an attempt until it is verified. A restart must bring back what runs on each server: that may be another
    release on each, or what a failed attempt left there.
    """
    release = part.replaces if plan.kind is Kind.RESTART and part.replaces else plan.release
    rows = tables.running.get(plan.app, plan.environment)
    left = any(row.server == part.server and row.release.id == release.id and not row.healthy for row in rows)
    attempt = plan.kind is not Kind.RESTART or left
    return tables.manifests.get(plan.app, plan.environment, part.server, release.id, attempt=attempt)
