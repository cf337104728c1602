"""Turn a request into a plan: everything that would happen on every server, frozen, with a digest over all of it."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import hashlib
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from deploybot.deployments.batch_layout import Layout, layout_of
from deploybot.deployments.down_servers import Skipped, down_warnings, still_down, unless_down
from deploybot.deployments.legacy_releases import Legacy
from deploybot.deployments.ref_resolution import Releases
from deploybot.deployments.retention import releases_to_keep
from deploybot.deployments.switch_tasks import switch_tasks
from deploybot.deployments.target_inspection import Inspector, going_back
from deploybot.deployments.way_back import terms_of_plan
from deploybot.domain import Changes, EffectKind, Gate, Kind, Origin, Plan, Release, Running, ServerPlan, Step, short_id
from deploybot.errors import NoImage, ServerDown, UserError
from deploybot.ports import Site, Store, Strategy
from deploybot.settings import App, Environment
from deploybot.strategies.accepted_sources import insist_on_pins, insist_on_source
from deploybot.untrusted_input import of_one

T = TypeVar("T")

HEALTH_STEP = "health"
HEALTH_SCRIPT = "health_command"
DryPlan = Callable[[App, Environment], Awaitable[Plan]]
"""A function that plans a deployment of the newest commit of an app's branch, to show what it would change."""


def digest_of(plan: Plan) -> str:
    """Return the SHA-256 (hex) over everything in a plan except the digest itself, as canonical JSON."""
    content = dataclasses.asdict(dataclasses.replace(plan, digest=""))
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sealed(plan: Plan) -> Plan:
    """Return a plan with its digest."""
    return dataclasses.replace(plan, digest=digest_of(plan))


