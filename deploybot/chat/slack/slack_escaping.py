"""Make text safe to show: nothing hidden, nothing read as markup, and not too long; pure.

docs.slack.dev/messaging/formatting-message-text describes Slack's markup.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

_TERMINAL: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]*[0-~])?")
_LINE_ENDS: Final = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_JOINERS: Final = "\n\u200c\u200d"
_ENTITY: Final = re.compile(r"&(?=(?:amp|lt|gt);)")
_MARKS: Final = re.compile("([\u0300-\u036f\u20d0-\u20ff]{3})[\u0300-\u036f\u20d0-\u20ff]+")
_TAB: Final = 4
_MORE: Final = "…"


def visible(text: str) -> str:
    """Remove invisible characters, characters that change the text direction, and escape sequences."""
    if text.isascii() and text.isprintable():
        return text
    text = _LINE_ENDS.sub("\n", _TERMINAL.sub("", text)).expandtabs(_TAB)
    if not text.replace("\n", "").isprintable():
        text = "".join(sign for sign in text if sign.isprintable() or _is_seen(sign))
    return _MARKS.sub(r"\1", text)


def _is_seen(sign: str) -> bool:
    """Return whether to keep a character that Python calls not printable: spaces and joiners are kept."""
    return sign in _JOINERS or unicodedata.category(sign) == "Zs"


def line(text: str) -> str:
    """Return the visible text on one line."""
    return " ".join(visible(text).split("\n")).strip()


def escaped(text: str) -> str:
    """Escape the three characters that begin Slack's markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain(text: str) -> str:
    """Escape text for `plain_text`, in which Slack reads only the three entities."""
    return _ENTITY.sub("&amp;", text)


def cut(text: str, most: int) -> str:
    """Cut text to at most `most` characters, at a nearby line or word end if possible; a cut text ends with `…`."""
    if len(text) <= most:
        return text
    kept = text[: max(most - 1, 0)]
    near = max(kept.rfind("\n"), kept.rfind(" "))
    return (kept[:near] if near > most * 3 // 4 else kept).rstrip() + _MORE


def last_lines(lines: Sequence[str], most: int) -> list[str]:
    """Return the last lines with at most `most` characters in total. If the very last one is too long, it is cut."""
    kept: list[str] = []
    room = most
    for text in reversed(lines):
        room -= len(text) + 1
        if room < 0:
            break
        kept.append(text)
    return kept[::-1] if kept or not lines else [cut(lines[-1], most)]


def width(text: str) -> int:
    """Return the width of a text in cells of a monospaced font."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def columns(rows: Sequence[Sequence[str]], gap: str = "  ") -> list[str]:
    """Return rows of cells as lines with aligned columns."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [_padded(row, widths, gap) for row in rows]


def _padded(row: Iterable[str], widths: Iterable[int], gap: str) -> str:
    return gap.join(cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)).rstrip()
