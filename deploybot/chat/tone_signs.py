"""The signs of tones in chats that have pictures: the same in each of them, and in the same places."""

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
    """What stands before a title, with a blank; nothing before a plain one that will not change."""
    return "" if card.tone is Tone.PLAIN and card.final else f"{SIGNS[card.tone]} "


def line_signs(lines: Sequence[Line]) -> list[str]:
    """What stands before each line, with a blank; nothing where none has a tone."""
    toned = any(one.tone is not Tone.PLAIN for one in lines)
    return [f"{SIGNS[one.tone]} " if toned else "" for one in lines]


def warned(text: str) -> str:
    """A card's text, in which a line that begins with `! ` is a warning."""
    rows = text.split("\n")
    return "\n".join(f"{SIGNS[Tone.WARN]} {row[2:]}" if row.startswith(_WARNING) else row for row in rows)
