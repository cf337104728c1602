"""Secrets never leave: known values and common shapes are masked in every text that goes out.

A `Redactor` is told the values when bot.toml is read. Each is masked also where it stands base64 or
URL encoded. `Stream` does the same for text that arrives in chunks, so a value cut in two is found.
"""

from __future__ import annotations

import base64
import re
from urllib.parse import quote, quote_plus

MASK = "•••"
_SHORTEST = 4
_SHAPES = re.compile(
    r"""
    -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----[\s\S]*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | \bgh[pousr]_[A-Za-z0-9]{20,}\b | \bgithub_pat_[A-Za-z0-9_]{20,}\b | \bglpat-[A-Za-z0-9_-]{16,}
    | \bxox[abeprs]-[A-Za-z0-9-]{10,} | \bxapp-[A-Za-z0-9-]{10,}
    | \b\d{6,12}:[A-Za-z0-9_-]{30,}\b
    | \bAKIA[0-9A-Z]{16}\b
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}
    | \bwhsec_[A-Za-z0-9+/=]{16,}
    | (?<=://)[^\s:/@]+:[^\s/@]+(?=@)
    | (?i:(?<=authorization:\ bearer\ )|(?<=authorization:\ basic\ ))\S+
    """,
    re.VERBOSE,
)


def _forms(value: str) -> set[str]:
    """The ways one secret may stand in a text; base64 at each of the three alignments."""
    raw = value.encode()
    forms = {value, quote(value, safe=""), quote_plus(value)}
    forms.update(line for line in value.splitlines() if len(line.strip()) >= _SHORTEST * 2)
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        start = (0, 2, 3)[shift]
        stable = coded[start : len(coded) - (1 if (len(raw) + shift) % 3 else 0)]
        forms.update((stable, stable.replace("+", "-").replace("/", "_")))
    return {form for form in forms if len(form) >= _SHORTEST}


class Redactor:
    """Masks secrets. Values shorter than four characters cannot be masked and are refused by the config."""

    def __init__(self, values: tuple[str, ...] = ()) -> None:
        """Take the values known from the start."""
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.longest = 0
        self.learn(*values)

    def learn(self, *values: str) -> None:
        """Mask these values, too, from now on."""
        for value in values:
            if len(value) >= _SHORTEST:
                self._forms |= _forms(value)
        ordered = sorted(self._forms, key=len, reverse=True)
        self.longest = max(map(len, ordered), default=0)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """The text with every known value and every common shape masked."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        return _SHAPES.sub(MASK, text)
