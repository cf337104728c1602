"""From a wish to a plan: what would happen on every server, frozen, with a digest over all of it."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence

from deploybot.deploy.releases import LOOK_BACK, Releases
from deploybot.domain import Changes, Gate, Kind, Plan, Release, Running, ServerFacts, ServerPlan, Step, short_id
from deploybot.errors import NoImage, UserError
from deploybot.ports import Images, RefSource, Servers, Store, Strategy
from deploybot.settings import App, Environment
from deploybot.untrusted import of_one

FACTS_WITHIN = 10.0
HEALTH_STEP = "health"


def digest_of(plan: Plan) -> str:
    """The SHA-256 (hex) over everything in a plan but the digest itself, as canonical JSON."""
    content = dataclasses.asdict(dataclasses.replace(plan, digest=""))
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Planner:
    """Makes plans: asks every server for its facts at once, then the pure strategy for the steps."""

    def __init__(
        self,
        *,
        store: Store,
        servers: Servers,
        refs: RefSource,
        strategies: Mapping[str, Strategy],
        images: Images | None = None,
    ) -> None:
        """Take the ports; `strategies` by the name that bot.toml uses, `images` where an app has some."""
        self._store = store
        self._servers = servers
        self._releases = Releases(store, refs, images)
        self._strategies = strategies

    async def deploy(
        self,
        app: App,
        environment: Environment,
        release: Release,
        *,
        rollback: bool = False,
        servers: Sequence[str] = (),
    ) -> Plan:
        """Plan a release for the environment, or for some of its servers.

        Raises Unreachable when a server does not answer, UserError when one lacks what the release needs.
        """
        strategy = self._strategies[app.strategy]
        names = _chosen(app, environment, servers)
        facts, running = await self._look(app, environment, names)
        parts = []
        for name in names:
            previous = await self._previous(app, environment, facts[name], running.get(name))
            part = strategy.deploy(app, environment, release, previous, facts[name])
            keep = await self._keep(app, environment, release, previous)
            cleanup = strategy.prune(app, environment, keep, facts[name])
            parts.append(dataclasses.replace(_gated(part), server=name, cleanup=cleanup))
        plan = Plan(
            kind=Kind.ROLLBACK if rollback else Kind.DEPLOY,
            app=app.name,
            environment=environment.name,
            release=release,
            servers=tuple(parts),
            changes=await self._changes(app, parts[0].replaces, release),
            warnings=tuple(_warnings(parts, facts, running)),
        )
        return dataclasses.replace(plan, digest=digest_of(plan))

    async def restart(self, app: App, environment: Environment) -> Plan:
        """Plan to restart what runs on every server of the environment."""
        return await self._on_current(app, environment, environment.servers, Kind.RESTART)

    async def task(self, app: App, environment: Environment, task: str) -> Plan:
        """Plan a named task on the environment's first server."""
        return await self._on_current(app, environment, environment.servers[:1], Kind.TASK, task)

    async def again(self, app: App, environment: Environment, old: Plan) -> Plan:
        """The same wish as an older plan, against what is there now."""
        if old.kind is Kind.TASK:
            return await self.task(app, environment, old.task)
        if old.kind is Kind.RESTART:
            return await self.restart(app, environment)
        names = tuple(part.server for part in old.servers if part.server in environment.servers)
        rollback = old.kind is Kind.ROLLBACK
        return await self.deploy(app, environment, old.release, rollback=rollback, servers=names)

    async def meaning(self, app: App, environment: Environment, ref: str) -> Release | None:
        """The release that a ref means now; None where there is no such ref any more.

        Raises Unreachable, or NoImage where one of its images is not there any more.
        """
        try:
            return await self._releases.resolve(app, environment, ref)
        except NoImage:
            raise
        except UserError:
            return None

    async def _on_current(
        self, app: App, environment: Environment, names: Sequence[str], kind: Kind, task: str = ""
    ) -> Plan:
        strategy = self._strategies[app.strategy]
        facts, running = await self._look(app, environment, names)
        parts = []
        for name in names:
            current = await self._previous(app, environment, facts[name], running.get(name))
            if current is None:
                raise UserError(
                    f"Nothing of {app.name} runs in {environment.name} on {name} yet.",
                    hint=f"Deploy it first: deploy {app.name} to {environment.name}",
                )
            if kind is Kind.TASK:
                part = strategy.task(app, environment, current, task, facts[name])
            else:
                part = _gated(strategy.restart(app, environment, current, facts[name]))
            parts.append(dataclasses.replace(part, server=name, replaces=current))
        release = parts[0].replaces
        assert release is not None  # noqa: S101  set two lines above
        plan = Plan(
            kind=kind, app=app.name, environment=environment.name, release=release, servers=tuple(parts), task=task
        )
        return dataclasses.replace(plan, digest=digest_of(plan))

    async def _look(
        self, app: App, environment: Environment, names: Sequence[str]
    ) -> tuple[dict[str, ServerFacts], dict[str, Running]]:
        """Facts of every server and what the bot last put there; the slowest server sets the time."""
        directory = environment.directory or app.directory
        found = await asyncio.gather(*(self._facts(name, directory) for name in names))
        rows = await self._store.read(lambda tables: tables.running.get(app.name, environment.name))
        return dict(zip(names, found, strict=True)), {row.server: row for row in rows}

    async def _facts(self, name: str, directory: str) -> ServerFacts:
        """What a server is now; whatever it causes is an error that names it."""
        return await of_one(name, self._servers.host(name).facts(directory, timeout=FACTS_WITHIN))

    async def _previous(
        self, app: App, environment: Environment, facts: ServerFacts, row: Running | None
    ) -> Release | None:
        """What really is there, with the words the bot knows of it when it put it there itself."""
        if not facts.current:
            return None
        if row is not None and row.release.id == facts.current:
            return row.release
        bare = Release.by_id(facts.current)
        if not bare.found:
            return bare
        # Its folder does not tell its images; the deployment that put it there knew them.
        tried = await self._store.read(lambda tables: tables.deployments.recent(app.name, environment.name, LOOK_BACK))
        begun = (one.plan.release for one in tried if one.started)
        return next((release for release in begun if release.id == facts.current), bare)

    async def _keep(
        self, app: App, environment: Environment, release: Release, previous: Release | None
    ) -> tuple[str, ...]:
        """The ids of releases that must stay deployable: the new one, what it replaces, and the last good ones."""
        good = await self._store.read(lambda tables: tables.deployments.good(app.name, environment.name, app.keep))
        stay = [release, *([previous] if previous else []), *(row.plan.release for row in good)]
        return tuple(dict.fromkeys(one.id for one in stay))

    async def _changes(self, app: App, old: Release | None, new: Release) -> Changes:
        return await self._releases.changes(app, old, new) if old else Changes(known=False)


