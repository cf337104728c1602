"""What a run leaves out to be quick: `make test EVERYTHING=1` leaves out nothing."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

EVERYTHING = os.environ.get("EVERYTHING") == "1"


def one_of(choices: Sequence[T], name: str) -> T:
    """Return the choice whose turn it is for a test of this name: the same one each time, another for other tests."""
    return choices[zlib.crc32(name.encode()) % len(choices)]


def part_of(every: Iterable[T], share: int, *, of: int) -> list[T]:
    """Return each n-th of them, beginning with number `share`, where `of` is n; all of them with EVERYTHING."""
    return [*every] if EVERYTHING else [*every][share % of :: of]
