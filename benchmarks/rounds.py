"""Timing several sides in turns, so that whatever else the machine does falls on all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.table import BESIDE, Row, seconds

_SETTLE = 0.1
"""Seconds between two timings: what one side does after its answer must not be paid for by the next."""


@dataclass(frozen=True, slots=True)
class Times:
    """What every round took on one side, in seconds."""

    all: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.all)

    def to(self, other: Times) -> float:
        """The median of the rounds' ratios to another side."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.all, other.all, strict=True))


def interleaved(*sides: Callable[[], object], rounds: int) -> list[Times]:
    """Time each side once a round, after one round that does not count."""
    for side in sides:
        side()
    taken: Sequence[list[float]] = [[] for _ in sides]
    for number in range(rounds):
        # Every other round backwards, so that no side always follows the same one.
        for at in range(len(sides))[:: 1 if number % 2 else -1]:
            time.sleep(_SETTLE)  # what the side before left to do should not count for this one
            taken[at].append(timed(sides[at]))
    return [Times(tuple(one)) for one in taken]


def timed(side: Callable[[], object]) -> float:
    """How many seconds a call takes."""
    began = time.perf_counter()
    side()
    return time.perf_counter() - began


def compared(what: str, ours: Times, peer: Times, peer_name: str, *, at_most: float | None) -> Row:
    """The row of a comparison whose ratio should be `at_most` so much; None where it only stands beside."""
    ratio = ours.to(peer)
    return Row(
        what=what,
        ours=seconds(ours.median),
        peer=f"{seconds(peer.median)} {peer_name}",
        ratio=f"{ratio:.3f}" if ratio < 1 / 10 else f"{ratio:.2f}",
        target=f"≤ {at_most:.3g}" if at_most is not None else BESIDE,
        met=ratio <= at_most if at_most is not None else None,
        count=len(ours.all),
    )
