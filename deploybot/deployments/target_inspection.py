"""Inspect a target on a server: what runs there, and what the strategy needs to know about a release's files."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Mapping
from dataclasses import replace

from deploybot.deployments.file_uploads import send_uploads
from deploybot.deployments.kept_images import RunningImages
from deploybot.deployments.local_images import insist_on_registries
from deploybot.domain import JobState, Manifest, Release, State, Step, registry_digest
from deploybot.errors import StepUnknown, Unreachable, UserError
from deploybot.observed_state import observe, runs
from deploybot.ports import RefSource, Servers, Site, Store, Strategy, Tables
from deploybot.settings import App, Environment, project_name

LOOK_BACK = 200
OBSERVE_WITHIN = 10.0
ASK_WITHIN = 60.0
GRACE = 5.0
LONGEST_ANSWER = 8 << 20
_TAIL = 15
_MOST_QUESTIONS = 5


class Inspector:
    """Inspects targets: before there is a plan, and again right before a step needs values."""

    def __init__(
        self,
        *,
        store: Store,
        servers: Servers,
        refs: RefSource,
        strategies: Mapping[str, Strategy],
        apps: Mapping[str, App] | None = None,
        ask_within: float = ASK_WITHIN,
        grace: float = GRACE,
    ) -> None:
        """Take the ports; `strategies` are keyed by their names in bot.toml, `apps` are all of bot.toml.

        A question must be answered within `ask_within` seconds. `grace` seconds are added to each time limit of a
        server.
        """
        self._store = store
        self._servers = servers
        self._refs = refs
        self._strategies = strategies
        self._apps = apps or {}
        self._ask_within = ask_within
        self._grace = grace
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}

    async def site(self, app: App, environment: Environment, server: str, *, remove_orphans: bool = False) -> Site:
        """Observe a target on a server, along with the bot's records of it. Raises Unreachable or EngineError."""
        strategy = self._strategies[app.strategy]
        seen = observe(self._servers, app, environment, server, timeout=OBSERVE_WITHIN)
        observed, ((records, good, bare), once) = await asyncio.gather(
            seen,
            self._store.read(
                lambda tables: (
                    _recorded(tables, app, environment, server),
                    self._once(tables, app, environment, server) if strategy.containers else frozenset[str](),
                )
            ),
        )
        engine = self._servers.engine(server) if strategy.containers else None
        running, ran = runs(observed, records) if strategy.containers else (observed.facts.current, None)
        if not observed.services and observed.facts.current in bare:
            running = observed.facts.current
        manifests = dict(reversed(records))
        return Site(
            app=app,
            environment=environment,
            facts=observed.facts,
            observed=observed,
            good=good,
            bare=bare,
            manifests=manifests,
            running=running,
            attempt=ran if ran != manifests.get(running) else None,
            images=await engine.images() if engine else (),
            remove_orphans=remove_orphans,
            projects=self._projects(server),
            once=once,
        )

    def _projects(self, server: str) -> frozenset[str]:
        """Return the projects that bot.toml has on a server. One of the same name elsewhere is another one."""
        there = ((app, target) for app in self._apps.values() for target in _targets(app) if server in target.servers)
        return frozenset(project_name(app, target) for app, target in there)

    def _once(self, tables: Tables, app: App, environment: Environment, server: str) -> frozenset[str]:
        """Return the releases that were deployed there, to this target or to one that bot.toml no longer has."""
        known = {(one.name, target.name) for one in self._apps.values() for target in _targets(one)}
        rows = [one for one in tables.running.all() if one.server == server] if known else []
        targets = {(app.name, environment.name)} | ({(one.app, one.environment) for one in rows} - known)
        found = (one for name, target in targets for one in tables.manifests.of_target(name, target, server))
        return frozenset(one.release for one in found)

    async def release_at(self, site: Site) -> Release | None:
        """Return the release that runs there, as the bot's records describe it; None if the bot deployed none."""
        current = site.running
        if not current:
            return None

        def look(tables: Tables) -> Release:
            app, environment = site.app.name, site.environment.name
            rows = [one.release for one in tables.running.get(app, environment) if one.server == site.server]
            # A folder does not name its images; the deployment that created it knows them.
            tried = tables.deployments.recent(app, environment, LOOK_BACK)
            begun = [one.plan.release for one in tried if one.started]
            return next((one for one in (*rows, *begun) if one.id == current), Release.by_id(current))

        return await self._store.read(look)

    async def current(self, app: App, environment: Environment) -> Release | None:
        """Return the release that runs in an environment now, from its first server that runs one of the bot's.

        Raises Unreachable if no server answers.
        """
        return next(filter(None, (await self.running(app, environment)).values()), None)

    async def running(self, app: App, environment: Environment) -> dict[str, Release | None]:
        """Return what each server runs that answers, in their order; None if that is none of the bot's.

        Raises Unreachable if no server answers.
        """
        return {server: one.release for server, one in (await self.images_there(app, environment)).items()}

    async def images_there(self, app: App, environment: Environment) -> dict[str, RunningImages]:
        """Return what each server runs that answers, in their order, as it was observed. Raises as `running`."""
        results = await asyncio.gather(
            *(self.site(app, environment, server) for server in environment.servers), return_exceptions=True
        )
        found = zip(environment.servers, results, strict=True)
        sites = {server: one for server, one in found if isinstance(one, Site)}
        if not sites:
            raise next(one for one in results if isinstance(one, BaseException))
        return {server: RunningImages(site, await self.release_at(site)) for server, site in sites.items()}

    async def study(self, site: Site, release: Release, *, again: bool = False) -> Site:
        """Bring a release's files to the server and let the strategy ask about them, if it needs that for a plan.

        `again` puts the files there once more, unless the release serves. Raises UserError with the server's output.
        """
        strategy = self._strategies[site.app.strategy]
        if strategy.ask(site, release) is None:
            return site
        strategy.check(site, release)
        async with self.turn(site.server, site.directory):
            again = again and not site.uses(release) and not await self._is_open(site, release)
            site = await self._fetch(site, release, again=again)
            return await self.ask(site, release)

    def turn(self, server: str, directory: str) -> asyncio.Lock:
        """Return the lock under which files come to an app's directory or are deleted there."""
        return self._turns.setdefault((server, directory), asyncio.Lock())

    async def named_images(self, app: App, environment: Environment, server: str) -> Mapping[str, str]:
        """Return the image of each service by the app's own files on a server.

        Nothing if releases bring all files. Raises UserError if the files cannot be used, BuiltHere, Unreachable or
        EngineError.
        """
        strategy = self._strategies[app.strategy]
        site = await self.site(app, environment, server)
        step = strategy.look(site)
        if step is None:
            return {}
        names = strategy.named_images(replace(site, answers={step.script: await self.output(site, step)}))
        insist_on_registries(site, names)
        return names

    async def ask(self, site: Site, release: Release) -> Site:
        """Run the scripts that the strategy asks for; their output is in `Site.answers`."""
        strategy = self._strategies[site.app.strategy]
        for _ in range(_MOST_QUESTIONS):
            step = strategy.ask(site, release)
            if step is None:
                break
            output = await self.output(site, step)
            site = replace(site, answers={**site.answers, step.script: output})
        return site

    async def images(self, site: Site, names: Mapping[str, str]) -> Mapping[str, tuple[str, str]]:
        """Ask the Engine for the id and the digest of images, by service. Raises UserError if one is missing."""
        engine = self._servers.engine(site.server)
        found: dict[str, tuple[str, str]] = {}
        for service, name in names.items():
            image = await engine.image(name) if engine else None
            if image is None:
                raise UserError(f"{service} has no image {name} on {site.server}.", hint="Deploy again to build it.")
            found[service] = (image.id, registry_digest(image.digests))
        return found

    async def _is_open(self, site: Site, release: Release) -> bool:
        """Return whether a deployment of the same release to the same target is in progress: its files are in use."""

        def look(tables: Tables) -> bool:
            return any(
                one.plan.release.id == release.id
                and (one.plan.app, one.plan.environment) == (site.app.name, site.environment.name)
                and one.state is not State.WAITING
                for one in tables.deployments.open()
            )

        return await self._store.read(look)

    async def _fetch(self, site: Site, release: Release, *, again: bool) -> Site:
        """Bring a release's files to a server with a detached job, without a row: nothing that serves is touched."""
        strategy = self._strategies[site.app.strategy]
        step = strategy.fetch(site, release, again=again)
        host = self._servers.host(site.server)
        job = f"plan-{secrets.token_hex(8)}"
        await send_uploads(self._refs, host, site.app, step.uploads)
        values = step_values(site.app, site.environment, step)
        try:
            status = await host.start(job, step.script, values, deadline=step.timeout)
            async with asyncio.timeout(step.timeout + self._grace):
                while status.state is JobState.RUNNING:
                    status = await host.wait(job, timeout=self._grace)
            if status.state is not JobState.DONE:
                raise StepUnknown(site.server, step.name, status.detail or status.state.value)
            if status.code:
                chunk = await host.poll(job, max(0, status.size - 4096))
                words = chunk.data.decode("utf-8", "replace").splitlines()[-_TAIL:]
                why = words[-1] if words else f"exit code {status.code}"
                if site.app.server_folder:
                    raise UserError(f"{site.server}: {why}")
                raise UserError(f"The files of {release} cannot be copied to {site.server}: {why}")
        except TimeoutError:
            raise Unreachable(site.server, f"step `{step.name}` takes longer than {step.timeout:.0f} s") from None
        await host.forget([job])
        came = (release.code,) if site.facts.git and release.code else ()
        return replace(site, facts=replace(site.facts, have=tuple(dict.fromkeys((*site.facts.have, *came)))))

    async def output(self, site: Site, step: Step) -> bytes:
        """Run a script attached and return all its output, within bounds. Raises Unreachable or StepFailed."""
        host = self._servers.host(site.server)
        whole = bytearray()
        values = step_values(site.app, site.environment, step)
        try:
            async with asyncio.timeout(self._ask_within + self._grace):
                async for piece in host.stream(step.script, values, timeout=self._ask_within):
                    whole += piece
                    if len(whole) > LONGEST_ANSWER:
                        raise Unreachable(site.server, f"{step.script} prints more than {LONGEST_ANSWER >> 20} MiB")
        except TimeoutError:
            raise Unreachable(site.server, f"{step.script} takes longer than {self._ask_within:.0f} s") from None
        return bytes(whole)


