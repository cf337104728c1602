"""Find what a target can be rolled back to: when it ran, whose it was, what would be lost, and who still holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from deploybot.deployments.past_releases import LOOK_BACK, good_ways, past_before
from deploybot.deployments.target_inspection import Inspector
from deploybot.deployments.way_back import terms_of_release
from deploybot.domain import Changes, Deployment, Plan, Release, RollbackChoice, RollbackChoices, Running
from deploybot.errors import DeploybotError
from deploybot.ports import RefSource, Site, Store, Tables
from deploybot.settings import App, Environment
from deploybot.untrusted_input import of_one

MOST_CHOICES = 5
"""How many releases are offered: as many as servers keep by default."""
WITHIN = 6.0
"""Seconds that a person waits for slow servers and for the repository. What has not answered by then is unknown."""


@dataclass(frozen=True, slots=True)
class _PastLook:
    """One server: what it runs, and what was observed. `site` is None if it did not answer."""

    server: str
    site: Site | None
    release: Release | None


class RollbackMenu:
    """Finds the choices. The servers are asked what they run and hold; the records only say what ran well, and when."""

    def __init__(self, store: Store, refs: RefSource, inspector: Inspector, *, within: float = WITHIN) -> None:
        """Take the ports, and what observes servers. Each is asked for at most `within` seconds."""
        self._store = store
        self._refs = refs
        self._inspector = inspector
        self._within = within

    async def of(self, app: App, environment: Environment) -> RollbackChoices:
        """Return the last good releases before what runs; if no server answers, all of the last good ones."""
        looks = await asyncio.gather(*(self._look(app, environment, name) for name in environment.servers))
        succeeded = await self._store.read(
            lambda tables: tables.deployments.succeeded(app.name, environment.name, LOOK_BACK)
        )
        past = good_ways(reversed(succeeded))
        running = {one.release.id: one.release for one in looks if one.release is not None}
        ways = reversed(past_before(past, running.values()))
        base = _base([one.release for one in past], running.values())
        chosen = [one.deployment for one in ways][:MOST_CHOICES]
        lost = await asyncio.gather(*(self._lost(app, one.plan.release, base) for one in chosen))
        choices = [_choice(one, changes, looks) for one, changes in zip(chosen, lost, strict=True)]
        return RollbackChoices(
            choices=await self._store.read(lambda tables: _with_approvals(tables, environment, choices, looks)),
            runs=tuple((one.server, _runs(one)) for one in looks),
            base=base,
        )

    async def _look(self, app: App, environment: Environment, server: str) -> _PastLook:
        """Observe one server. One that does not answer in time, or not in a usable way, is unknown."""
        try:
            async with asyncio.timeout(self._within):
                site = await of_one(server, lambda: self._inspector.site(app, environment, server))
                return _PastLook(server, site, await self._inspector.release_at(site))
        except (DeploybotError, TimeoutError):
            return _PastLook(server, None, None)

    async def _lost(self, app: App, target: Release, base: Release | None) -> Changes:
        """Return what the release that runs has and the target lacks; unknown if the repository does not answer."""
        if base is not None and target.same_code(base):
            return Changes()
        if base is None or base.code is None or target.code is None:
            return Changes(known=False)
        try:
            async with asyncio.timeout(self._within):
                return await self._refs.changes(app, target.code, base.code)
        except (DeploybotError, TimeoutError):
            return Changes(known=False)


def ways_offered(tables: Tables, environment: Environment, most: int) -> Iterator[tuple[str, str]]:
    """Yield the last good deployments to go back to, each with its number, without what runs on all servers.

    A release is there once for each settings that it ran well with: a rollback to a number brings these back, too.
    """
    target = (environment.app, environment.name)
    found: list[Deployment] = []
    for one in tables.deployments.succeeded(*target, LOOK_BACK):
        if not any(_is_same_way(one.plan, known.plan) for known in found):
            found.append(one)
    rows = tables.running.get(*target)
    ids = {row.release.id for row in rows}
    ways = [one for one in found if not (rows and all(_has(tables, row, one.plan, found) for row in rows))]
    for one in ways[:most]:
        other = " · other settings" if {one.plan.release.id} == ids else ""
        yield f"{one.plan.release.label} · #{one.number}{other}", f"#{one.number}"


def _is_same_way(one: Plan, other: Plan) -> bool:
    """Return whether two plans bring the same release and settings; a server that only one has does not matter."""
    there = other.configurations
    same = all(there.get(server, settings) == settings for server, settings in one.configurations.items())
    return same and one.release.id == other.release.id


def _has(tables: Tables, row: Running, plan: Plan, good: Iterable[Deployment]) -> bool:
    """Return whether a server runs what a plan brings; after a restore, with the settings that last ran well there."""
    made = tables.deployments.get(row.deployment)
    plans = [one.plan for one in (*([made] if made else []), *good)]
    ran = next((one for one in plans if one.release.id == row.release.id), None)
    return row.release.id == plan.release.id and (ran is None or _is_same_way(plan, ran))


def _choice(one: Deployment, lost: Changes, looks: Sequence[_PastLook]) -> RollbackChoice:
    return RollbackChoice(
        ref=f"#{one.number}",
        release=one.plan.release,
        at=one.finished,
        by=one.requester_name,
        lost=lost,
        held=tuple((look.server, _held(look, one.plan.release)) for look in looks),
    )


def _with_approvals(
    tables: Tables, environment: Environment, choices: Sequence[RollbackChoice], looks: Sequence[_PastLook]
) -> tuple[RollbackChoice, ...]:
    """Return the choices with the approvals that each needs, by what the servers that answered run."""
    observed = {one.server: one.release for one in looks if one.site is not None}
    terms = [terms_of_release(tables, environment, one.release, observed=observed, lost=one.lost) for one in choices]
    return tuple(
        replace(one, approvals=term.count, forward=term.forward)
        if term
        else replace(one, approvals=environment.approvals)
        for one, term in zip(choices, terms, strict=True)
    )


def _base(past: Sequence[Release], running: Collection[Release]) -> Release | None:
    """Return the newest of the releases that run; one that was never good counts as newer than the good ones."""
    known = [one.id for one in past]
    order = {one.id: known.index(one.id) if one.id in known else len(known) for one in running}
    return max(running, key=lambda one: order[one.id], default=None)


def _runs(look: _PastLook) -> str:
    """Return what a server runs, for people."""
    if look.site is None:
        return "unknown"
    return look.release.label if look.release is not None else "nothing of mine"


def _held(look: _PastLook, release: Release) -> bool | None:
    """Return whether a server still has what a rollback needs: the files, and the images that ran; None if unknown."""
    site = look.site
    if site is None:
        return None
    manifest = site.manifests.get(release.id)
    if manifest is None or not manifest.services:
        return site.holds(release)
    there = {one.id for one in site.images}
    return (bool(manifest.folder) or site.holds(release)) and all(one.image in there for one in manifest.services)
