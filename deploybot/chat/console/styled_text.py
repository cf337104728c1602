"""Styled text before any terminal: rows of spans, and the symbols of tones."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from deploybot.card import Tone
from deploybot.chat.console.terminal_text import cut, width_of


class SpanStyle(enum.StrEnum):
    """How a span looks; the colours are chosen in `render`."""

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
    """Clean text on one line that looks one way, and in a terminal that can leads to `url`, where there is one."""

    text: str
    look: SpanStyle = SpanStyle.TEXT
    url: str = ""


Row = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Symbols:
    """The signs that a terminal can show: one a tone, and the few others."""

    tones: dict[Tone, str]
    hint: str
    button: str
    code: str

    def animated(self, frame: str) -> Symbols:
        """These, with another sign for what is busy, where the terminal shows more than ASCII."""
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
    """How the symbol of a tone looks."""
    return _LOOKS[tone]


def row_width(row: Iterable[Span]) -> int:
    """How many cells a row takes."""
    return sum(width_of(span.text) for span in row)


def row_text(row: Iterable[Span]) -> str:
    """A row without its looks."""
    return "".join(span.text for span in row).rstrip()


def cut_row(row: Row, width: int) -> Row:
    """The row, ended by `…` where it is too wide."""
    if row_width(row) <= width:
        return row
    spans: list[Span] = []
    for span in row:
        room = width - row_width(spans)
        if width_of(span.text) >= room:
            return (*spans, Span(cut(span.text + " " * (room + 1), room), span.look))
        spans.append(span)
    return tuple(spans)
