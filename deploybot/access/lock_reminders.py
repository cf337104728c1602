"""Remind people of locks that stay: `lock_reminder` in bot.toml."""

from __future__ import annotations

import asyncio
import logging

from deploybot.access.grant_announcements import GrantAnnouncer
from deploybot.domain import Lock
from deploybot.errors import StoreError
from deploybot.ports import Clock, Store, Tables
from deploybot.settings import Settings
from deploybot.units import show_duration

LOOK_EVERY = 60.0
log = logging.getLogger(__name__)


class LockReminders:
    """A worker that reports each lock again and again, in the app's channels and to its holder."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        announcer: GrantAnnouncer,
        *,
        look_every: float = LOOK_EVERY,
    ) -> None:
        """Take bot.toml and the ports; `look_every` is the pause between two checks."""
        self._settings = settings
        self._store = store
        self._clock = clock
        self._announcer = announcer
        self._every = settings.bot.lock_reminder
        self._look_every = look_every

    async def run(self) -> None:
        """Check the locks until cancelled."""
        while True:
            try:
                await self.look()
            except StoreError as problem:
                log.warning("reminders of locks could not be sent yet: %s", problem)
            await asyncio.sleep(self._look_every)

    async def look(self) -> None:
        """Remind people of each lock that is due."""
        now = self._clock.now()
        due = await self._store.read(lambda tables: self._due(tables, now))
        if due:
            await self._store.write(lambda tables: self._remind_of_all(tables, now))

    def _due(self, tables: Tables, now: float) -> list[Lock]:
        due = [one for one in tables.locks.all(now) if now - max(one.since, one.reminded) >= self._every]
        return [one for one in due if self._is_known(one)]

    def _is_known(self, lock: Lock) -> bool:
        """Return whether bot.toml still has the target of a lock. Others cannot be unlocked."""
        app = self._settings.apps.get(lock.app)
        return app is not None and lock.environment in app.environments

    def _remind_of_all(self, tables: Tables, now: float) -> None:
        for lock in self._due(tables, now):
            self._remind(tables, lock, now)

    def _remind(self, tables: Tables, lock: Lock, now: float) -> None:
        tables.locks.remind(lock, now)
        target = f"{lock.app}/{lock.environment}"
        self._announcer.notify(
            tables,
            f"{target} has been locked by {lock.holder} for {show_duration(now - lock.since)}: “{lock.reason}”",
            app=lock.app,
            environment=lock.environment,
            person=lock.person,
            now=now,
            hint=f"`unlock {lock.app} {lock.environment}` removes the lock: {lock.holder} or an admin can do that.",
        )
