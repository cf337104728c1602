"""Remove grants when they expire, and announce it. The policy ignores them from that moment on."""

from __future__ import annotations

import asyncio
import logging
from math import inf

from deploybot.access.grant_announcements import GrantAnnouncer
from deploybot.domain import Grant, target_name
from deploybot.errors import StoreError
from deploybot.ports import Clock, Store, Tables

LOOK_EVERY = 30.0  # the machine's clock may be set, and the command line gives grants, too
log = logging.getLogger(__name__)


class GrantEnds:
    """A worker that removes and announces expired grants, including those that expired while the bot was down."""

    def __init__(
        self, store: Store, clock: Clock, announcer: GrantAnnouncer, *, look_every: float = LOOK_EVERY
    ) -> None:
        """Take the ports, and the longest pause between two checks, in seconds."""
        self._store = store
        self._clock = clock
        self._announcer = announcer
        self._look_every = look_every

    async def run(self) -> None:
        """Check for expired grants until cancelled."""
        while True:
            due = inf
            try:
                due = await self.look()
            except StoreError as problem:
                log.warning("expired grants could not be removed yet: %s", problem)
            await asyncio.sleep(min(due, self._look_every))

    async def look(self) -> float:
        """Remove and announce expired grants. Return the seconds until the next one expires."""
        now = self._clock.now()
        ends = await self._store.read(lambda tables: [one.until for one in tables.people.grants() if one.until])
        if any(until <= now for until in ends):
            await self._store.write(lambda tables: self._end(tables, now))
        return min((until - now for until in ends if until > now), default=inf)

    def _end(self, tables: Tables, now: float) -> None:
        names = {person.id: person.name for person in tables.people.everybody()}
        for grant in tables.people.end_grants(now):
            self._announce(tables, grant, names[grant.person], now)

    def _announce(self, tables: Tables, grant: Grant, name: str, now: float) -> None:
        target = target_name(grant.app, grant.environment)
        detail = f"{grant.role} on {target}"
        tables.audit.append(actor="deploybot", action="grant ended", subject=name, detail=detail, now=now)
        text = f"{name} is no longer {detail}: the grant by {grant.by} has expired."
        self._announcer.announce(tables, text, app=grant.app, environment=grant.environment, now=now)
