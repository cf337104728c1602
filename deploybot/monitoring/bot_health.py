"""The bot's health as last seen. Nothing outside the bot is called for it.

The status depends on what the bot itself needs: its database, chats, disk and workers. A server that is down does not
count, because restarting the bot would not help. For the same reason, a failed audit sink makes the bot degraded at
most.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploybot.domain import Sight, SinkSight
from deploybot.http_server import health_status
from deploybot.units import show_size

LEAST_FREE = 100_000_000
_LOOK_WITHIN = 2.0


@dataclass(frozen=True, slots=True)
class HealthPart:
    """One part. An empty `problem` means healthy, `fix` is what to do, `facts` are shown beside them."""

    problem: str = ""
    fix: str = ""
    facts: Mapping[str, float | None] | None = None


@dataclass(frozen=True, slots=True)
class BotHealth:
    """All parts by name: `own` for the bot itself, `servers`, and `audit` for the audit's sinks."""

    own: Mapping[str, HealthPart]
    servers: Mapping[str, HealthPart]
    audit: Mapping[str, HealthPart]

    @property
    def status(self) -> str:
        """Return `ok`, `degraded` or `down`."""
        status = health_status({name: part.problem for name, part in self.own.items()})
        return "degraded" if status == "ok" and any(part.problem for part in self.audit.values()) else status


class HealthLook:
    """Reads the health of the parts.

    `problems` returns the parts that know their own state (`database`, `slack`). An empty text means healthy.
    """

    def __init__(
        self,
        data: Path,
        problems: Callable[[], Mapping[str, str]],
        servers: tuple[str, ...],
        sights: Callable[[], Mapping[str, Sight]],
        *,
        sinks: Callable[[], Mapping[str, SinkSight]] = dict,
        least_free: int = LEAST_FREE,
    ) -> None:
        """Take what the health depends on.

        `data` is the folder whose disk counts. `servers` are all servers in bot.toml, `sights` how they were last seen.
        `sinks` are the audit's sinks as last seen. With less than `least_free` bytes free, the bot is down.
        """
        self._least_free = least_free
        self._data = data
        self._problems = problems
        self._servers = servers
        self._sights = sights
        self._sinks = sinks

    async def look(self) -> BotHealth:
        """Return the current health."""
        own = {name: HealthPart(problem) for name, problem in self._problems().items()}
        own["disk"] = await self._disk()
        seen = self._sights()
        servers = {name: _server(seen.get(name)) for name in self._servers}
        audit = {
            name: HealthPart(one.problem, one.fix, {"waiting": one.waiting}) for name, one in self._sinks().items()
        }
        return BotHealth(own, servers, audit)

    async def _disk(self) -> HealthPart:
        try:
            async with asyncio.timeout(_LOOK_WITHIN):
                usage = await asyncio.to_thread(shutil.disk_usage, self._data)
        except TimeoutError:
            return HealthPart(f"the disk of {self._data} does not answer", "Check this machine's disk.")
        except OSError as error:
            return HealthPart(f"{self._data} cannot be read: {error.strerror}", "Check that the data folder exists.")
        facts = {"free": usage.free, "total": usage.total}
        if usage.free >= self._least_free:
            return HealthPart(facts=facts)
        return HealthPart(f"only {show_size(usage.free)} free", f"Free space on the disk of {self._data}.", facts)


def _server(sight: Sight | None) -> HealthPart:
    if sight is None:
        return HealthPart(facts={"seen": None})
    return HealthPart(sight.problem, sight.fix, {"seen": round(sight.at, 3)})
