"""Patterns for branches and tags: `*` matches anything but a slash, `**` anything, `?` one character."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

# Three or more stars mean the same as two.
_PARTS = re.compile(r"\*{2,}|.", re.DOTALL)


class _Marks(NamedTuple):
    """Bit masks of a pattern's parts: letters, any character, stars, double stars; and the bit after the last part."""

    letters: Mapping[str, int]
    ones: int
    stars: int
    deep: int
    end: int


def fits(pattern: str, name: str) -> bool:
    """Return whether a name matches a pattern as a whole.

    A regular expression with several stars can backtrack millions of times, and anyone who may push a branch chooses
    its name. Here all ways are followed at once: bit `n` of `ways` is set if the first `n` parts can match the text so
    far.
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
    """Return whether a name matches any of the patterns."""
    return any(fits(pattern, name) for pattern in patterns)


@functools.lru_cache(maxsize=256)
def _marks(pattern: str) -> _Marks:
    """Return the masks of a pattern. Bit `n` of each mask is for part `n`."""
    parts = _PARTS.findall(pattern)
    letters: dict[str, int] = {}
    deep = stars = ones = 0
    for bit, part in ((1 << position, part) for position, part in enumerate(parts)):
        deep |= bit * (len(part) > 1)
        stars |= bit * (part[0] == "*")
        ones |= bit * (part == "?")
        if part[0] not in "*?":
            letters[part] = letters.get(part, 0) | bit
    return _Marks(letters, ones, stars, deep, 1 << len(parts))
