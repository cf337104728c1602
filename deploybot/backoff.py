"""Pauses between retries: they grow after each failure in a row, up to a limit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploybot.errors import Unreachable

_MOST_STEPS = 60
"""Growth stops after this many failures, so that the number does not overflow."""


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
    """Return how many seconds the other side asked the bot to wait; 0.0 if it did not say."""
    return problem.retry_after if isinstance(problem, Unreachable) else 0.0
