"""Durations and sizes."""

from __future__ import annotations

import random
import secrets

import pytest

from deploybot.units import duration, show_duration, show_size, size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172800), ("1w", 604800), ("0.5h", 1800), (45, 45), (1.5, 1.5)],
)
def test_durations_are_read(text: object, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "5", "5 m", "m", "-5m", "1h 30m", "٣m", True, None, -1, float("nan"), float("inf"), "9999w"]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="should be a duration"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("500MB", 500_000_000), ("2 GiB", 2 * 2**30), ("1.5k", 1500), ("10", 10), ("7kib", 7168), (12, 12), (" 3b ", 3)],
)
def test_sizes_are_read(text: object, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "big", "5 XB", "5i", "-1", -1, True, 1.5, None, "1_000"])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="should be a size"):
        size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.7, "1 min"),
        (200, "3 min 20 s"),
        (800, "13 min"),
        (3599.7, "1 h"),
        (7500, "2 h 5 min"),
        (266400, "3 d 2 h"),
        (777600, "9 d"),
    ],
)
def test_durations_are_shown(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_600, "1.0 MB"), (12 * 10**9, "12 GB"), (-1, "unknown")],
)
def test_sizes_are_shown(count: int, text: str) -> None:
    assert show_size(count) == text


def test_no_unit_is_shown_sixty_or_a_thousand_times() -> None:
    seed = secrets.randbits(32)
    rng = random.Random(seed)
    for _ in range(2000):
        seconds, count = rng.uniform(0, 10**6), rng.randrange(10**12)
        assert not show_duration(seconds).startswith("60 "), f"seed={seed} {seconds}"
        assert not show_size(count).startswith("1000 "), f"seed={seed} {count}"
