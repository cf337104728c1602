"""Patterns of branches and tags: `*` stands for anything but a slash, `**` for anything, `?` for one character."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

# Several stars together are as good as two.
_PARTS = re.compile(r"\*{2,}|.", re.DOTALL)


class _Marks(NamedTuple):
    """Which parts of a pattern are a letter, any one sign, a star, two stars; and the bit behind the last part."""

    letters: Mapping[str, int]
    ones: int
    stars: int
    deep: int
    end: int


def fits(pattern: str, name: str) -> bool:
    """Whether a name matches a pattern as a whole.

    With several stars there are millions of ways to try one after the other, as a regular expression does, and whoever
    may push a branch chooses its name: here all ways are followed at once. Bit `n` of `ways` says that the first `n`
    parts can stand for what was read so far.
    """
    marks = _marks(pattern)
    ways = 1 | (marks.stars & 1) << 1
    for sign in name:
        inside = sign != "/"
        stay = ways & (marks.stars if inside else marks.deep)
        ways = stay | (ways & (marks.letters.get(sign, 0) | marks.ones * inside)) << 1
        ways |= (ways & marks.stars) << 1
    return bool(ways & marks.end)


def fits_any(patterns: Iterable[str], name: str) -> bool:
    """Whether a name matches one of them."""
    return any(fits(pattern, name) for pattern in patterns)


@functools.lru_cache(maxsize=256)
def _marks(pattern: str) -> _Marks:
    """Bit `n` of each mark is about part `n`."""
    parts = _PARTS.findall(pattern)
    letters: dict[str, int] = {}
    deep = stars = ones = 0
    for bit, part in ((1 << place, part) for place, part in enumerate(parts)):
        deep |= bit * (len(part) > 1)
        stars |= bit * (part[0] == "*")
        ones |= bit * (part == "?")
        if part[0] not in "*?":
            letters[part] = letters.get(part, 0) | bit
    return _Marks(letters, ones, stars, deep, 1 << len(parts))
