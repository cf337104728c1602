"""Pauses between retries."""

from __future__ import annotations

from itertools import islice

import pytest

from deploybot.backoff import Backoff, requested_pause
from deploybot.errors import StoreError, Unreachable


def test_pauses_double_up_to_the_longest() -> None:
    assert list(islice(Backoff(0.5, 3.0), 5)) == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_pauses_grow_by_their_factor() -> None:
    assert list(islice(Backoff(1.0, 9.0, factor=1.5), 3)) == [1.0, 1.5, 2.25]


def test_a_first_pause_longer_than_the_longest_is_cut() -> None:
    assert Backoff(5.0, 3.0).after(1) == 3.0


@pytest.mark.parametrize(
    ("number", "pauses"), [(0.0, [0.5, 1.0, 2.0]), (0.5, [0.75, 1.5, 3.0]), (1.0, [1.0, 2.0, 4.0])]
)
def test_jitter_shortens_pauses_by_up_to_half(number: float, pauses: list[float]) -> None:
    assert list(islice(Backoff(1.0, 60.0, jitter=lambda: number), 3)) == pauses


def test_a_very_long_row_of_failures_waits_the_longest_pause() -> None:
    assert Backoff(0.001, 60.0).after(100_000) == 60.0


def test_every_row_of_failures_begins_with_the_first_pause() -> None:
    backoff = Backoff(1.0, 9.0)
    assert list(islice(backoff, 2)) == list(islice(backoff, 2)) == [1.0, 2.0]


def test_only_the_other_side_asks_for_a_pause() -> None:
    problems = (Unreachable("x", "slow", retry_after=7.0), Unreachable("x", "down"), StoreError("full"), TimeoutError())
    assert [requested_pause(one) for one in problems] == [7.0, 0.0, 0.0, 0.0]
