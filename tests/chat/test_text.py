"""What a terminal is given: nothing that steers it, and nothing wider than it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from deploybot.chat.console.terminal_text import clean, clean_line, cut, pad, wrap

NASTY = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\x1b[]()\x9b\x9d;m0123456789\x07\r\n\t\u202e\u2066\u200b\ufeff\ud800\U000e0041漢́"),
    ),
    max_size=60,
)


@pytest.mark.parametrize("begin", ["\x90", "\x9d", "\x1b]", "\x1bP", "\x9b", "\x1b["])
def test_many_sequences_that_do_not_end_are_read_once(begin: str) -> None:
    """Read anew from each of them, they took minutes: a log or a message of others would have stopped the bot."""
    assert clean(begin * (1 << 19) + "\nend").endswith("\nend")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]unfinished\nnext", "unfinished\nnext"),
        ("\x1bPdevice\x1b\\text", "text"),
        ("\x1b(0lqk", "lqk"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("\u2066a\u2069\u200b\ufeff\u00ad", "a"),
        ("tab\there", "tab     here"),
        ("one\r\ntwo\rthree\u2028four\x0bfive", "one\ntwo\nthree\nfour\nfive"),
        ("nul\0bell\adel\x7f", "nulbelldel"),
        ("half \ud800 pair", "half \ufffd pair"),
        ("z\u0301\u0302\u0303\u0304\u0305\u0306", "z\u0301\u0302\u0303"),
        ("[bold]literal[/bold] `x` *y*", "[bold]literal[/bold] `x` *y*"),
        ("hidden\U000e0041\U000e0042tags", "hiddentags"),
    ],
)
def test_clean(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(NASTY)
def test_nothing_steers_the_terminal(text: str) -> None:
    shown = clean(text)
    assert not [sign for sign in shown if unicodedata.category(sign) in {"Cc", "Cs"} and sign != "\n"]
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\ufeff")
    assert clean(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("10%\r50%\r100%", "100%"), ("done\r\n", "done"), ("a\u2028b", "a b"), ("\r", ""), ("x\n", "x")],
)
def test_a_line_is_one_line(text: str, shown: str) -> None:
    assert clean_line(text) == shown


def test_wrap_keeps_indentation_and_breaks_at_blanks() -> None:
    assert wrap("  one two three four", 12) == ["  one two", "  three four"]
    assert wrap("abcdefghij kl", 4) == ["abcd", "efgh", "ij", "kl"]
    assert wrap("漢字漢字 x", 4) == ["漢字", "漢字", "x"]
    assert wrap("as it is, however long", None) == ["as it is, however long"]
    assert wrap("", 10) == [""]


def test_wrap_does_not_part_a_number_from_its_unit() -> None:
    assert wrap("switch 0.1 s", 10) == ["switch", "0.1 s"]


@given(NASTY, st.integers(2, 40))
def test_nothing_is_wider_than_asked(text: str, width: int) -> None:
    shown = clean(text)
    assert all(cell_len(line) <= width for line in wrap(shown, width))
    assert cell_len(cut(clean_line(text), width)) <= width


@given(st.text(st.characters(categories=["L", "N"]), max_size=40), st.integers(2, 20))
def test_wrapping_loses_nothing(text: str, width: int) -> None:
    assert "".join(wrap(text, width)) == text


def test_pad_and_cut() -> None:
    assert pad("漢", 4) == "漢  "
    assert cut("abcdef", 4) == "abc…"
    assert cut("abcd", 4) == "abcd"
