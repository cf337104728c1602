"""Version ranges in npm's notation (node-semver)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from deploybot.domain.versions import NUMBER, PRE, Version, image_version

_BOUND = re.compile(
    rf"\s*(?P<sign>\^|~|>=|<=|>|<)\s*v?(?P<major>{NUMBER})(?:\.(?P<minor>{NUMBER})(?:\.(?P<patch>{NUMBER}){PRE})?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class _Bound:
    """One side of a range: at least a version, or below it."""

    version: Version
    least: bool

    def holds(self, version: Version) -> bool:
        return (version >= self.version) is self.least


@dataclass(frozen=True, slots=True)
class Range:
    """A range of versions such as `^1.4`, `~1.4.2`, `>=1.4 <2`. A version must satisfy all bounds.

    A pre-release is in the range only if a bound names a pre-release of the same version.
    """

    bounds: tuple[_Bound, ...]
    early: frozenset[tuple[int, ...]] = frozenset()

    @classmethod
    def read(cls, text: str) -> Range | None:
        """Parse a text as a range; None for any other text."""
        bounds: list[_Bound] = []
        early: set[tuple[int, ...]] = set()
        at = 0
        while match := _BOUND.match(text, at):
            bounds += _bounds(match)
            if match["pre"]:
                early.add(_numbers(match))
            at = match.end()
            if at < len(text) and not text[at].isspace():
                return None
        return cls(tuple(bounds), frozenset(early)) if bounds and not text[at:].strip() else None

    def holds(self, version: Version) -> bool:
        """Return whether a version is in the range."""
        if not version.is_release and version.numbers not in self.early:
            return False
        return all(bound.holds(version) for bound in self.bounds)

    def newest(self, tags: Iterable[str]) -> str:
        """Return the tag of the newest version in the range; empty if there is none."""
        found = ((version, tag) for tag in tags if (version := image_version(tag)) and self.holds(version))
        return max(found, default=(None, ""))[1]


def _numbers(match: re.Match[str]) -> tuple[int, ...]:
    return int(match["major"]), int(match["minor"] or 0), int(match["patch"] or 0)


def _bounds(match: re.Match[str]) -> tuple[_Bound, ...]:
    """Return the bounds of one operator. Missing parts of a version match any number."""
    version = Version(_numbers(match)).pre_release(match["pre"])
    given = 1 + (match["minor"] is not None) + (match["patch"] is not None)
    after = _below(_next(version.numbers, given - 1))
    whole = given == len(version.numbers)
    match match["sign"]:
        case "^":
            return _Bound(version, least=True), _below(_next(version.numbers, _caret(version.numbers, given)))
        case "~":
            return _Bound(version, least=True), _below(_next(version.numbers, min(given - 1, 1)))
        case ">=":
            return (_Bound(version, least=True),)
        case "<":
            return (_Bound(version if whole else _first(version.numbers), least=False),)
        case ">":
            return (_above(version) if whole else _Bound(after.version, least=True),)
        case _:
            return (_up_to(version) if whole else after,)


def _caret(numbers: tuple[int, ...], given: int) -> int:
    """Return which number must not grow: the first given one that is not 0."""
    return next((position for position, number in enumerate(numbers[:given]) if number), given - 1)


def _next(numbers: tuple[int, ...], position: int) -> tuple[int, ...]:
    major, minor, patch = numbers
    return ((major + 1, 0, 0), (major, minor + 1, 0), (major, minor, patch + 1))[position]


def _first(numbers: tuple[int, ...]) -> Version:
    """Return the lowest pre-release of a version."""
    return Version(numbers).pre_release("0")


def _below(numbers: tuple[int, ...]) -> _Bound:
    return _Bound(_first(numbers), least=False)


def _above(version: Version) -> _Bound:
    """Return the bound for more than a version: the next version that can exist."""
    if not version.is_release:
        return _Bound(version.pre_release("0"), least=True)
    return _Bound(_first(_next(version.numbers, 2)), least=True)


def _up_to(version: Version) -> _Bound:
    """Return the bound for at most a version."""
    return _Bound(_above(version).version, least=False)
