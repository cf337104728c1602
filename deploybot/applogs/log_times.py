"""When log lines were written, and which of them are new enough. No I/O.

A time is a key that sorts: UTC as `2026-11-21T01:23:45.123456789`, or empty if it is unknown. Docker writes RFC 3339.
`journalctl -o short-iso-precise` writes ISO 8601, then the host. In files and outputs of commands, a line may have a
time in one of the formats of `log_stamps`. A line without one, as in a stack trace, has the time of the line before.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

from deploybot.applogs.log_stamps import LOOKED_AT, read_front, read_line
from deploybot.applogs.log_text import cut
from deploybot.applogs.time_zones import moment_of

Entry = tuple[bytes, bytes]
"""A line: the key of its time, and its text."""
Wanted = Callable[[Entry], bool] | None
"""The filter for wanted lines; None for all."""

DOCKER_WIDTH = 31
"""Bytes of the time that Docker writes, including the space after it."""
CONTINUED = 100
"""How many lines without a time belong to the line before them; after more, their time is unknown."""
HELD = 1_000
"""How many lines before the first one with a time to hold until it is known whether they are new enough."""
_NO_TIME = "its lines have no readable time, so `since` does not work here: these are the last ones"
_SOME = "some of its lines have no readable time, so all of those are shown"
_NO_ZONE = (
    "its lines have no time zone and the server's is unknown, so `since` does not work here: these are the last "
    "ones. Set `timezone` in the app's `logs`"
)
_EXACT = 29
"""The position of the Z in the times that Docker writes."""
_ANY_DAY = datetime(9999, 12, 1)  # noqa: DTZ001  naive UTC, as all moments here
_WHOLE = 19
_DIGITS = 9


class Stamps(enum.Enum):
    """Where the lines of a source have their time."""

    DOCKER = "in front, and no part of the text"
    JOURNAL = "in front, then the host"
    FREE = "perhaps somewhere, and part of the text"
    NONE = "it is not asked for"


class Timer:
    """Reads the times of one source's lines, which never go backwards, and drops lines from before `since`.

    `blind` is whether it returned lines that may be from before `since`, because their time is unknown.
    """

    def __init__(
        self, stamps: Stamps, *, zone: tzinfo | None, now: float, limit: int, since: float = 0.0, waits: bool = True
    ) -> None:
        """Take the source's settings; `zone` applies to times without a zone, `now` and `since` are Unix times.

        A `since` of 0.0 means all. Texts are cut to `limit` bytes. `since` only applies to `Stamps.FREE`: other sources
        filter themselves. With `waits`, lines before the first time are held until it comes.
        """
        self.blind = False
        self._stamps = stamps
        self._zone = zone
        self._now = datetime.fromtimestamp(now, UTC).replace(tzinfo=None)
        self._limit = limit
        self._since = key_of(since) if since and stamps is Stamps.FREE else b""
        self._waits = waits
        self._last = b""
        self._moment: datetime | None = None
        self._zoneless = False
        self._without = 0
        self._held: list[Entry] = []

    @property
    def doubt(self) -> str:
        """Return the warning for a source whose lines could not all be checked against `since`; empty if they could."""
        if not self.blind:
            return ""
        return _SOME if self._last else _NO_ZONE if self._zoneless else _NO_TIME

    @property
    def width(self) -> int:
        """Return how many bytes of a line the timer needs."""
        if self._stamps is Stamps.FREE:
            return max(self._limit, LOOKED_AT)
        return self._limit + (DOCKER_WIDTH if self._stamps is Stamps.DOCKER else 0)

    def entries(self, lines: list[bytes]) -> list[Entry]:
        """Return the lines with their keys, without those that are known to be from before `since`."""
        if self._stamps is Stamps.NONE:
            return [(b"", line) for line in lines]
        if self._stamps is not Stamps.FREE:
            return [self._stamped(line) for line in lines]
        entries = [self._free(line) for line in lines]
        return self._new(entries) if self._since else [entry for entry, _ in entries]

    def flush(self) -> list[Entry]:
        """Return the lines still held when the log has ended."""
        held, self._held = self._held, []
        self.blind = self.blind or bool(held)
        return held

    def _stamped(self, line: bytes) -> Entry:
        if self._stamps is Stamps.DOCKER and line[_EXACT : _EXACT + 2] == b"Z ":
            key, text = line[:_EXACT], line[_EXACT + 2 :]
        else:
            key, text = self._front(line)
        # Two streams of one container may overtake each other slightly: keep the container's order.
        self._last = max(key, self._last)
        return self._last, text

    def _front(self, line: bytes) -> Entry:
        found = read_front(line)
        moment = moment_of(found, UTC, _ANY_DAY, None) if found else None
        if not found or not moment:
            return b"", line
        text = line[found.end :].removeprefix(b" ")
        return _key(moment, found.fraction), text.partition(b" ")[2] if self._stamps is Stamps.JOURNAL else text

    def _free(self, line: bytes) -> tuple[Entry, int]:
        """Return a line, and how many lines it is after the last one with a time."""
        found = read_line(line)
        moment = moment_of(found, self._zone, self._now, self._moment) if found else None
        if found and moment:
            self._moment, self._without = moment, 0
            self._last = max(_key(moment, found.fraction), self._last)
        else:
            self._without += 1
            self._zoneless = self._zoneless or (found is not None and self._zone is None)
        return (self._last, cut(line, self._limit)), self._without

    def _new(self, entries: list[tuple[Entry, int]]) -> list[Entry]:
        """Return the lines that are new enough, and those for which that is unknown."""
        kept: list[Entry] = []
        for entry, behind in entries:
            if not entry[0]:
                self._held.append(entry)
                continue
            if self._held:
                # They come before the first line with a time, so they are not newer.
                kept += [(entry[0], text) for _, text in self._held] if entry[0] >= self._since else []
                self._held.clear()
            if entry[0] >= self._since:
                kept.append(entry)
            elif behind > CONTINUED:
                self.blind = True
                kept.append(entry)
        return kept + self.flush() if not self._waits or len(self._held) > HELD else kept


def key_of(seconds: float) -> bytes:
    """Return the key of a time in seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000").encode()


def _key(moment: datetime, fraction: bytes) -> bytes:
    """Return the key of a moment in whole seconds, with the digits of its fraction."""
    return moment.isoformat().encode()[:_WHOLE] + b"." + fraction[:_DIGITS].ljust(_DIGITS, b"0")
