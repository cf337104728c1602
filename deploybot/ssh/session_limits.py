"""How many sessions one connection to a server may have at once, and how many of them may be long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploybot.ports import LONG_SESSIONS

SESSIONS = 8
"""Maximum sessions at once per connection. sshd allows 10 (MaxSessions), and counts each until its process is gone."""
FOLLOWERS = 2
"""How many of these sessions may stay open after starting a job, to wait for its end."""


class SessionLimits:
    """The limits of one connection. Long sessions leave some free for short commands."""

    def __init__(self) -> None:
        """Start with all sessions free. `every` and `long` are entered for as long as a session is open."""
        self.every = asyncio.Semaphore(SESSIONS)
        self.long = asyncio.Semaphore(LONG_SESSIONS)
        self._following = asyncio.Semaphore(FOLLOWERS)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[bool]:
        """Yield whether a session that started a job may stay open during the block to wait for its end."""
        if self._following.locked():
            yield False
        else:
            async with self._following:
                yield True
