"""Read versions as written in image tags, in tags of repositories, and by programs; compare them.

Versions of tags have the order of semantic versioning 2.0.0 (semver.org, 11).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NUMBER = r"(?:0|[1-9]\d*)"
PRE = r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
_IMAGE = re.compile(rf"v?(?P<numbers>{NUMBER}\.{NUMBER}\.{NUMBER}){PRE}(?:\+[0-9A-Za-z.-]+)?", re.ASCII)
_TAG = re.compile(
    r"(?:.*?[^0-9A-Za-z.])?[vV]?(?P<numbers>\d{1,9}(?:\.\d{1,9}){0,3})(?:-(?P<pre>[0-9A-Za-z][0-9A-Za-z.-]*))?(?:\+[0-9A-Za-z.-]+)?",
    re.ASCII,
)
_PROGRAM = re.compile(r"v?(\d{1,9})\.(\d{1,9})(?:\D.*)?", re.ASCII | re.DOTALL)
_MOST = 4

_EarlyOrder = tuple[tuple[bool, int, str], ...]


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A version; greater means later. A release is later than all of its pre-releases."""

    numbers: tuple[int, ...]
    is_release: bool = True
    early: _EarlyOrder = ()

    def pre_release(self, pre: str | None) -> Version:
        """Return the version with the parts of `pre`, such as `rc.1`, after its own ones; itself if there are none."""
        if not pre:
            return self
        # Numbers come before words.
        early = ((False, int(part), "") if part.isdecimal() else (True, 0, part) for part in pre.split("."))
        return Version(self.numbers, is_release=False, early=(*self.early, *early))


def image_version(tag: str) -> Version | None:
    """Return the version of an image's tag: `1.4.2`, `v1.4.2-rc.1`; None for any other tag.

    `1.4` is not a version, because such tags move on to the newest image.
    """
    return _read(_IMAGE.fullmatch(tag), 3)


def tag_version(tag: str) -> Version | None:
    """Return the version of a repository's tag; None for any other tag.

    People write them more freely: `v1.4`, `shop-v1.4`, `shop/1.4.0-rc.1`, `1.4.0.1`.
    """
    return _read(_TAG.fullmatch(tag), _MOST)


def major_minor(text: str) -> tuple[int, int] | None:
    """Return the first two numbers of a program's version: `2.26.1`, `v2.24.5-desktop.1`, `1.41`; None without them."""
    match = _PROGRAM.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None


def _read(match: re.Match[str] | None, places: int) -> Version | None:
    """Return a version with this many numbers. Missing ones are 0."""
    if match is None:
        return None
    numbers = tuple(map(int, match["numbers"].split(".")))
    return Version(numbers + (0,) * (places - len(numbers))).pre_release(match["pre"])
