"""Refs as people type them, and what runs: `:current`, `:previous`, and everything the repository knows."""

from __future__ import annotations

from collections.abc import Iterable

from deploybot.domain import Changes, Deployment, Kind, Release, State
from deploybot.errors import UserError
from deploybot.ports import RefSource, Store
from deploybot.settings import App, Environment

LOOK_BACK = 200


def good_past(deployments: Iterable[Deployment]) -> list[Release]:
    """The good releases one can go back through, oldest first, from deployments oldest first.

    A rollback takes away what it went back from, so that a second one goes further back and not forward.
    """
    past: list[Release] = []
    for one in deployments:
        release = one.plan.release
        if one.state is not State.SUCCEEDED or one.plan.kind not in {Kind.DEPLOY, Kind.ROLLBACK}:
            continue
        if one.plan.kind is Kind.ROLLBACK and any(old.commit == release.commit for old in past):
            while past[-1].commit != release.commit:
                past.pop()
        else:
            past = [old for old in past if old.commit != release.commit]
            past.append(release)
    return past


class Releases:
    """command.ReleaseService over the store and the repository."""

    def __init__(self, store: Store, refs: RefSource) -> None:
        """Take the ports."""
        self._store = store
        self._refs = refs

    async def resolve(self, app: App, environment: Environment | None, ref: str) -> Release:
        """A typed ref as a release; `:current` and `:previous` need an environment."""
        if not ref.startswith(":"):
            return await self._refs.resolve(app, ref)
        if environment is None:
            raise UserError(f"{ref} needs an environment to look at.", hint=f"Say where: {app.name}@{ref} to …")
        current = await self.current(app, environment)
        if ref == ":current":
            found = current
        elif ref == ":previous":
            found = await self.last_good(app, environment, current)
        else:
            raise UserError(f"{ref} is no ref.", hint="The two that begin with a colon are :current and :previous.")
        if found is None:
            raise UserError(f"{app.name} has no {ref[1:]} release in {environment.name} yet.")
        return found

    async def current(self, app: App, environment: Environment) -> Release | None:
        """What the bot last put there and saw healthy, on the environment's first server that has one."""
        rows = await self._store.read(lambda tables: tables.running.get(app.name, environment.name))
        by_server = {row.server: row for row in rows if row.healthy}
        return next((by_server[name].release for name in environment.servers if name in by_server), None)

    async def last_good(self, app: App, environment: Environment, before: Release | None) -> Release | None:
        """The good release that was there before `before`; a release that was rolled back from does not count."""
        rows = await self._store.read(lambda tables: tables.deployments.recent(app.name, environment.name, LOOK_BACK))
        past = good_past(reversed(rows))
        while past and before is not None and past[-1].commit == before.commit:
            past.pop()
        return past[-1] if past else None

    async def changes(self, app: App, old: Release, new: Release) -> Changes:
        """What lies between two releases."""
        return await self._refs.changes(app, old.commit, new.commit)
