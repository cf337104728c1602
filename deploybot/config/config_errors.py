"""A problem in bot.toml, and helpers to word and sort problems."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

Path = tuple[str | int, ...]
Table = dict[str, Any]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST = 60


class Problem(NamedTuple):
    """A path of keys and list positions, and a text that continues the sentence after the key."""

    path: Path
    text: str

    def __str__(self) -> str:
        """Return `apps.shop.keep: should be …`."""
        return f"{dotted(self.path)}: {self.text}"


def dotted(path: Path) -> str:
    """Return a path in TOML notation: `apps.shop.environments`, `apps."my shop"`, `apps.shop.warn_paths[2]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False))
    return text


def shown(value: object) -> str:
    """Return a value of the file for people: short, in TOML notation."""
    match value:
        case str():
            text = value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
            return json.dumps(text, ensure_ascii=False)
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case dict():
            return "a table"
        case list():
            text = f"[{', '.join(map(shown, value))}]"
            return text if value and len(text) <= _LONGEST else "a list" if value else "an empty list"
        case _:
            return "a date or time"


def in_order(problems: Iterable[Problem], tree: Table) -> list[Problem]:
    """Return the problems in the order of the file. A problem with a missing key is sorted with its table."""
    position = {path: number for number, path in enumerate(_paths(tree, ()))}

    def key(problem: Problem) -> int:
        path = problem.path
        while path not in position:
            path = path[:-1]
        return position[path]

    return sorted(problems, key=key)


def _paths(value: object, path: Path) -> Iterator[Path]:
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from _paths(inner, (*path, key))
