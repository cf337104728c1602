"""When the lines of a log were written. No I/O.

A time is a key that sorts: UTC as `2026-11-21T01:23:45.123456789`, or nothing where it is unknown. Docker writes
RFC 3339; `journalctl -o short-iso-precise` ISO 8601, then the host; in files and outputs of commands a line may
begin with a time or not. A line without one, such as a line of a stack trace, has the time of the line before.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Entry = tuple[bytes, bytes]
"""A line: the key of its time, and its text."""
Wanted = Callable[[Entry], bool] | None
"""Which lines are wanted; None for all."""

_STAMP = re.compile(
    rb"\[?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(?:\s?(Z|UTC|[+-]\d\d:?\d\d))?(?![\d:])"
)
DOCKER_WIDTH = 31
"""Bytes of the time that Docker writes, with the blank behind it."""
_EXACT = 29
"""Where the Z stands in the times that Docker writes."""


class Stamps(enum.Enum):
    """Where the lines of a source have their time."""

    DOCKER = "in front, and no part of the text"
    JOURNAL = "in front, then the host"
    FREE = "perhaps in front, and part of the text"
    NONE = "it is not asked for"


class Timer:
    """Reads the times of one source's lines, which never go backwards."""

    def __init__(self, stamps: Stamps) -> None:
        self._stamps = stamps
        self._last = b""

    def entries(self, lines: list[bytes]) -> list[Entry]:
        """The lines with their keys."""
        if self._stamps is Stamps.NONE:
            return [(b"", line) for line in lines]
        return [self._entry(line) for line in lines]

    def _entry(self, line: bytes) -> Entry:
        if self._stamps is Stamps.DOCKER and line[_EXACT : _EXACT + 2] == b"Z ":
            key, text = line[:_EXACT], line[_EXACT + 2 :]
        else:
            key, text = self._read(line)
        # Two streams of one container may overtake each other by a hair: their order is the container's.
        self._last = max(key, self._last)
        return self._last, text

    def _read(self, line: bytes) -> Entry:
        match = _STAMP.match(line)
        if not match:
            return b"", line
        if self._stamps is Stamps.FREE:
            return _key(match), line
        text = line[match.end() :].removeprefix(b" ")
        return _key(match), text.partition(b" ")[2] if self._stamps is Stamps.JOURNAL else text


def key_of(seconds: float) -> bytes:
    """The key of a time in seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000").encode()


def _key(match: re.Match[bytes]) -> bytes:
    """The key of what `_STAMP` found; a time without a zone is taken for UTC."""
    day, clock, fraction, zone = match.groups()
    fraction = (fraction or b"").ljust(9, b"0")
    if zone and zone[:1] in b"+-" and zone[1:].strip(b"0:"):
        sign, digits = (-1 if zone[:1] == b"-" else 1), zone[1:].replace(b":", b"")
        ahead = sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        try:
            moved = datetime.fromisoformat(f"{day.decode()}T{clock.decode()}") - ahead
        except (ValueError, OverflowError):
            return b""
        return moved.isoformat().encode() + b"." + fraction
    return day + b"T" + clock + b"." + fraction
