"""Words for lists and for names that were mistyped, in errors of bot.toml and of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def listed(words: Iterable[str], last: str = "and") -> str:
    """Return `a`, `a and b` or `a, b and c`."""
    *first, end = [*words] or ["nothing"]
    return f"{', '.join(first)} {last} {end}" if first else end


def meant(word: str, known: Iterable[str]) -> str:
    """Return `, did you mean "web1"?`; empty if no known word is close."""
    names = [*known]
    begun = [name for name in names if len(word) > 1 and name.startswith(word.lower())]
    near = begun if len(begun) == 1 else difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return f', did you mean "{near[0]}"?' if near else ""
