"""Reading when lines were written."""

from __future__ import annotations

import pytest

from deploybot.observe.times import Stamps, Timer, key_of

KEY = b"2026-11-21T01:23:45.120000000"


@pytest.mark.parametrize(
    ("stamps", "line", "key", "text"),
    [
        (Stamps.DOCKER, b"2026-11-21T01:23:45.120000000Z hello", KEY, b"hello"),
        (Stamps.DOCKER, b"2026-11-21T02:23:45.12+01:00 hello", KEY, b"hello"),
        (Stamps.DOCKER, b"2026-11-20T19:53:45.12-05:30 hello", KEY, b"hello"),
        (Stamps.DOCKER, b"2026-11-21T01:23:45Z hello", b"2026-11-21T01:23:45.000000000", b"hello"),
        (Stamps.DOCKER, b"2026-11-21T01:23:45.120000000Z ", KEY, b""),
        (Stamps.DOCKER, b"the rest of a line", b"", b"the rest of a line"),
        (Stamps.JOURNAL, b"2026-11-21T01:23:45.120000+0000 web1 app[7]: hello", KEY, b"app[7]: hello"),
        (Stamps.FREE, b"2026-11-21 01:23:45,120 INFO hello", KEY, b"2026-11-21 01:23:45,120 INFO hello"),
        (Stamps.FREE, b"[2026-11-21T02:23:45.12+01:00] hello", KEY, b"[2026-11-21T02:23:45.12+01:00] hello"),
        (Stamps.FREE, b"2026-99-99 99:99:99 +02:00 hello", b"", b"2026-99-99 99:99:99 +02:00 hello"),
        (Stamps.FREE, b"0001-01-01 00:00:00 +02:00 hello", b"", b"0001-01-01 00:00:00 +02:00 hello"),
        (Stamps.FREE, b"no time", b"", b"no time"),
        (Stamps.NONE, b"2026-11-21T01:23:45.120000000Z hello", b"", b"2026-11-21T01:23:45.120000000Z hello"),
    ],
)
def test_a_line_has_a_time_and_a_text(stamps: Stamps, line: bytes, key: bytes, text: bytes) -> None:
    assert Timer(stamps).entries([line]) == [(key, text)]


def test_a_line_without_a_time_has_that_of_the_line_before() -> None:
    lines = [b"2026-11-21 01:23:45.12 error", b"  at line 1", b"  at line 2"]
    assert [key for key, _ in Timer(Stamps.FREE).entries(lines)] == [KEY] * 3


def test_times_never_go_backwards() -> None:
    lines = [b"2026-11-21T01:23:45.120000000Z a", b"2026-11-21T01:23:45.110000000Z b"]
    assert Timer(Stamps.DOCKER).entries(lines) == [(KEY, b"a"), (KEY, b"b")]


def test_the_key_of_a_number() -> None:
    assert key_of(1795224225.12) == KEY