class Planner:
    """Makes plans: observes all servers at the same time, then asks the pure strategy for the steps.

    `releases` resolves refs.
    """

    def __init__(
        self,
        *,
        store: Store,
        inspector: Inspector,
        legacy: Legacy,
        releases: Releases,
        strategies: Mapping[str, Strategy],
    ) -> None:
        """Take the ports and parts; `strategies` are keyed by their names in bot.toml."""
        self._store = store
        self._inspector = inspector
        self._legacy = legacy
        self.releases = releases
        self._strategies = strategies

    async def deploy(
        self,
        app: App,
        environment: Environment,
        release: Release,
        *,
        rollback: bool = False,
        servers: Sequence[str] = (),
        remove_orphans: bool = False,
        fresh: bool = True,
        origin: Origin | None = None,
        promoted_from: str = "",
        without: Sequence[str] = (),
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> Plan:
        """Plan a release for the environment, or for some of its servers.

        If the plan is `fresh`, a release that was never healthy on a server is put there from scratch. `origin` is what
        allows the release there, `promoted_from` the environment where it was found. Servers in `without` were down
        when this was requested, and are left out. `settings` are the hashes of what Compose read on each server, for a
        rollback; by default those that `_meant` finds. Raises Unreachable, or UserError with everything in the way.
        """
        app, release, settings = await self._meant(app, environment, release, settings, rollback=rollback)
        names = _chosen(app, environment, servers)
        tasks = switch_tasks(app, rollback=rollback)
        layout = layout_of(environment, names, gently=not rollback)
        first = layout.servers[0]
        if tasks.need_first:
            tasks.insist_on_first(first, without)
            layout = layout._replace(optional=layout.optional - {first})

        async def planned(name: str) -> tuple[Site, ServerPlan]:
            site = await self._site(app, environment, name, remove_orphans=remove_orphans)
            there = going_back(site, release, settings.get(name, "")) if rollback else site
            part = await self._part(there, release, rollback=rollback, fresh=fresh)
            return site, tasks.added(self._strategies[app.strategy], there, release, part, first=name == first)

        pairs, down = await _each(layout, planned, without=without)
        sites = {name: site for name, (site, _) in pairs.items()}
        found = [part for _, part in pairs.values()]
        _insist_on_effect(app, environment, release, found if settings and fresh else ())
        running = await self._running(app, environment)
        parts, sizes = layout.arranged(found)
        missing = () if rollback else await self.releases.missing(app, release)
        plan = Plan(
            kind=Kind.ROLLBACK if rollback else Kind.DEPLOY,
            app=app.name,
            environment=environment.name,
            release=release,
            servers=parts,
            changes=await self._changes(app, found[0].replaces, release),
            warnings=(*missing, *still_down(without), *down_warnings(down), *_warnings(found, sites, running)),
            remove_orphans=remove_orphans,
            origin=origin,
            some=len(names) < len(environment.servers),
            promoted_from=promoted_from,
            sizes=sizes,
            down=(*without, *down),
        )
        return sealed(dataclasses.replace(plan, counts_as=await self._counts_as(environment, plan)))

    async def _meant(
        self, app: App, environment: Environment, release: Release, settings: Mapping[str, str], *, rollback: bool
    ) -> tuple[App, Release, Mapping[str, str]]:
        """Return the app as it is there, the release itself, and the settings that are to come back with it.

        These are `settings`, or those of the deployment that the release is named by. Without any, the last ones that
        the release ran well with come back. Raises UserError if the app cannot have such a release.
        """
        app = app.at(environment)
        insist_on_source(app, self._strategies[app.strategy], release)
        if rollback:
            settings = settings or await self.releases.names.settings_of(environment, release)
        else:
            insist_on_pins(app, environment, release)
        return app, dataclasses.replace(release, typed=None), settings

    async def _counts_as(self, environment: Environment, plan: Plan) -> str:
        """Return how a rollback counts for approvals, for people. The policy itself decides it again each time."""
        terms = await self._store.read(lambda tables: terms_of_plan(tables, environment, plan))
        return terms.counts_as if terms else ""

    async def _part(self, site: Site, release: Release, *, rollback: bool, fresh: bool) -> ServerPlan:
        """Plan one server."""
        strategy = self._strategies[site.app.strategy]
        site = await self._inspector.study(site, release, again=fresh and not site.trusts(release))
        previous = await self._inspector.release_at(site)
        part = strategy.deploy(site, release, previous, back=rollback)
        keep = await self._store.read(lambda tables: releases_to_keep(tables, site, release, previous))
        cleanup = strategy.prune(site, keep)
        planned = dataclasses.replace(_gated(part), server=site.server, cleanup=cleanup)
        await self.releases.insist_on_file(site.app, release, planned)
        return planned

    async def restart(self, app: App, environment: Environment) -> Plan:
        """Plan to restart what runs on every server of the environment."""
        return await self._on_current(app, environment, environment.servers, Kind.RESTART)

    async def task(self, app: App, environment: Environment, task: str) -> Plan:
        """Plan a named task on the environment's first server."""
        return await self._on_current(app, environment, environment.servers[:1], Kind.TASK, task)

    async def again(self, app: App, environment: Environment, old: Plan) -> Plan:
        """Plan the same as an older plan, against the present state.

        Raises UserError if bot.toml has none of its servers any more: without names, all servers would be meant.
        """
        if old.kind is Kind.TASK:
            return await self.task(app, environment, old.task)
        if old.kind is Kind.RESTART:
            return await self._on_current(app, environment, environment.servers, Kind.RESTART, without=old.down)
        names = tuple(part.server for part in old.servers if part.server in environment.servers)
        if not names:
            gone = ", ".join(part.server for part in old.servers)
            raise UserError(f"bot.toml no longer has {gone} in {app.name} {environment.name}.")
        back = old.kind is Kind.ROLLBACK
        without = tuple(name for name in old.down if name in environment.servers and name not in names)
        return await self.deploy(
            app,
            environment,
            old.release,
            rollback=back,
            servers=(*names, *without),
            remove_orphans=old.remove_orphans,
            fresh=False,
            origin=await self.origin(app, environment, old),
            promoted_from=old.promoted_from,
            without=without,
            settings=old.configurations if back else {},
        )

    async def origin(self, app: App, environment: Environment, plan: Plan) -> Origin | None:
        """Return what allows a plan's commit there, checked again; None if bot.toml does not limit that."""
        if plan.kind not in {Kind.DEPLOY, Kind.ROLLBACK}:
            return None
        before = plan.origin.ref if plan.origin else ""
        back = plan.kind is Kind.ROLLBACK
        return await self.releases.origin(app, environment, plan.release, back=back, before=before)

    async def meaning(self, app: App, environment: Environment, ref: str) -> Release | None:
        """Return the release that a ref means now; None if the ref no longer exists.

        Raises Unreachable, or NoImage if one of its images no longer exists. Without a repository, raises UserError,
        too: the Compose files on the servers may be broken.
        """
        try:
            return await self.releases.resolve(app, environment, ref)
        except NoImage:
            raise
        except UserError:
            if app.has_own_files:
                raise
            return None

    async def _on_current(
        self,
        app: App,
        environment: Environment,
        names: Sequence[str],
        kind: Kind,
        task: str = "",
        *,
        without: Sequence[str] = (),
    ) -> Plan:
        layout = layout_of(environment, names, gently=False)
        if kind is Kind.TASK:
            layout = layout._replace(optional=frozenset())

        async def planned(name: str) -> ServerPlan:
            site = await self._site(app, environment, name, remove_orphans=False)
            return await self._of_current(site, kind, task)

        pairs, down = await _each(layout, planned, without=without)
        found = [*pairs.values()]
        release = found[0].replaces
        assert release is not None  # noqa: S101  set two lines above
        parts, sizes = layout.arranged(found)
        plan = Plan(
            kind=kind,
            app=app.name,
            environment=environment.name,
            release=release,
            servers=parts,
            task=task,
            warnings=(*still_down(without), *down_warnings(down)),
            sizes=sizes,
            down=(*without, *down),
        )
        return sealed(plan)

    async def _of_current(self, site: Site, kind: Kind, task: str) -> ServerPlan:
        """Plan a restart or a task on one server. Raises UserError if no release of the bot runs there."""
        strategy = self._strategies[site.app.strategy]
        current = await self._inspector.release_at(site)
        if current is None:
            app, environment = site.app.name, site.environment.name
            raise UserError(
                f"No release of {app} runs in {environment} on {site.server} yet.",
                hint=f"Deploy it first: deploy {app} to {environment}",
            )
        part = strategy.task(site, current, task) if kind is Kind.TASK else _gated(strategy.restart(site, current))
        return dataclasses.replace(part, server=site.server, replaces=current)

    async def _site(self, app: App, environment: Environment, server: str, *, remove_orphans: bool) -> Site:
        """Observe one server, and adopt what the previous version left there."""
        site = await self._inspector.site(app, environment, server, remove_orphans=remove_orphans)
        return await self._legacy.adopt(site)

    async def _running(self, app: App, environment: Environment) -> dict[str, Running]:
        rows = await self._store.read(lambda tables: tables.running.get(app.name, environment.name))
        return {row.server: row for row in rows}

    async def _changes(self, app: App, old: Release | None, new: Release) -> Changes:
        return await self.releases.changes(app, old, new) if old else Changes(known=False)


async def _each(
    layout: Layout, plan: Callable[[str], Coroutine[object, object, T]], *, without: Sequence[str]
) -> tuple[dict[str, T], dict[str, ServerDown]]:
    """Plan all servers of a layout at the same time; the slowest one sets the duration.

    Returns the results by server, and which optional servers are down, and why. If all are down, the first reason is
    raised.
    """
    names = [name for name in layout.servers if name not in without]
    found = await _all_of(
        of_one(
            name,
            functools.partial(unless_down, functools.partial(plan, name), optional=name in layout.optional),
        )
        for name in names
    )
    named = dict(zip(names, found, strict=True))
    down = {name: one.problem for name, one in named.items() if isinstance(one, Skipped)}
    if down and len(down) == len(named):
        raise next(iter(down.values()))
    return {name: one for name, one in named.items() if not isinstance(one, Skipped)}, down


async def _all_of(calls: Iterable[Coroutine[object, object, T]]) -> list[T]:
    """Wait for all calls. An error that people cannot fix is raised first, alone; all UserErrors are raised as one."""
    users: list[UserError] = []
    found: list[T] = []
    for one in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(one, UserError):
            users.append(one)
        elif isinstance(one, BaseException):
            raise one
        else:
            found.append(one)
    if len(users) > 1:
        raise UserError(
            "\n".join(dict.fromkeys(one.sentence for one in users)),
            hint="\n".join(dict.fromkeys(one.hint for one in users if one.hint)),
        )
    if users:
        raise users[0]
    return found


def _chosen(app: App, environment: Environment, servers: Sequence[str]) -> tuple[str, ...]:
    """Return the environment's servers in their order, limited to the named ones."""
    strange = [name for name in servers if name not in environment.servers]
    if strange:
        raise UserError(
            f"{app.name} does not run on {', '.join(strange)} in {environment.name}.",
            hint=f"Its servers there: {', '.join(environment.servers)}",
        )
    return tuple(name for name in environment.servers if not servers or name in servers)


def _insist_on_effect(app: App, environment: Environment, release: Release, parts: Sequence[ServerPlan]) -> None:
    """Raise UserError if a rollback to a release, with its settings of then, would change nothing on any server."""
    effects = [one for part in parts for one in part.effects]
    is_same = all(part.replaces is not None and part.replaces.id == release.id for part in parts)
    if is_same and effects and all(one.kind in {EffectKind.KEPT, EffectKind.LEFT} for one in effects):
        raise UserError(
            f"{app.name}/{environment.name} already runs {release}, with these settings.",
            hint=f"Pick another release: history {app.name}",
        )


def _gated(part: ServerPlan) -> ServerPlan:
    """Turn a health command into a last step; the bot itself checks the other gates."""
    gate = part.gate
    if gate is None or gate.kind != "command":
        return part
    step = _health_step(part.steps[-1], gate)
    restore = part.restore
    if restore and not part.is_link_restored:
        restore = (*restore, _health_step(restore[-1], gate))
    return dataclasses.replace(part, steps=(*part.steps, step), restore=restore, gate=None, recheck=(step,))


def _health_step(like: Step, gate: Gate) -> Step:
    env = (*like.env, ("DEPLOYBOT_HEALTH", gate.target), ("DEPLOYBOT_WITHIN", f"{gate.within:.0f}"))
    return Step(
        name=HEALTH_STEP,
        script=HEALTH_SCRIPT,
        env=env,
        secrets=like.secrets,
        timeout=gate.within + 30,
        switches=True,
    )


def _warnings(parts: Sequence[ServerPlan], sites: Mapping[str, Site], running: Mapping[str, Running]) -> list[str]:
    """Return what a person should know before the deployment starts."""
    found = []
    for part in parts:
        name, site = part.server, sites[part.server]
        row = running.get(name)
        if site.facts.switching:
            found.append(f"{name}: an earlier switch to {short_id(site.facts.switching)} did not finish")
        if row is not None and site.running != row.release.id:
            there = short_id(site.running) or ("something else" if part.before else "nothing")
            found.append(f"{name} runs {there}, but #{row.deployment} deployed {row.release}")
        elif row is None and part.before:
            found.append(f"{name}: this project already has containers; they are taken over")
        if part.replaces is not None and not part.restore:
            why = "it does not run now" if part.verify else "its files are gone"
            found.append(f"{name}: {part.replaces} cannot be restored if this fails: {why}")
        found += [f"{name}: {warning}" for warning in part.warnings]
    return found
