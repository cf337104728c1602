"""How many rows a card takes on a phone, so that what matters most is seen without scrolling; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

ROW = 40
"""Characters in a row of text at 390 px.

Slack and Telegram leave about 310 px for text beside picture and margins, set in 15 px; a character of a proportional
font of that size is 7.5 to 8 px wide. Tables in Telegram are cut to the same width (`telegram.page`)."""


def rows_of(text: str) -> int:
    """Give the rows that a text takes; an empty one takes none."""
    return sum(max(math.ceil(len(line) / ROW), 1) for line in text.split("\n")) if text else 0


def rows_of_all(texts: Iterable[str]) -> int:
    """Give the rows of texts below each other."""
    return sum(map(rows_of, texts))


def short(text: str, most: int) -> str:
    """Give a text on one line, at most `most` characters of it; `…` stands for the rest."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def listed(names: Iterable[str], most: int = 3) -> str:
    """Give `web1, web2 and 4 more`."""
    all_names = list(names)
    if len(all_names) <= most + 1:
        return ", ".join(all_names)
    return f"{', '.join(all_names[:most])} and {len(all_names) - most} more"
