"""The symbols of tones in chats with emoji: the same in each of them, in the same positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deploybot.card import Card, Line, Tone

SIGNS: Final = {
    Tone.PLAIN: "▫️",
    Tone.ASK: "✋",
    Tone.BUSY: "⏳",
    Tone.GOOD: "✅",
    Tone.WARN: "⚠️",
    Tone.BAD: "❌",
    Tone.UNKNOWN: "❓",
}
_WARNING: Final = "! "


def title_sign(card: Card) -> str:
    """Return the symbol before a title, with a space; "" for a plain card that is final."""
    return "" if card.tone is Tone.PLAIN and card.final else f"{SIGNS[card.tone]} "


def line_signs(lines: Sequence[Line]) -> list[str]:
    """Return the symbol before each line, with a space; "" if no line has a tone."""
    toned = any(one.tone is not Tone.PLAIN for one in lines)
    return [f"{SIGNS[one.tone]} " if toned else "" for one in lines]


def warned(text: str) -> str:
    """Return a card's text with a warning symbol before each line that begins with `! `."""
    rows = text.split("\n")
    return "\n".join(f"{SIGNS[Tone.WARN]} {row[2:]}" if row.startswith(_WARNING) else row for row in rows)