def _chosen(app: App, environment: Environment, servers: Sequence[str]) -> tuple[str, ...]:
    """The environment's servers in their order, cut down to the ones that were named."""
    strange = [name for name in servers if name not in environment.servers]
    if strange:
        raise UserError(
            f"{app.name} does not run on {', '.join(strange)} in {environment.name}.",
            hint=f"Its servers there: {', '.join(environment.servers)}",
        )
    return tuple(name for name in environment.servers if not servers or name in servers)


def _gated(part: ServerPlan) -> ServerPlan:
    """Turn a health command into a last step; the other gates are asked by the bot itself."""
    gate = part.gate
    if gate is None or gate.kind != "command":
        return part
    step = _health_step(part.steps[-1], gate)
    restore = (*part.restore, _health_step(part.restore[-1], gate)) if part.restore else ()
    return dataclasses.replace(part, steps=(*part.steps, step), restore=restore, gate=None)


def _health_step(like: Step, gate: Gate) -> Step:
    env = (*like.env, ("DEPLOYBOT_HEALTH", gate.target), ("DEPLOYBOT_WITHIN", f"{gate.within:.0f}"))
    return Step(
        name=HEALTH_STEP,
        script="health_command",
        env=env,
        secrets=like.secrets,
        timeout=gate.within + 30,
        switches=True,
    )


def _warnings(
    parts: Sequence[ServerPlan], facts: Mapping[str, ServerFacts], running: Mapping[str, Running]
) -> list[str]:
    """What a person should know before it starts."""
    found = []
    for part in parts:
        name, seen = part.server, facts[part.server]
        row = running.get(name)
        if seen.switching:
            found.append(f"{name} was left half-way to {short_id(seen.switching)} earlier")
        if row is not None and seen.current != row.release.id:
            there = short_id(seen.current) or "nothing"
            found.append(f"{name} has {there}, though #{row.deployment} put {row.release} there")
        if part.replaces is not None and not part.restore:
            found.append(f"{name}: {part.replaces} cannot be put back if this fails: its files are gone")
    return found
