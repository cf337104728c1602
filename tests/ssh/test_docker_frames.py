"""Chunked bodies and frames, whole and cut anywhere."""

from __future__ import annotations

import struct

import pytest

from deploybot.net.stream_frames import BadStream, Chunked, Frames

TIME = b"2026-11-21T01:23:45.123456789Z "
LATER = b"2026-11-21T01:23:46.000000000Z "


def frame(stream: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(payload)) + payload


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def split(data: bytes, place: int) -> tuple[bytes, bytes]:
    return data[:place], data[place:]


def test_a_chunked_body_cut_at_every_place_comes_out_whole() -> None:
    coded = chunk(b"hello") + b"6;name=value\r\n world\r\n" + chunk(b"!" * 300) + b"0\r\n\r\n"
    for place in range(len(coded) + 1):
        chunked = Chunked()
        assert b"".join(map(chunked.feed, split(coded, place))) == b"hello world" + b"!" * 300
        assert chunked.done


def test_a_body_without_its_last_chunk_is_not_done() -> None:
    chunked = Chunked()
    assert chunked.feed(chunk(b"hello")) == b"hello"
    assert not chunked.done


def test_data_that_looks_like_chunks_is_data() -> None:
    data = b"\r\n5\r\nhello\r\n0\r\n\r\n"
    chunked = Chunked()
    assert chunked.feed(chunk(data) + chunk(data)) == data + data
    assert not chunked.done


@pytest.mark.parametrize(
    "junk",
    # A size below 0 was read without an end, and the bot with it.
    [
        b"hello\r\n",
        b"<html>" * 1000,
        b"-5\r\nhello world hello world",
        b"+5\r\nhello",
        b"1_0\r\nhello",
        b"0x5\r\n",
        b"\r\n",
    ],
)
def test_a_body_that_is_not_chunked_is_refused(junk: bytes) -> None:
    with pytest.raises(BadStream):
        Chunked().feed(junk)


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
