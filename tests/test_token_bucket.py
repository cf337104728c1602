"""Limits of how often something may happen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybot.token_bucket import Allowances, TokenBucket


def test_a_number_at_once_and_then_the_rate() -> None:
    bucket = TokenBucket(rate=0.5, size=2)
    assert [bucket.take_if_free(10.0) for _ in range(3)] == [0.0, 0.0, 2.0]
    assert bucket.take_if_free(11.0) == pytest.approx(1.0)
    assert bucket.take_if_free(12.0) == 0.0
    assert bucket.take_if_free(12.0) == pytest.approx(2.0)


def test_a_bucket_is_never_fuller_than_full() -> None:
    bucket = TokenBucket(rate=1.0, size=2)
    bucket.take(0.0)
    assert not bucket.is_full(0.5)
    assert bucket.is_full(1_000.0)
    assert [bucket.take_if_free(1_000.0) for _ in range(3)] == [0.0, 0.0, 1.0]


def test_a_refusal_costs_nothing() -> None:
    bucket = TokenBucket(rate=1.0, size=1)
    assert [bucket.take_if_free(0.0) for _ in range(9)] == [0.0] + [1.0] * 8


def test_a_reserve_stays() -> None:
    bucket = TokenBucket(rate=1.0, size=4)
    for _ in range(2):
        assert bucket.wait(0.0, reserve=2) == 0.0
        bucket.take(0.0)
    assert (bucket.wait(0.0, reserve=2), bucket.wait(0.0)) == (1.0, 0.0)


def test_a_restart_counts_from_now_on() -> None:
    bucket = TokenBucket(rate=1.0, size=1)
    bucket.restart(0.0)
    assert bucket.wait(0.0) == 0.0, "nothing was taken"
    bucket.take(0.0)
    bucket.restart(5.0)
    assert bucket.wait(5.0) == 1.0


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    bucket = TokenBucket(rate=1.0, size=2)
    bucket.take(5_000.0)
    assert bucket.take_if_free(1_000.0) == 0.0
    assert bucket.take_if_free(1_001.0) == 0.0


@given(st.lists(st.floats(0.0, 3.0), max_size=60), st.integers(1, 5), st.floats(0.1, 5.0))
def test_no_time_sees_more_than_the_burst_and_the_rate(pauses: list[float], size: int, rate: float) -> None:
    bucket, now, taken = TokenBucket(rate, size), 0.0, list[float]()
    for pause in pauses:
        now += pause
        if not bucket.take_if_free(now):
            taken.append(now)
    for at, start in enumerate(taken):
        for number, end in enumerate(taken[at:], 1):
            assert number <= size + (end - start) * rate + 1e-6


def test_each_key_has_its_own_allowance() -> None:
    allowances = Allowances(2, 60.0)
    assert [allowances.takes(key, 0.0) for key in "aaab"] == [True, True, False, True]
    assert [allowances.takes("a", now) for now in (29.0, 30.0, 31.0, 90.0, 91.0)] == [False, True, False, True, True]


def test_forgotten_keys_start_full() -> None:
    allowances = Allowances(1, 60.0, remember=2)
    assert [allowances.takes(key, 0.0) for key in "aabca"] == [True, False, True, True, True]
