"""Text that shows as it is: nothing hidden in it, nothing of it read as markup, and no longer than there is room; pure.

Slack's markup is described at docs.slack.dev/messaging/formatting-message-text.
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
    """The text without what cannot be seen, changes the direction of writing, or steers a terminal."""
    if text.isascii() and text.isprintable():
        return text
    text = _LINE_ENDS.sub("\n", _TERMINAL.sub("", text)).expandtabs(_TAB)
    if not text.replace("\n", "").isprintable():
        text = "".join(sign for sign in text if sign.isprintable() or _is_seen(sign))
    return _MARKS.sub(r"\1", text)


def _is_seen(sign: str) -> bool:
    """Of the signs that Python calls not printable, blanks and joiners are kept."""
    return sign in _JOINERS or unicodedata.category(sign) == "Zs"


def line(text: str) -> str:
    """The same, on one line."""
    return " ".join(visible(text).split("\n")).strip()


def escaped(text: str) -> str:
    """For text that Slack reads markup in: the three characters that begin markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain(text: str) -> str:
    """For `plain_text`, where nothing but the three entities is read."""
    return _ENTITY.sub("&amp;", text)


def cut(text: str, most: int) -> str:
    """At most so many characters, ended by `…` at the end of a line or word where there is one near."""
    if len(text) <= most:
        return text
    kept = text[: max(most - 1, 0)]
    near = max(kept.rfind("\n"), kept.rfind(" "))
    return (kept[:near] if near > most * 3 // 4 else kept).rstrip() + _MORE


def last_lines(lines: Sequence[str], most: int) -> list[str]:
    """The last of these lines that have at most so many characters together; one that is too long alone is cut."""
    kept: list[str] = []
    room = most
    for text in reversed(lines):
        room -= len(text) + 1
        if room < 0:
            break
        kept.append(text)
    return kept[::-1] if kept or not lines else [cut(lines[-1], most)]


def width(text: str) -> int:
    """How many cells of a monospaced font it takes."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def columns(rows: Sequence[Sequence[str]], gap: str = "  ") -> list[str]:
    """Rows of cells as lines, their columns below each other."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [_padded(row, widths, gap) for row in rows]


def _padded(row: Iterable[str], widths: Iterable[int], gap: str) -> str:
    return gap.join(cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)).rstrip()
