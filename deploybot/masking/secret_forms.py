"""The forms that one secret may have in a text, as patterns for RE2.

Escapes need no forms, because they are decoded before (`unescaped_views`). The value itself, base64 and hexadecimal
digits are enough.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator

from deploybot.masking.byte_patterns import MOST
from deploybot.masking.unescaped_views import LEVELS, readings_of, unescaped

SHORTEST = 4
"""Shorter values are not masked, because half of all words would be masked too. The config refuses them."""
LONG = 6
"""Values with fewer characters are masked only as whole words, with or without escapes."""
_LINE = 8
"""A line of a value with several lines is masked on its own if it has at least this many bytes."""
_OF_URLS = bytes.maketrans(b"+/", b"-_")


def forms_of(value: str) -> dict[bytes, int]:
    """Return the patterns for a value, each with the maximum length in bytes of its matches."""
    if len(value) < SHORTEST:
        return {}
    raw = value.encode("utf-8", "surrogatepass")
    if len(value) < LONG:
        return {_alone(form): len(form) for form in _escaped({raw})}
    plain = {raw, raw.replace(b" ", b"+"), *_latin(value)}
    plain.update(line.strip() for line in raw.splitlines() if len(line.strip()) >= _LINE)
    forms = {re.escape(form): len(form) for form in _escaped(plain)}
    coded = {variant for form in _base64(raw) for variant in (form, form.translate(_OF_URLS))}
    coded |= {raw.hex().encode(), raw.hex().upper().encode()}
    return forms | {re.escape(form): len(form) for form in coded}


def _latin(value: str) -> Iterator[bytes]:
    """Yield the value in ISO 8859-1, which `%E4` may mean."""
    if not value.isascii():
        yield b"".join(sign.encode("latin-1" if sign <= "\xff" else "utf-8", "surrogatepass") for sign in value)


def _escaped(forms: set[bytes]) -> set[bytes]:
    """Return the forms, and each form that contains escapes also with them decoded, in all ways of reading it."""
    found, fresh = set(forms), forms
    for _ in range(LEVELS):
        views = (unescaped(form, kept) for form in fresh for kept in readings_of(form))
        fresh = {view.data for view in views if view} - found
        found |= fresh
    return {form for form in found if len(form) >= SHORTEST and (len(form) >= LONG or form in forms)}


def _alone(form: bytes) -> bytes:
    """Return a pattern that matches a word, but not as part of a longer one."""
    before = rb"\b" if form[:1].isalnum() else b""
    after = rb"\b" if form[-1:].isalnum() else b""
    return before + re.escape(form) + after


def _base64(raw: bytes) -> Iterator[bytes]:
    """Yield the base64 digits that depend only on the value, at each of three alignments."""
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw).rstrip(b"=")
        yield coded[(0, 2, 3)[shift] : len(coded) - (1 if (len(raw) + shift) % 3 else 0)]


def alternatives(forms: Iterable[bytes]) -> list[bytes]:
    """Join the forms into few patterns of alternatives: one, unless there are hundreds of values."""
    parts: list[list[bytes]] = []
    size = MOST
    # In reverse order a longer form comes before its own prefix, and RE2 still finds common prefixes.
    for form in sorted(forms, reverse=True):
        if size + len(form) > MOST:
            parts.append([])
            size = 0
        parts[-1].append(form)
        size += len(form) + 1
    return [b"|".join(part) for part in parts]
