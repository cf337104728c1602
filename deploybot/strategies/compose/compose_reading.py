"""Parses Compose's output: JSON of Compose 2 and later, YAML of docker-compose 1.29. All input is bounded.

Functions here raise only ComposeUnreadable. Its text contains names but no values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeAlias

from deploybot.errors import UserError

LONGEST = 4 * 1024 * 1024
"""The longest text that is read, in characters and in bytes of UTF-8."""
MOST_NODES = 200_000
"""The most values in a text. Values repeated by YAML aliases count each time."""
DEEPEST = 48
"""The deepest nesting."""

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
"""A JSON value."""

_STRUCTURE = re.compile(r"[\[{,]")


class ComposeUnreadable(UserError):
    """A Compose configuration, or an answer about it, is invalid."""


def refuse(what: str) -> NoReturn:
    """Raise ComposeUnreadable. `what` continues the sentence and contains no values."""
    raise ComposeUnreadable(
        f"The Compose configuration cannot be read: {what}.",
        hint="Run `docker compose config` in the folder of the Compose file and look at what it prints.",
    )


class _Walk:
    """Copies a loaded value and counts its parts: aliases make few objects but many values."""

    def __init__(self) -> None:
        self._left = MOST_NODES

    def plain(self, value: object, depth: int = 0) -> Plain:
        """Return the value as JSON types. Raises ComposeUnreadable if it has too many values or nests too deep."""
        self._left -= 1
        if self._left < 0:
            refuse(f"it has more than {MOST_NODES} values")
        if depth > DEEPEST:
            refuse(f"it is nested deeper than {DEEPEST} levels")
        if isinstance(value, Mapping):
            return {_unescaped(str(key)): self.plain(one, depth + 1) for key, one in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.plain(one, depth + 1) for one in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return _unescaped(str(value))


def load(text: str) -> tuple[dict[str, Plain], bool]:
    """Parse a configuration. Return the top-level mapping, and whether the text was JSON.

    Compose writes a dollar sign as `$$`; this is undone.
    """
    if len(text) > LONGEST or len(text.encode(errors="replace")) > LONGEST:
        refuse(f"it is larger than {LONGEST // 1024 // 1024} MiB")
    is_json = text.lstrip()[:1] == "{"
    value = _Walk().plain(_from_json(text) if is_json else _from_yaml(text))
    if not isinstance(value, dict):
        refuse("it is not a mapping")
    return value, is_json


def mapping(value: object, where: str) -> dict[str, Plain]:
    """Return a mapping; None becomes an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        refuse(f"{where} is not a mapping")
    return value


def sequence(value: object, where: str) -> list[Plain]:
    """Return a list; None becomes an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        refuse(f"{where} is not a list")
    return value


def string(value: object, where: str) -> str:
    """Return a string. A number becomes its digits, None an empty string."""
    if value is None:
        return ""
    if isinstance(value, bool | list | dict) or not isinstance(value, str | int | float):
        refuse(f"{where} is not a string")
    text = str(value)
    if "\0" in text:
        refuse(f"{where} contains a zero byte")
    return text


def number(value: object, where: str, highest: int = 65535) -> int:
    """Return a whole number from 0 to `highest`, also from a string."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= highest:
        return value
    if isinstance(value, float) and value.is_integer() and 0 <= value <= highest:
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(highest)):
        return number(int(value), where, highest)
    refuse(f"{where} is not a whole number from 0 to {highest}")


def truth(value: object) -> bool:
    """Return whether a value is `true`, also as a string."""
    return value is True or (isinstance(value, str) and value.lower() in {"true", "yes", "1"})


def _unescaped(text: str) -> str:
    # JSON can contain lone surrogates, which cannot be written again.
    return text.replace("$$", "$").encode(errors="replace").decode()


def _from_json(text: str) -> object:
    if sum(1 for _ in _STRUCTURE.finditer(text)) > 2 * MOST_NODES:
        refuse(f"it has more than {MOST_NODES} values")
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        refuse("it is not JSON")


def _no_constant(_: str) -> NoReturn:
    raise ValueError


def _from_yaml(text: str) -> object:
    from deploybot.strategies.compose import safe_yaml  # noqa: PLC0415  only docker-compose 1.29 writes YAML

    try:
        return safe_yaml.load(text, most_events=2 * MOST_NODES, deepest=DEEPEST)
    except ValueError as problem:
        refuse(str(problem))


def strings(value: object, where: str) -> Sequence[str]:
    """Return a list of strings, also from a single string."""
    if isinstance(value, str):
        return [value]
    return [string(one, where) for one in sequence(value, where)]
