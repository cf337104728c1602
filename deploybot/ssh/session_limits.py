"""How many logins to one address, and sessions on one connection, may be open at once; how many may be long."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploybot.ports import LONG_SESSIONS

LOGINS = 6
"""Maximum logins at once to one address: sshd randomly drops them from the tenth on (MaxStartups)."""
SESSIONS = 8
"""Maximum sessions at once per connection. sshd allows 10 (MaxSessions), and counts each until its process is gone."""
FOLLOWERS = 2
"""How many of these sessions may stay open after starting a job, to wait for its end."""


class LoginLimits:
    """The limits of logins to all servers. Servers behind one address share its limit."""

    def __init__(self) -> None:
        """Start with no login."""
        self._logins: dict[tuple[str, int], asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(LOGINS))

    def of(self, host: str, port: int) -> asyncio.Semaphore:
        """Return the limit of one address, entered for as long as a login takes."""
        return self._logins[host, port]


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
