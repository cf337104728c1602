"""Make any text from a chat or a log valid for SQLite."""

from __future__ import annotations


def clean(text: str) -> str:
    """Return the text with unpaired surrogates, which UTF-8 can't encode, replaced by `?`."""
    return text.encode("utf-8", "replace").decode()
