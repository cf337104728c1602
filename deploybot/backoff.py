"""Pauses between retries: those that grow after each failure in a row, and those that the other side asks for."""

from __future__ import annotations

import email.utils
import itertools
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass

from deploybot.errors import Unreachable

_MOST_STEPS = 60
"""Growth stops after this many failures, so that the number does not overflow."""
_LONGEST_REQUESTED = 86400.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses in seconds: `first`, then each `factor` times as long as the one before, and at most `longest`.

    `jitter` returns numbers from 0 to 1. With it, pauses are shortened by up to half, so that retries are spread.
    Iterating yields the pauses without end.
    """

    first: float
    longest: float
    factor: float = 2.0
    jitter: Callable[[], float] | None = None

    def after(self, failures: int) -> float:
        """Return the pause after this many failures in a row."""
        pause = min(self.first * self.factor ** min(failures - 1, _MOST_STEPS), self.longest)
        return pause if self.jitter is None else pause * (0.5 + self.jitter() / 2)

    def __iter__(self) -> Iterator[float]:
        """Yield the pauses after the first failure, the second, and so on."""
        return map(self.after, itertools.count(1))


def requested_pause(problem: BaseException) -> float:
    """Return how many seconds the other side asked the bot to wait; 0.0 if it named no time."""
    return problem.retry_after if isinstance(problem, Unreachable) else 0.0


def requested_seconds(retry_after: str, now: float) -> float | None:
    """Parse the value of a Retry-After header (RFC 9110, 10.2.3), a number or a date, into seconds from 0 to a day.

    Return None if it is neither. `now` is in seconds since the epoch.
    """
    text = retry_after.strip()
    try:
        is_number = text.isascii() and text.isdigit()
        seconds = float(text) if is_number else email.utils.parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_REQUESTED)


def pause_in_headers(headers: Mapping[str, str], now: float) -> float:
    """Return the seconds from 0 to a day that an HTTP answer asks to wait; 0.0 if it does not ask.

    Reads `Retry-After` (RFC 9110, 10.2.3), and the headers that GitHub (`x-ratelimit-…`) and GitLab (`RateLimit-…`)
    document. `now` is in seconds since the epoch.
    """
    fields = {name.lower(): value for name, value in headers.items()}
    asked = requested_seconds(fields.get("retry-after", ""), now) or 0.0
    for prefix in ("x-ratelimit-", "ratelimit-"):
        reset = fields.get(prefix + "reset", "")
        if not asked and fields.get(prefix + "remaining") == "0" and reset.isascii() and reset.isdigit():
            asked = float(reset) - now
    return min(max(asked, 0.0), _LONGEST_REQUESTED)


class RequestedPauses:
    """Pauses that the other side asked for, each in one channel or for one kind of call."""

    def __init__(self) -> None:
        """Start without pauses."""
        self._ends: dict[Hashable, float] = {}

    def note(self, key: Hashable, seconds: float) -> None:
        """Begin a pause for a key."""
        self._ends[key] = time.monotonic() + seconds

    def check(self, what: str, key: Hashable) -> None:
        """Raise Unreachable while the pause of a key lasts."""
        left = self._ends.get(key, 0.0) - time.monotonic()
        if left > 0:
            raise Unreachable(what, "it asked the bot to slow down", retry_after=left)
        self._ends.pop(key, None)
