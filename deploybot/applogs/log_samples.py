"""Samples of an app's log for the watch of a new release: how many error lines it has, and which panics."""

from __future__ import annotations

import asyncio
import calendar
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import replace

from deploybot.applogs.error_lines import ErrorCounter
from deploybot.applogs.log_sources import Reading, Source, find, of_app, read
from deploybot.applogs.log_times import Entry
from deploybot.applogs.time_zones import Zones
from deploybot.domain import WINDOW, LogCounts
from deploybot.errors import DeploybotError, UserError
from deploybot.masking import Redactor
from deploybot.ports import Clock, Servers
from deploybot.settings import App, Environment
from deploybot.untrusted_input import failure_of

MOST_LINES = 10_000
"""The most lines that one sample reads of a source, from its end."""
MOST_BYTES = 8_388_608
"""The most bytes of text that one sample reads of a source: more than so many lines have, unless a server lies."""
LINE_READ = 400
LONGEST = 3600.0
"""The most seconds of a log that one sample covers."""
READ_WITHIN = 15.0
SETTLES = 2.0
"""Seconds after which a line of a container can be read; a clock that differs by less needs no correction."""
SETTLES_ELSEWHERE = 15.0
"""The same for other logs. It is unknown how much the clock of their server differs, and a line must not be missed."""
_MEASURED_WITHIN = 3.0
"""How much the measured difference of two clocks changes by itself: by full seconds, and by the time of an answer."""
_AT_ONCE = 4
"""How many logs of one server are read at the same time. If servers waited for others, some would never be read."""
_HOURS_AT_ONCE = 4
"""How many long parts of logs are read at the same time: they share one CPU. They wait before they take a turn."""
_SHORT = 60.0
_WHOLE = 19
_CLOCK_WENT_BACK = 60.0
_BUSY = 100
_QUIET_BEFORE = 60.0
_NO_LOG = "does not support reading"


class ErrorSamples:
    """Implement `ports.LogSamples` on the logs that bot.toml names. Lines are masked before they are looked at."""

    def __init__(self, servers: Servers, clock: Clock, redactor: Redactor) -> None:
        """Take the ports."""
        self._servers = servers
        self._clock = clock
        self._redactor = redactor
        self._zones = Zones(servers, clock)
        self._ahead: dict[str, float] = {}
        self._hours = asyncio.Semaphore(_HOURS_AT_ONCE)
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_AT_ONCE))

    def has_log(self, app: App) -> bool:
        """Return whether the bot knows where an app's log is."""
        try:
            of_app(app)
        except UserError:
            return False
        return True

    async def count(self, app: App, environment: Environment, server: str, *, since: float) -> LogCounts:
        """Count the error lines of a server's log from `since` (Unix time) until now. Never raises.

        Of more than an hour, only the last one counts. A source that cannot be read is no source without errors: then
        nothing counts.
        """
        until = self._clock.now() - _settles(app)
        if until - since < WINDOW:
            return LogCounts(end=until if since - until > _CLOCK_WENT_BACK else since)
        since = max(since, until - LONGEST)
        counter = ErrorCounter(since, until)
        try:
            async with (
                self._hours if until - since > _SHORT else nullcontext(),
                self._turns[server],
                asyncio.timeout(READ_WITHIN),
            ):
                sources = await find(app.at(environment), environment, server, self._servers, self._zones)
                for source in sources:
                    try:
                        await self._read(self._corrected(source), since, counter)
                    except DeploybotError as problem:
                        if len(sources) == 1 or _NO_LOG not in str(problem):
                            raise
        except TimeoutError:
            return LogCounts(end=since, trouble=f"reading the log took longer than {READ_WITHIN:.0f} s")
        except Exception as problem:  # noqa: BLE001  an error of one server must not affect others
            return LogCounts(end=since, trouble=str(failure_of(server, problem)))
        return counter.counts()

    def _corrected(self, source: Source) -> Source:
        """Return a source with the exact difference of the clocks.

        An answer that takes its time lets a clock seem to be behind, so the highest of similar values is nearest.
        """
        if source.measured is None:
            return source
        known = self._ahead.get(source.server, source.measured)
        near = abs(known - source.measured) <= _MEASURED_WITHIN
        ahead = self._ahead[source.server] = max(known, source.measured) if near else source.measured
        return replace(source, ahead=ahead if abs(ahead) > SETTLES else 0.0)

    async def _read(self, source: Source, since: float, counter: ErrorCounter) -> None:
        """Count the lines of one source. If it has more than are read, only the time of those that are read counts."""
        now = self._clock.now()
        reading = Reading(tail=MOST_LINES, now=now, since=since, limit=LINE_READ, timeout=READ_WITHIN)
        timer = source.timer(reading)
        lines, size, first = 0, 0, 0.0
        async with aclosing(read(source, reading, self._redactor, timer)) as batches:
            async for batch in batches:
                found = [*_timed(batch, source.ahead)]
                first = first or (found[0][0] if found else 0.0)
                lines, size = lines + len(batch), size + sum(len(text) for _, text in batch)
                counter.add(found)
                if size > MOST_BYTES:
                    raise UserError(f"{source.name}: the log has more text than is read", hint="Write fewer lines.")
        # A busy log that begins late was rotated: what was before is unknown, not quiet.
        rotated = lines >= _BUSY and first - since > _QUIET_BEFORE
        if first and (lines >= MOST_LINES or rotated):
            counter.begins(first)


def _settles(app: App) -> float:
    """Return after how many seconds all lines of an app's log can be read."""
    try:
        return SETTLES if of_app(app).docker else SETTLES_ELSEWHERE
    except UserError:
        return SETTLES


def _timed(batch: Sequence[Entry], ahead: float) -> Iterator[tuple[float, bytes]]:
    """Yield lines with their times by the bot's clock. A line whose time is unknown is left out."""
    for key, text in batch:
        if key:
            yield _seconds(key) - ahead, text


def _seconds(key: bytes) -> float:
    """Return the time of a key, in seconds since the epoch."""
    whole = calendar.timegm(time.strptime(key[:_WHOLE].decode(), "%Y-%m-%dT%H:%M:%S"))
    return whole + float(b"0" + key[_WHOLE:] or b"0")
