"""Semantic versions (semver.org, 2.0.0) in image tags, and version ranges in npm's notation (node-semver).

A tag is a version only if it is complete, with or without a leading `v`: `1.4.2`, `v1.4.2-rc.1`. `1.4` is not a
version, because such tags move on to the newest image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_NUMBER = r"(?:0|[1-9]\d*)"
_PRE = r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
_VERSION = re.compile(
    rf"v?(?P<major>{_NUMBER})\.(?P<minor>{_NUMBER})\.(?P<patch>{_NUMBER}){_PRE}(?:\+[0-9A-Za-z.-]+)?", re.ASCII
)
_BOUND = re.compile(
    rf"\s*(?P<sign>\^|~|>=|<=|>|<)\s*v?(?P<major>{_NUMBER})(?:\.(?P<minor>{_NUMBER})(?:\.(?P<patch>{_NUMBER}){_PRE})?)?",
    re.ASCII,
)

Numbers = tuple[int, int, int]
EarlyOrder = tuple[tuple[bool, int, str], ...]


def early_order(parts: Iterable[str]) -> EarlyOrder:
    """Return the sort key of pre-releases of one version: numbers come before words and compare as numbers."""
    return tuple((False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts)


@dataclass(frozen=True, slots=True)
class ImageVersion:
    """A version. `pre` has the parts of a pre-release; it is empty for a release."""

    numbers: Numbers
    pre: tuple[str, ...] = ()

    @classmethod
    def read(cls, tag: str) -> ImageVersion | None:
        """Parse a tag as a version; None for any other tag."""
        match = _VERSION.fullmatch(tag)
        if match is None:
            return None
        major, minor, patch = (int(match[name]) for name in ("major", "minor", "patch"))
        return cls((major, minor, patch), _parts(match["pre"]))

    @property
    def order(self) -> tuple[object, ...]:
        """The sort key of versions (semver.org, 11): a pre-release comes before its release."""
        return (self.numbers, not self.pre, early_order(self.pre))


def _parts(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(".")) if text else ()


@dataclass(frozen=True, slots=True)
class _Bound:
    """One side of a range: at least a version, or below it."""

    version: ImageVersion
    least: bool

    def holds(self, version: ImageVersion) -> bool:
        return (version.order >= self.version.order) is self.least


@dataclass(frozen=True, slots=True)
class Range:
    """A range of versions such as `^1.4`, `~1.4.2`, `>=1.4 <2`. A version must satisfy all bounds.

    A pre-release is in the range only if a bound names a pre-release of the same version.
    """

    bounds: tuple[_Bound, ...]
    early: frozenset[Numbers] = frozenset()

    @classmethod
    def read(cls, text: str) -> Range | None:
        """Parse a text as a range; None for any other text."""
        bounds: list[_Bound] = []
        early: set[Numbers] = set()
        at = 0
        while match := _BOUND.match(text, at):
            bounds += _bounds(match)
            if match["pre"]:
                early.add(_numbers(match))
            at = match.end()
            if at < len(text) and not text[at].isspace():
                return None
        return cls(tuple(bounds), frozenset(early)) if bounds and not text[at:].strip() else None

    def holds(self, version: ImageVersion) -> bool:
        """Return whether a version is in the range."""
        if version.pre and version.numbers not in self.early:
            return False
        return all(bound.holds(version) for bound in self.bounds)

    def newest(self, tags: Iterable[str]) -> str:
        """Return the tag of the newest version in the range; empty if there is none."""
        found = ((version.order, tag) for tag in tags if (version := ImageVersion.read(tag)) and self.holds(version))
        return max(found, default=((), ""))[1]


def _numbers(match: re.Match[str]) -> Numbers:
    return int(match["major"]), int(match["minor"] or 0), int(match["patch"] or 0)


def _bounds(match: re.Match[str]) -> tuple[_Bound, ...]:
    """Return the bounds of one operator. Missing parts of a version match any number."""
    version = ImageVersion(_numbers(match), _parts(match["pre"]))
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


def _caret(numbers: Numbers, given: int) -> int:
    """Return which number must not grow: the first given one that is not 0."""
    return next((place for place, number in enumerate(numbers[:given]) if number), given - 1)


def _next(numbers: Numbers, place: int) -> Numbers:
    major, minor, patch = numbers
    return ((major + 1, 0, 0), (major, minor + 1, 0), (major, minor, patch + 1))[place]


def _first(numbers: Numbers) -> ImageVersion:
    """Return the lowest pre-release of a version."""
    return ImageVersion(numbers, ("0",))


def _below(numbers: Numbers) -> _Bound:
    return _Bound(_first(numbers), least=False)


def _above(version: ImageVersion) -> _Bound:
    """Return the bound for more than a version: the next version that can exist."""
    if version.pre:
        return _Bound(ImageVersion(version.numbers, (*version.pre, "0")), least=True)
    return _Bound(_first(_next(version.numbers, 2)), least=True)


def _up_to(version: ImageVersion) -> _Bound:
    """Return the bound for at most a version."""
    return _Bound(_above(version).version, least=False)
