"""People's locks on environments."""

from __future__ import annotations

from collections.abc import Callable

from deploybot.access.grant_announcements import GrantAnnouncer
from deploybot.command import Context
from deploybot.deployments.policy_lookup import PolicyQuestions, required
from deploybot.domain import Action, Lock, Person
from deploybot.errors import Locked
from deploybot.policy import lock_text
from deploybot.ports import Clock, Store, Tables
from deploybot.settings import App, Environment, Settings


def _ignore(app: str) -> None:
    """Do nothing when a lock is released."""


class PersonLocks:
    """`command.LockService` over the store. Each change asks the policy, and also writes an audit row."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        announcer: GrantAnnouncer,
        released: Callable[[str], None] = _ignore,
    ) -> None:
        """Take bot.toml and the ports. `announcer` reports a lock that somebody else removed.

        `released(app)` is called when a lock of the app is released.
        """
        self._questions = PolicyQuestions(settings, clock)
        self._store = store
        self._clock = clock
        self._announcer = announcer
        self._released = released

    async def take(self, ctx: Context, app: App, environment: Environment, seconds: float) -> Lock:
        """Lock an environment, or renew one's own lock; 0 seconds for no end.

        Raise Denied for who may not, Locked if someone else holds it.
        """
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
            self._insist(tables, person, "lock", app, environment)
            other = tables.locks.take(lock)
            if other is None:
                target = f"{app.name}/{environment.name}"
                tables.audit.append(actor=person.name, action="lock", subject=target, detail=ctx.reason, now=now)
            return other

        other = await self._store.write(take)
        if other is not None:
            raise Locked(lock_text(other, now))
        return lock

    async def release(self, ctx: Context, app: App, environment: Environment) -> Lock | None:
        """Unlock and return the lock that was held, if any. Raise Denied for who may not.

        If it was another person's, the app's channels and that person learn of it, wherever the command was typed.
        """
        person, now = required(ctx.person), self._clock.now()

        def release(tables: Tables) -> Lock | None:
            self._insist(tables, person, "unlock", app, environment)
            lock = tables.locks.get(app.name, environment.name, now)
            tables.locks.release(app.name, environment.name)
            if lock is not None:
                target, whose = f"{app.name}/{environment.name}", f"the lock of {lock.holder}"
                tables.audit.append(actor=person.name, action="unlock", subject=target, detail=whose, now=now)
                if lock.person != person.id:
                    reason = f": “{lock.reason}”" if lock.reason else ""
                    text = f"{person.name} removed {lock.holder}'s lock of {target}{reason}"
                    self._announcer.notify(
                        tables,
                        text,
                        app=app.name,
                        environment=environment.name,
                        person=lock.person,
                        besides=ctx.incoming.channel,
                        now=now,
                    )
            return lock

        lock = await self._store.write(release)
        self._released(app.name)
        return lock

    async def get(self, app: App, environment: Environment) -> Lock | None:
        """Return the lock that is held now."""
        now = self._clock.now()
        return await self._store.read(lambda tables: tables.locks.get(app.name, environment.name, now))

    def _insist(self, tables: Tables, person: Person, command: str, app: App, environment: Environment) -> None:
        """Ask the policy within this transaction. Raise its refusal."""
        action, name = Action.DEPLOY, environment.name
        question = self._questions.ask(
            tables, person.id, action=action, command=command, app=app.name, environment=name
        )
        self._questions.insist(question)
