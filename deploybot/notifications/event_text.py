"""Make text from outside fit for a message: short, on one line, without invisible characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from deploybot.domain import Author, Identity
from deploybot.masking import clean_text

TITLE: Final = 120
NAME: Final = 60
REF: Final = 80
_PAGE: Final = 200
_MORE: Final = "…"
_LOOKED_AT: Final = 20
"""Read at most this many times the length that is shown. Longer text costs no more."""
_MARKS: Final = 3
_SHA: Final = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})")

Persons = Callable[[Identity], str]
"""Return the name of the person behind an account, or an empty text if it is unknown."""


def one_line(text: str, most: int = TITLE) -> str:
    """Return the text on one line, in at most `most` characters. It is empty if nothing of it is visible."""
    words = "".join(_seen(text[: most * _LOOKED_AT])).split()
    return cut(" ".join(words), most)


def _seen(text: str) -> list[str]:
    """Return the visible characters, with at most three combining marks on a letter. Line ends become spaces."""
    if text.isascii() and text.isprintable():
        return [text]
    kept: list[str] = []
    marks = 0
    for sign in clean_text(text):
        marks = marks + 1 if unicodedata.category(sign).startswith("M") else 0
        if sign.isspace():
            kept.append(" ")
        elif sign.isprintable() and marks <= _MARKS:
            kept.append(sign)
    return kept


def cut(text: str, most: int) -> str:
    """Return at most `most` characters, ending in `…` if the text was longer."""
    return text if len(text) <= most else text[: most - 1].rstrip() + _MORE


def subject(message: str) -> str:
    """Return the first line of a commit's message that is not empty."""
    for line in message[: TITLE * _LOOKED_AT].splitlines():
        if shown := one_line(line):
            return shown
    return "(no message)"


def paragraph(text: str, lines: int = 6, most: int = 600) -> str:
    """Return the first lines of a text that are not empty."""
    rows = [shown for line in text[: most * _LOOKED_AT].splitlines() if (shown := one_line(line, 200))]
    kept = rows[:lines]
    while kept and sum(map(len, kept)) > most:
        kept.pop()
    return "\n".join([*kept, _MORE] if len(kept) < len(rows) else kept)


def page(url: str) -> str:
    """Return the address if it is short enough for a line of a list, or an empty text."""
    return url if len(url) <= _PAGE else ""


def full_sha(commit: str) -> str:
    """Return the commit in lower case if it is a full one, or an empty text."""
    lower = commit.lower()
    return lower if _SHA.fullmatch(lower) else ""


def short(commit: str) -> str:
    """Return a commit as people read it."""
    return one_line(commit, 10) if not full_sha(commit) else commit[:10].lower()


def count(number: int, what: str) -> str:
    """Return text such as `1 commit` or `2 commits`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def nth(number: int) -> str:
    """Return text such as `2nd`, `3rd`, `4th` or `11th`."""
    teen = number % 100 in {11, 12, 13}
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def moment(at: float, zone: ZoneInfo) -> str:
    """Return a time such as `2026-11-21 14:05`, in the bot's time zone."""
    return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M}"


def who(by: Author, persons: Persons) -> str:
    """Return text such as `Ana Ruiz (@ana)`: the sender's name for an author, and the person that the bot knows."""
    name = one_line(by.name, NAME)
    person = persons(by.identity) if by.identity else ""
    if not person or not name:
        return f"@{person}" if person else name
    return f"{name} (@{person})"
