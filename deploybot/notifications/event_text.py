"""Text of outside, made fit to be read in a message: short, on one line, with nothing in it that cannot be seen."""

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
"""So many times what is shown is looked at: what is longer costs no more."""
_MARKS: Final = 3
_SHA: Final = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})")

Persons = Callable[[Identity], str]
"""The name of the person whom an identity belongs to; empty for strangers."""


def one_line(text: str, most: int = TITLE) -> str:
    """The text on one line, in at most so many characters; empty where nothing of it can be seen."""
    words = "".join(_seen(text[: most * _LOOKED_AT])).split()
    return cut(" ".join(words), most)


def _seen(text: str) -> list[str]:
    """What is to be seen of it, with few marks on one letter; line ends are blanks."""
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
    """At most so many characters, ended by `…` where it was longer."""
    return text if len(text) <= most else text[: most - 1].rstrip() + _MORE


def subject(message: str) -> str:
    """The first line of a commit's message that says something."""
    for line in message[: TITLE * _LOOKED_AT].splitlines():
        if shown := one_line(line):
            return shown
    return "(no message)"


def paragraph(text: str, lines: int = 6, most: int = 600) -> str:
    """The first lines of a text that say something."""
    rows = [shown for line in text[: most * _LOOKED_AT].splitlines() if (shown := one_line(line, 200))]
    kept = rows[:lines]
    while kept and sum(map(len, kept)) > most:
        kept.pop()
    return "\n".join([*kept, _MORE] if len(kept) < len(rows) else kept)


def page(url: str) -> str:
    """An address short enough to stand in a line of many."""
    return url if len(url) <= _PAGE else ""


def full_sha(commit: str) -> str:
    """The commit in lower case where it is a full one; else nothing."""
    lower = commit.lower()
    return lower if _SHA.fullmatch(lower) else ""


def short(commit: str) -> str:
    """A commit as people read it."""
    return one_line(commit, 10) if not full_sha(commit) else commit[:10].lower()


def count(number: int, what: str) -> str:
    """`1 commit`, `2 commits`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def nth(number: int) -> str:
    """`2nd`, `3rd`, `4th`, `11th`."""
    teen = number % 100 in {11, 12, 13}
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def sender_name(name: str) -> str:
    """What people call a sender."""
    known = {"github": "GitHub", "gitlab": "GitLab", "dockerhub": "Docker Hub", "argocd": "Argo CD"}
    return known.get(name, name.capitalize())


def moment(at: float, zone: ZoneInfo) -> str:
    """`2026-11-21 14:05`, in the bot's time zone."""
    return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M}"


def who(by: Author, persons: Persons) -> str:
    """`Ana Ruiz (@ana)`: what the sender calls somebody, and the person whom the bot knows them for."""
    name = one_line(by.name, NAME)
    person = persons(by.identity) if by.identity else ""
    if not person or not name:
        return f"@{person}" if person else name
    return f"{name} (@{person})"
