"""Follow the logs of an app as they are written: all servers at the same time, bounded in time and in rate."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from deploybot.applogs.log_sources import Labels, Reading, Source, read
from deploybot.applogs.log_times import Entry, Stamps, Wanted
from deploybot.errors import DeploybotError, EngineError, UserError
from deploybot.masking import Redactor
from deploybot.ports import Clock
from deploybot.untrusted_input import failure_of

SHOW_FIRST = 0.3
"""Seconds to collect existing lines for the first message."""
SHOW_EVERY = 1.0
"""Seconds between two messages with new lines."""
SHOW_MOST = 200
"""The most lines in one message; older ones that arrived meanwhile are counted and left out."""
LOOK_EVERY = 5.0
"""Seconds between two checks for containers that replaced the followed ones after a deployment."""
REST = 0.5
"""Seconds before a log that has ended is opened again."""
READ_RATE = 8_000_000
"""The most bytes of lines to read per second from one source, so that a flood does not block the bot."""
_CATCH_UP = 10_000
_LATEST = b"\xff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What to follow: how to find the sources of a server and how to read them, and which lines are wanted."""

    find: Callable[[str], Awaitable[list[Source]]]
    servers: Sequence[str]
    labels: Labels
    reading: Reading
    wanted: Wanted


class LogFollower:
    """Follows all sources of all servers. A problem with one of them is shown in a line, and the others continue."""

    def __init__(
        self,
        followed: Followed,
        *,
        redactor: Redactor,
        clock: Clock,
        show: Callable[[tuple[str, ...]], Awaitable[None]],
    ) -> None:
        """Pass new lines to `show`, one message at a time."""
        self._followed = followed
        self._redactor = redactor
        self._clock = clock
        self._show = show
        self._new: deque[Entry] = deque(maxlen=SHOW_MOST)
        self._left_out = 0
        self._news = asyncio.Event()
        self._last: dict[str, bytes] = {}
        self._rests: dict[str, float] = {}
        self._last_notice: dict[str, str] = {}

    async def run(self, stop: asyncio.Event, found: dict[str, list[Source]]) -> bool:
        """Follow until `stop` is set, the time is over, or nothing is left to read; return True if it was stopped.

        `found` holds the sources by server, as far as they are already known.
        """
        servers = [self._server(server, found.get(server)) for server in self._followed.servers]
        reading = asyncio.ensure_future(asyncio.gather(*servers))
        stopped, showing = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self._show_new())
        tasks: set[asyncio.Future[Any]] = {reading, stopped, showing}
        try:
            await asyncio.wait(tasks, timeout=self._followed.reading.timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end
        if lines := self._drain():
            await self._show(lines)
        return stop.is_set()

    async def _server(self, server: str, found: list[Source] | None) -> None:
        """Follow the sources of a server, and those that replace them."""
        tasks: dict[str, asyncio.Task[None]] = {}
        trouble, looked = "", 0.0
        try:
            while True:
                if found is None:
                    try:
                        found = await self._followed.find(server)
                        trouble = self._notice(server, "is back", "") if trouble else ""
                    except Exception as problem:  # noqa: BLE001  an error of one server must not affect others
                        found = []
                        trouble = self._notice(server, f"{failure_of(server, problem)}; retrying", trouble)
                self._begin(found, tasks, looked)
                if found and all(source.stamps is not Stamps.DOCKER for source in found):
                    await asyncio.gather(*tasks.values())
                    return
                looked = self._clock.now()
                await _first(tasks)
                found = None
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    def _begin(self, found: list[Source], tasks: dict[str, asyncio.Task[None]], looked: float) -> None:
        """Start to read new sources. `looked` is when the server was last asked (Unix time), 0.0 for never."""
        now = asyncio.get_running_loop().time()
        for source in found:
            key = f"{source.server}/{source.id}"
            if key in tasks or (key in self._last and not source.live) or self._rests.get(key, 0.0) > now:
                continue
            reading = self._followed.reading
            if key in self._last or looked:
                # It was restarted or replaces another one: read everything that it wrote since.
                reading = replace(reading, tail=_CATCH_UP, since=looked)
            self._last.setdefault(key, b"")
            tasks[key] = asyncio.create_task(self._read(source, reading, key))

    async def _read(self, source: Source, reading: Reading, key: str) -> None:
        """Read a source's lines to its end. If the log cannot be read, report that once and do not retry."""
        loop = asyncio.get_running_loop()
        prefix, before, name = self._followed.labels.prefix(source), self._last[key], source.name
        timer, doubt = source.timer(reading), ""
        try:
            async with aclosing(read(source, reading, self._redactor, timer)) as batches:
                async for batch in batches:
                    self._last_notice.pop(key, None)
                    if timer.doubt and not doubt:
                        doubt = self._notice(name, timer.doubt, "")
                    self._take(prefix, [entry for entry in batch if not before or entry[0] > before])
                    self._last[key] = batch[-1][0]
                    await asyncio.sleep(sum(len(text) for _, text in batch) / READ_RATE)
        except (EngineError, UserError) as problem:
            self._rests[key] = math.inf
            self._notice(name, str(problem), "")
        except DeploybotError as problem:
            self._rests[key] = loop.time() + LOOK_EVERY
            self._last_notice[key] = self._notice(name, str(problem), self._last_notice.get(key, ""))
        else:
            self._rests[key] = loop.time() + REST
            self._last_notice[key] = self._notice(name, "has ended", self._last_notice.get(key, ""))

    def _take(self, prefix: bytes, batch: list[Entry]) -> None:
        wanted = self._followed.wanted
        if lines := [(key, prefix + text) for key, text in batch if not wanted or wanted((key, text))]:
            self._add(lines)

    def _notice(self, name: str, news: str, shown: str) -> str:
        """Show a message about a server as a line, unless it was the last one shown; return the message."""
        if news != shown:
            self._add([(_LATEST, f"-- {name}: {news}".encode())])
        return news

    def _add(self, lines: list[Entry]) -> None:
        self._left_out += max(0, len(self._new) + len(lines) - SHOW_MOST)
        self._new.extend(lines)
        self._news.set()

    async def _show_new(self) -> None:
        pause = SHOW_FIRST
        while True:
            await self._news.wait()
            await asyncio.sleep(pause)
            pause = SHOW_EVERY
            await self._show(self._drain())

    def _drain(self) -> tuple[str, ...]:
        """Return the waiting lines, sorted by time."""
        lines = [text.decode("utf-8", errors="replace") for _, text in sorted(self._new, key=itemgetter(0))]
        if self._left_out:
            lines.insert(0, f"-- {self._left_out:,} lines left out here: they arrive faster than they can be shown")
        self._new.clear()
        self._left_out = 0
        self._news.clear()
        return tuple(lines)


async def _first(tasks: dict[str, asyncio.Task[None]]) -> None:
    """Return when one of the tasks has ended or it is time to check again; forget the ended tasks."""
    waiting: Coroutine[None, None, object] = (
        asyncio.wait(tasks.values(), timeout=LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
        if tasks
        else asyncio.sleep(LOOK_EVERY)
    )
    await waiting
    for key in [key for key, task in tasks.items() if task.done()]:
        del tasks[key]
