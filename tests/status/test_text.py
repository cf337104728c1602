"""What is left of the bytes of a log."""

from __future__ import annotations

import random

import pytest

from deploybot.applogs.log_text import LogLines, cut
from deploybot.masking import clean

TIME = b"2026-11-21T01:23:45.123456789Z "


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        (b"plain\n", b"plain\n"),
        (b"\x1b[1;31mred\x1b[0m and \x1b[Kmore\n", b"red and more\n"),
        (b"\x1b]0;title\x07text\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n", b"textlink\n"),
        (b"\x1b(Bcharset\x1b=\x1bM\x1bPstring\x1b\\end\n", b"charsetend\n"),
        (b"\x1b]unfinished\nnext\n", b"\nnext\n"),
        (b"bell\x07 nul\x00 back\x08 del\x7f tab\tend\n", b"bell nul back del tab\tend\n"),
        ("é \x9b31m €\n".encode(), "é 31m €\n".encode()),
        (b"\xff\xfe broken \xc3\n", "\ufffd\ufffd broken \ufffd\n".encode()),
        (b"dos\r\ndouble\r\r\n", b"dos\ndouble\n"),
        (b" 10%\r 50%\r100%\nafter\n", b"100%\nafter\n"),
        (TIME + b" 10%\r100%\r\n" + TIME + b"x\n", TIME + b"100%\n" + TIME + b"x\n"),
    ],
)
def test_lines_are_as_a_person_would_have_read_them(raw: bytes, seen: bytes) -> None:
    assert clean(raw) == seen


def test_many_signs_that_go_back_are_read_once() -> None:
    """Read anew from each of them, it took minutes."""
    assert clean(b"\r" * (1 << 20) + b"end\n") == b"end\n"


def test_every_byte_is_survived() -> None:
    junk = bytes(range(256)) * 4
    assert clean(junk).decode()
    assert all(byte in b"\t\n" or byte >= 32 for byte in clean(junk))


def test_a_long_line_is_cut_between_characters() -> None:
    assert cut(b"short", 5) == b"short"
    assert cut("aé".encode() * 3, 5) == "aéa …".encode()


def test_pieces_become_lines() -> None:
    lines = LogLines(100)
    assert lines.feed(b"one\ntw") == [b"one"]
    assert lines.feed(b"o\n\nthr") == [b"two", b""]
    assert lines.flush() == [b"thr"]
    assert lines.flush() == []


def test_of_a_line_of_a_megabyte_no_more_than_the_limit_is_kept() -> None:
    lines = LogLines(10)
    for _ in range(1000):
        assert lines.feed(b"x" * 1000) == []
        assert len(lines._rest) == 11
    assert lines.feed(b"\nnext\n") == [b"x" * 10 + " …".encode(), b"next"]


def test_blocks_hold_the_same_lines() -> None:
    dice = random.Random(7)
    for _ in range(2000):
        text = b"".join(dice.choice([b"\n", b"x" * dice.randrange(1, 14), b"yz"]) for _ in range(dice.randrange(30)))
        one_by_one, as_blocks, blocks = LogLines(10), LogLines(10), b""
        expected: list[bytes] = []
        while text:
            size = dice.randrange(1, 40)
            piece, text = text[:size], text[size:]
            expected += one_by_one.feed(piece)
            blocks += as_blocks.block(piece)
        assert blocks == b"".join(line + b"\n" for line in expected)
        assert as_blocks.flush() == one_by_one.flush()
