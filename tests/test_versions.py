"""Versions and ranges: a table of what node-semver says, and laws that hold for all."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybot.domain.version_ranges import Range
from deploybot.domain.versions import Version, image_version, major_minor

OLD = ("0.0.3", "0.0.4", "0.3.0", "0.3.9", "0.4.0", "1.0.0", "1.3.9", "1.4.0", "1.4.2", "v1.4.10", "1.4", "v1")
NEW = ("1.5.0-rc.1", "1.5.0-rc.2", "1.5.0", "1.9.9", "2.0.0-rc.1", "2.0.0", "2.1.0", "2026.11.21")
ODD = ("latest", "1.9.10-alpine", "01.2.3", "1.2.3.4", "edge", "1.4.2_1")
TAGS = (*OLD, *NEW, *ODD)


@pytest.mark.parametrize(
    ("text", "there", "not_there", "newest"),
    [
        ("^1.4", "1.4.0 1.4.2 v1.4.10 1.5.0 1.9.9", "1.3.9 1.5.0-rc.1 2.0.0-rc.1 2.0.0 1.9.10-alpine", "1.9.9"),
        ("~1.4", "1.4.0 v1.4.10", "1.5.0-rc.1 1.5.0 1.3.9", "v1.4.10"),
        ("~1", "1.0.0 1.9.9", "0.4.0 2.0.0-rc.1 2.0.0", "1.9.9"),
        ("~1.4.2", "1.4.2 v1.4.10", "1.4.0 1.5.0", "v1.4.10"),
        ("^0.3", "0.3.0 0.3.9", "0.4.0 0.0.4", "0.3.9"),
        ("^0.0.3", "0.0.3", "0.0.4", "0.0.3"),
        ("^0.0", "0.0.3 0.0.4", "0.3.0", "0.0.4"),
        ("^0", "0.0.3 0.4.0", "1.0.0", "0.4.0"),
        (">=1.4 <2", "1.4.0 1.9.9", "2.0.0-rc.1 2.0.0 1.3.9", "1.9.9"),
        ("< 1.4.2", "1.4.0 0.0.3", "1.4.2", "1.4.0"),
        (">1.4", "1.5.0 2.1.0", "v1.4.10 1.4.2", "2026.11.21"),
        (">1.4.2 <=1.5.0", "v1.4.10 1.5.0", "1.4.2 1.9.9 1.5.0-rc.1", "1.5.0"),
        ("<=1.4", "v1.4.10 1.4.0", "1.5.0", "v1.4.10"),
        (">=1.5.0-rc.1 <1.5.0", "1.5.0-rc.1 1.5.0-rc.2", "1.5.0", "1.5.0-rc.2"),
        ("^1.5.0-rc.2", "1.5.0-rc.2 1.5.0 1.9.9", "1.5.0-rc.1 1.9.10-alpine", "1.9.9"),
        ("~v1.4.2", "1.4.2", "1.4.0", "v1.4.10"),
        ("^3", "", "2.1.0", ""),
    ],
)
def test_ranges(text: str, there: str, not_there: str, newest: str) -> None:
    wanted = Range.read(text)
    assert wanted is not None
    found = {tag for tag in TAGS if (version := image_version(tag)) and wanted.holds(version)}
    assert set(there.split()) <= found
    assert not set(not_there.split()) & found
    assert wanted.newest(TAGS) == newest


@pytest.mark.parametrize("text", ["1.4", "latest", "^", "^x", "^1.4<2", ">=1.4, <2", "^1.4.2.1", "1 || 2", "", "^01"])
def test_what_is_no_range(text: str) -> None:
    assert Range.read(text) is None


@pytest.mark.parametrize("tag", ["1.4", "v1", "latest", "01.2.3", "1.2.3.4", "1.4.2_1", "V1.2.3", "1.2.3-", ""])
def test_what_is_no_version(tag: str) -> None:
    assert image_version(tag) is None


def test_the_order_of_the_specification() -> None:
    """semver.org, 11."""
    text = (
        "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 2.0.0 2.1.0"
    )
    versions = [image_version(tag) for tag in [*text.split(), "2.1.1"]]
    orders = [version for version in versions if version]
    assert len(orders) == 11
    assert all(one < other for one, other in itertools.pairwise(orders))


NUMBERS = st.tuples(*(st.integers(0, 4) for _ in range(3)))


@given(NUMBERS, NUMBERS)
def test_carets_and_tildes_are_pairs_of_bounds(low: tuple[int, int, int], one: tuple[int, int, int]) -> None:
    major, minor, patch = low
    below = f"{major + 1}" if major else f"0.{minor + 1}" if minor else f"0.0.{patch + 1}"
    text = ".".join(map(str, low))
    version = Version(one)
    for short, long in ((f"^{text}", f">={text} <{below}"), (f"~{text}", f">={text} <{major}.{minor + 1}")):
        first, second = Range.read(short), Range.read(long)
        assert first is not None
        assert second is not None
        assert first.holds(version) is second.holds(version)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("2.26.1", (2, 26)),
        ("v2.24.5-desktop.1", (2, 24)),
        ("2.40-rc1", (2, 40)),
        ("1.41", (1, 41)),
        ("5.0.0\n", (5, 0)),
        ("", None),
        ("dev", None),
        ("2", None),
        ("2.", None),
        (".5", None),
        ("vv2.1", None),
        ("٢.٣", None),
        ("9" * 5_000 + ".1", None),
        ("1." + "9" * 5_000, None),
    ],
)
def test_versions_of_programs(text: str, numbers: tuple[int, int] | None) -> None:
    assert major_minor(text) == numbers
