"""Order tags that are versions, by semantic versioning 2.0.0 (semver.org, precedence in section 11).

Tags of repositories are written more freely than those of images (`domain.version_ranges`): `v1.4`, `shop/1.4.0.1`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploybot.domain.version_ranges import EarlyOrder, early_order

_VERSION = re.compile(
    r"(?:.*?[^0-9A-Za-z.])?[vV]?(?P<numbers>\d{1,9}(?:\.\d{1,9}){0,3})(?:-(?P<early>[0-9A-Za-z][0-9A-Za-z.-]*))?(?:\+[0-9A-Za-z.-]+)?",
    re.ASCII,
)
_MOST = 4


@dataclass(frozen=True, slots=True, order=True)
class SemanticVersion:
    """A version; greater means later. A release is later than all of its pre-releases."""

    numbers: tuple[int, ...]
    whole: bool = True
    early: EarlyOrder = ()


def version_of(tag: str) -> SemanticVersion | None:
    """Return the version of a tag, with or without a prefix (`v1.4.2`, `shop-v1.4`, `shop/1.4.0-rc.1`), or None."""
    match = _VERSION.fullmatch(tag)
    if match is None:
        return None
    numbers = tuple(map(int, match["numbers"].split(".")))
    early = early_order(match["early"].split(".")) if match["early"] else ()
    return SemanticVersion(numbers + (0,) * (_MOST - len(numbers)), not early, early)
