"""Limits on long log readings: a server has few sessions, so each person gets a share, and one session stays free.

Only logs that use a session of the server count. Logs of containers are read in other ways.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

from deploybot.command import Context
from deploybot.errors import UserError
from deploybot.ports import LONG_SESSIONS

SHARE = LONG_SESSIONS // 2 - 1
"""How many sessions of one server a person may hold for long."""
FREE = 1
"""How many sessions of one server are reserved for reading last lines, which takes seconds."""
FOLLOWED = 5
"""How many logs a person may follow or get as a file at the same time, over all servers and containers."""
TURN_WITHIN = 60.0
"""Seconds that a person's next request waits for those before it."""


class _Held(NamedTuple):
    """A long reading: its person, its servers, and its name if it can be stopped by name."""

    person: str
    servers: tuple[str, ...]
    name: str


class Shares:
    """Counts what each person reads."""

    def __init__(self) -> None:
        """Start with no readings."""
        self._held: list[_Held] = []
        self._turns: dict[str, asyncio.Semaphore] = {}

    @contextmanager
    def lasting(self, person: str, servers: Sequence[str], name: str) -> Iterator[str]:
        """Hold a session of each server while the block runs; yield `name`. Raises UserError beyond the share."""
        mine = [one for one in self._held if one.person == person]
        if len(mine) >= FOLLOWED:
            raise _too_many(f"You are already reading {len(mine)} logs, which is the limit.", mine)
        for server in servers:
            here = [one for one in self._held if server in one.servers]
            if len(own := [one for one in here if one.person == person]) >= SHARE:
                raise _too_many(
                    f"You are already reading a log on {server}. The limit is one per person and server.", own
                )
            if len(here) >= LONG_SESSIONS - FREE:
                hint = "Ask for the last lines, without `follow` and `file`, or wait until someone else has finished."
                raise UserError(f"{len(here)} people are reading logs on {server}, which is its limit.", hint=hint)
        held = _Held(person, tuple(servers), name)
        self._held.append(held)
        try:
            yield name
        finally:
            self._held.remove(held)

    @asynccontextmanager
    async def turn(self, person: str, servers: Sequence[str]) -> AsyncIterator[None]:
        """Let a person read the last lines of one log at a time, if that takes sessions of servers."""
        turns = self._turns.setdefault(person, asyncio.Semaphore())
        if not servers:
            yield
            return
        try:
            async with asyncio.timeout(TURN_WITHIN):
                await turns.acquire()
        except TimeoutError:
            raise UserError("You asked for too many logs at once.", hint="Wait for the answers.") from None
        try:
            yield
        finally:
            turns.release()


def person_of(ctx: Context) -> str:
    """Return the reader: a person of the allowlist, the same for all their accounts, or an account."""
    identity = ctx.incoming.identity
    return f"#{ctx.person.id}" if ctx.person else f"{identity.platform}:{identity.user}"


def _too_many(sentence: str, mine: Sequence[_Held]) -> UserError:
    names = [one.name for one in mine if one.name]
    return UserError(sentence, hint=f"`cancel {names[0]}` ends one." if names else "Wait until it has ended.")
