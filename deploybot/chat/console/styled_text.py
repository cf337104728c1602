"""Styled text, independent of any terminal: rows of spans, and the symbols of tones."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from deploybot.card import Tone
from deploybot.chat.console.terminal_text import cut, width_of


class SpanStyle(enum.StrEnum):
    """How a span looks. The renderers choose the colours."""

    TEXT = "text"
    TITLE = "title"
    NAME = "name"
    DIM = "dim"
    KEY = "key"
    BUSY = "busy"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Span:
    """Clean text on one line in one style. It links to `url`, if there is one and the terminal can show links."""

    text: str
    look: SpanStyle = SpanStyle.TEXT
    url: str = ""


Row = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Symbols:
    """The symbols that a terminal can show: one per tone, and a few others."""

    tones: dict[Tone, str]
    hint: str
    button: str
    code: str

    def animated(self, frame: str) -> Symbols:
        """Return these with another symbol for `busy`, unless they are ASCII only."""
        return self if self.hint.isascii() else replace(self, tones={**self.tones, Tone.BUSY: frame})


UNICODE: Final = Symbols(
    {
        Tone.PLAIN: "○",
        Tone.ASK: "◆",
        Tone.BUSY: "●",
        Tone.GOOD: "✓",
        Tone.WARN: "!",
        Tone.BAD: "✗",
        Tone.UNKNOWN: "?",
    },
    hint="→",
    button="▸",
    code="│",
)
ASCII: Final = Symbols(
    {
        Tone.PLAIN: "-",
        Tone.ASK: "=",
        Tone.BUSY: "*",
        Tone.GOOD: "+",
        Tone.WARN: "!",
        Tone.BAD: "x",
        Tone.UNKNOWN: "?",
    },
    hint="->",
    button=">",
    code="|",
)
_LOOKS = {
    Tone.PLAIN: SpanStyle.DIM,
    Tone.ASK: SpanStyle.KEY,
    Tone.BUSY: SpanStyle.BUSY,
    Tone.GOOD: SpanStyle.GOOD,
    Tone.WARN: SpanStyle.WARN,
    Tone.BAD: SpanStyle.BAD,
    Tone.UNKNOWN: SpanStyle.UNKNOWN,
}


def look_of(tone: Tone) -> SpanStyle:
    """Return the style for the symbol of a tone."""
    return _LOOKS[tone]


def row_width(row: Iterable[Span]) -> int:
    """Return the width of a row in terminal cells."""
    return sum(width_of(span.text) for span in row)


def row_text(row: Iterable[Span]) -> str:
    """Return a row's text without styles."""
    return "".join(span.text for span in row).rstrip()


def cut_row(row: Row, width: int) -> Row:
    """Return the row cut to `width` cells; it then ends with `…`."""
    if row_width(row) <= width:
        return row
    spans: list[Span] = []
    for span in row:
        room = width - row_width(spans)
        if width_of(span.text) >= room:
            return (*spans, Span(cut(span.text + " " * (room + 1), room), span.look))
        spans.append(span)
    return tuple(spans)
