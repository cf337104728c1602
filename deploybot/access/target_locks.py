"""People's locks on environments."""

from __future__ import annotations

from collections.abc import Callable

from deploybot.command import Context
from deploybot.deployments.policy_lookup import required
from deploybot.domain import Lock
from deploybot.errors import Locked
from deploybot.policy import tell_lock
from deploybot.ports import Clock, Store, Tables
from deploybot.settings import App, Environment


def _nobody(app: str) -> None:
    """Do nothing when a lock is released."""


class PersonLocks:
    """`command.LockService` over the store. Each change also writes an audit row."""

    def __init__(self, store: Store, clock: Clock, released: Callable[[str], None] = _nobody) -> None:
        """Take the ports. `released(app)` is called when a lock of the app is released."""
        self._store = store
        self._clock = clock
        self._released = released

    async def take(self, ctx: Context, app: App, environment: Environment, seconds: float) -> Lock:
        """Lock an environment, or renew one's own lock; 0 seconds for no end. Raise Locked if someone else holds it."""
        person, now = required(ctx.person), self._clock.now()
        lock = Lock(
            app=app.name,
            environment=environment.name,
            person=person.id,
            holder=person.name,
            reason=ctx.reason,
            since=now,
            until=now + seconds if seconds else 0.0,
        )

        def take(tables: Tables) -> Lock | None:
            other = tables.locks.take(lock)
            if other is None:
                place = f"{app.name}/{environment.name}"
                tables.audit.append(actor=person.name, action="lock", subject=place, detail=ctx.reason, now=now)
            return other

        other = await self._store.write(take)
        if other is not None:
            raise Locked(tell_lock(other, now))
        return lock

    async def release(self, ctx: Context, app: App, environment: Environment) -> Lock | None:
        """Unlock and return the lock that was held, if any. The caller has already checked that the sender may."""
        person, now = required(ctx.person), self._clock.now()

        def release(tables: Tables) -> Lock | None:
            lock = tables.locks.get(app.name, environment.name, now)
            tables.locks.release(app.name, environment.name)
            if lock is not None:
                place, whose = f"{app.name}/{environment.name}", f"the lock of {lock.holder}"
                tables.audit.append(actor=person.name, action="unlock", subject=place, detail=whose, now=now)
            return lock

        lock = await self._store.write(release)
        self._released(app.name)
        return lock

    async def get(self, app: App, environment: Environment) -> Lock | None:
        """Return the lock that is held now."""
        now = self._clock.now()
        return await self._store.read(lambda tables: tables.locks.get(app.name, environment.name, now))
