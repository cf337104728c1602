"""Frames of a log, whole and cut anywhere."""

from __future__ import annotations

import struct

import pytest

from deploybot.engine.log_frames import Frames

TIME = b"2026-11-21T01:23:45.123456789Z "
LATER = b"2026-11-21T01:23:46.000000000Z "


def frame(stream: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(payload)) + payload


def split(data: bytes, place: int) -> tuple[bytes, bytes]:
    return data[:place], data[place:]


def test_frames_cut_at_every_place_come_out_joined() -> None:
    body = frame(1, TIME + b"out\n") + frame(2, TIME + b"err\n") + frame(1, b"") + frame(1, LATER + b"more\n")
    for place in range(len(body) + 1):
        frames = Frames()
        joined = b"".join(map(frames.feed, split(body, place)))
        assert joined == TIME + b"out\n" + TIME + b"err\n" + LATER + b"more\n"


def test_a_terminal_has_no_frames() -> None:
    assert Frames().feed(TIME + b"\x01 hello\r\n") == TIME + b"\x01 hello\r\n"


@pytest.mark.parametrize("time", [LATER, b"2026-11-21T02:23:46.000000000+01:00 ", b"2026-11-21T02:23:46Z "])
def test_a_line_that_the_engine_cut_is_one_line_again(time: bytes) -> None:
    body = frame(1, TIME + b"a" * 50) + frame(1, time + b"b" * 50) + frame(1, time + b"c\n") + frame(1, TIME + b"d\n")
    for place in range(len(body) + 1):
        frames = Frames()
        joined = b"".join(map(frames.feed, split(body, place)))
        assert joined == TIME + b"a" * 50 + b"b" * 50 + b"c\n" + TIME + b"d\n"


def test_a_short_last_part_is_not_waited_for() -> None:
    frames = Frames()
    assert frames.feed(frame(1, TIME + b"a") + frame(1, b"b\n")) == TIME + b"ab\n"


def test_where_the_other_stream_speaks_within_a_line_both_keep_their_times() -> None:
    body = frame(1, TIME + b"half") + frame(2, TIME + b"err\n") + frame(1, LATER + b" a line\n")
    assert Frames().feed(body) == TIME + b"half\n" + TIME + b"err\n" + LATER + b" a line\n"