def _targets(app: App) -> Collection[Environment]:
    return app.environments.values()


def going_back(site: Site, release: Release, configuration: str = "") -> Site:
    """Return the site with the Compose files, env file and profiles that a release ran with.

    `configuration` is the hash of the configuration to bring back, if that is not the last one that it ran with.
    """
    there = site.as_recorded(site.manifests.get(release.id))
    return replace(there, configuration=configuration) if configuration else there


def step_values(app: App, environment: Environment, step: Step) -> dict[str, str]:
    """Return all values of a step, including its secrets; use them only at the moment it starts."""
    known = {**app.secrets, **environment.secrets}
    return {**dict(step.env), **{name: known[name].reveal() for name in step.secrets if name in known}}


def _recorded(
    tables: Tables, app: App, environment: Environment, server: str
) -> tuple[tuple[tuple[str, Manifest], ...], frozenset[str], frozenset[str]]:
    """Return the database's records of a target on a server, which releases were healthy, and which without containers.

    The records are releases' ids with images, verified ones first, then newest first. Releases without containers are
    of another strategy, which bot.toml had before.
    """
    rows = sorted(tables.manifests.of_target(app.name, environment.name, server), key=lambda one: not one.verified)
    records = tuple((one.release, one.manifest) for one in rows)
    good = tables.deployments.healthy(app.name, environment.name, server)
    return records, good, good - {one.release for one in rows if one.verified}
