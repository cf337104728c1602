"""Text that SQLite can hold, whatever a chat or a log put into it."""

from __future__ import annotations


def clean(text: str) -> str:
    """The text itself; halves of surrogate pairs, which no UTF-8 has, become `?`."""
    return text.encode("utf-8", "replace").decode()
