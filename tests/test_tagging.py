"""Which tags of images count, in what order, and why others do not."""

from __future__ import annotations

import re

import pytest

from deploybot.domain.image_tags import (
    TagPattern,
    TagRule,
    advice_for,
    is_of_another_form,
    is_release_like,
    pattern_for,
    reasons,
)


def rule(wanted: str | TagPattern) -> TagRule:
    found = TagRule.of(wanted)
    assert found is not None
    return found


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", [r"(\d+\.?)+-x", r"(a|aa|1|11)+", r"\d*\d*\d*\d*\d*\d*\d*x"])
def test_no_tag_takes_a_pattern_long(pattern: str) -> None:
    """With backtracking, each would take years."""
    tag = "1" * 127 + "!"
    assert rule(TagPattern(pattern)).newest([tag] * 100) == ""
    assert rule(TagPattern(pattern)).why_not(tag)


@pytest.mark.parametrize(
    ("pattern", "tags", "newest"),
    [
        (r"build-(\d+)", ("build-9", "build-1559", "build-200", "1600", "build-9999x"), "build-1559"),
        (r"(\d+)\.(\d+)\.(\d+)", ("2026.02.0", "2026.10.0", "2025.12.30", "latest"), "2026.10.0"),
        (r"\d+\.\d+\.\d+\.\d+", ("1.4.9.9", "1.4.10.0", "1.5"), "1.4.10.0"),
        (r"(\d+\.\d+\.\d+-ls\d+)", ("1.4.3-ls13", "1.4.3-ls9", "1.4.3", "1.4.2-ls99"), "1.4.3-ls13"),
        (r"(\d{8}-\d{4})-[0-9a-f]{7}", ("20260211-0930-abcdef1", "20260211-1015-0000000"), "20260211-1015-0000000"),
        (r"shop-v(\d+)", ("shop-v2", "shop-v10", "blog-v99"), "shop-v10"),
        (r"main-[0-9a-f]+-(\d+)", ("main-99999999-5", "main-00000000-6"), "main-00000000-6"),
    ],
)
def test_a_pattern_takes_what_fits_it_and_the_highest_numbers(pattern: str, tags: tuple[str, ...], newest: str) -> None:
    assert rule(TagPattern(pattern)).newest(tags) == newest


def test_a_range_stays_a_range() -> None:
    found = rule("^1.4")
    assert found.newest(("1.4.2", "1.9.0", "2.0.0", "build-7", "1.4.3-ls13")) == "1.9.0"
    assert TagRule.of("latest") is None


@pytest.mark.parametrize(
    ("wanted", "tag", "why"),
    [
        ("^1.4", "1.5.0", ""),
        ("^1.4", "2.0.0", "it is not in `^1.4`"),
        ("^1.4", "2026.02.0", "a number in it begins with 0, which versions do not allow"),
        ("^1.4", "1.4.3.1", "it has 4 numbers, and a version has 3"),
        (
            "^1.4",
            "1.4.3-ls13",
            "`-ls13` makes it a pre-release, and `^1.4` does not include pre-releases of that version",
        ),
        ("^1.4", "build-1559", "it is not a version such as 1.4.2"),
        (TagPattern(r"build-(\d+)"), "1.4.2", r"it does not match `build-(\d+)`"),
        (TagPattern(r"(\w+)"), "main", r"`(\w+)` finds no number in it to sort by"),
        (TagPattern(r"(\w+)", "time"), "main", ""),
    ],
)
def test_why_a_tag_does_not_count(wanted: str | TagPattern, tag: str, why: str) -> None:
    assert rule(wanted).why_not(tag) == why


@pytest.mark.parametrize("tag", ["2026.02.0", "1.4.3-ls13", "build-1559", "1.4.3.1", "v7", "release_2026-02-11"])
def test_what_looks_like_a_release(tag: str) -> None:
    assert is_release_like(tag)
    assert is_of_another_form(rule("^1.4"), tag)
    assert re.fullmatch(pattern_for(tag), tag)
    assert rule(TagPattern(pattern_for(tag))).newest([tag]) == tag
    assert pattern_for(tag) in advice_for(tag)


@pytest.mark.parametrize(
    "tag", ["latest", "main", "sha-1234567", "0a1b2c3d4e5f", "pr-15", "2.0.0-rc.1", "1.5.0-alpha", "cache-7", "next-3"]
)
def test_what_does_not_look_like_a_release(tag: str) -> None:
    assert not is_release_like(tag)


def test_a_version_outside_of_a_range_may_be_meant_to_be() -> None:
    assert not is_of_another_form(rule("^1.4"), "2.0.0")
    assert reasons(rule("^1.4"), ("2.0.0", "latest", "2026.02.0", "build-7")) == [
        ("2026.02.0", "a number in it begins with 0, which versions do not allow"),
        ("build-7", "it is not a version such as 1.4.2"),
    ]
