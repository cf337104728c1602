"""Pauses between retries."""

from __future__ import annotations

from email.utils import formatdate
from itertools import islice

import pytest

from deploybot.backoff import Backoff, RequestedPauses, pause_in_headers, requested_pause, requested_seconds
from deploybot.errors import StoreError, Unreachable

NOW = 1_800_000_000.0


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


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("9" * 400, 86400.0),
        ("Thu, 01 Jan 2170 00:00:00 GMT", 86400.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("Thu, 99 Jan 2000 00:00:00 GMT", None),
    ],
)
def test_requested_seconds(header: str, seconds: float | None) -> None:
    assert requested_seconds(header, now=60.0) == seconds


def test_a_requested_pause_holds_for_its_key_alone() -> None:
    pauses = RequestedPauses()
    pauses.note("chat", 60.0)
    pauses.check("Slack", "another chat")
    with pytest.raises(Unreachable, match="Slack") as caught:
        pauses.check("Slack", "chat")
    assert 59.0 < caught.value.retry_after <= 60.0


def test_a_requested_pause_ends() -> None:
    pauses = RequestedPauses()
    pauses.note("chat", 0.0)
    pauses.check("Slack", "chat")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30),
        ({"retry-after": formatdate(NOW + 90, usegmt=True)}, 90),
        ({"Retry-After": formatdate(NOW - 90, usegmt=True)}, 0),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "٣"}, 0),
        ({"Retry-After": "99999999999"}, 86_400),
        ({"Retry-After": "9" * 5_000}, 86_400),
        ({"Retry-After": "Fri, 31 Dec 99999999999999999999 23:59:59 +0000"}, 0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "²"}, 0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9" * 5_000}, 86_400),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW) + 40)}, 40),
        ({"X-RateLimit-Remaining": "7", "X-RateLimit-Reset": str(int(NOW) + 40)}, 0),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": str(int(NOW) + 50)}, 50),
        ({}, 0),
    ],
)
def test_how_long_it_wants_to_be_left_alone(headers: dict[str, str], seconds: float) -> None:
    assert pause_in_headers(headers, NOW) == seconds
