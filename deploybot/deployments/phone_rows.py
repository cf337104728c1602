"""How many rows a card takes on a phone, so that the essentials are visible without scrolling; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

ROW = 40
"""Characters in a row of text at 390 px.

Slack and Telegram leave about 310 px for text beside picture and margins, set in 15 px. A character of a proportional
font of that size is 7.5 to 8 px wide. Tables in Telegram are cut to the same width (`telegram_rendering`).
"""


def rows_of(text: str) -> int:
    """Return how many rows a text takes; an empty text takes none."""
    return sum(max(math.ceil(len(line) / ROW), 1) for line in text.split("\n")) if text else 0


def rows_of_all(texts: Iterable[str]) -> int:
    """Return how many rows the texts take below each other."""
    return sum(map(rows_of, texts))


def short(text: str, most: int) -> str:
    """Return a text on one line, at most `most` characters long; `…` replaces the rest."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def listed(names: Iterable[str], most: int = 3) -> str:
    """Return `web1, web2 and 4 more`."""
    all_names = list(names)
    if len(all_names) <= most + 1:
        return ", ".join(all_names)
    return f"{', '.join(all_names[:most])} and {len(all_names) - most} more"
