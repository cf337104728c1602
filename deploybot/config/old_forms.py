"""What earlier versions wrote differently in bot.toml: it is read as the new form, with a hint that names that.

A channel was an id without its chat (`C0123456789`, `-1001234567890/45`), and [telegram] had `chat` and `topic` instead
of `channel`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from deploybot.config.config_errors import Path, Problem, Table

_OLD_IDS: Final[Mapping[str, re.Pattern[str]]] = {
    "slack": re.compile(r"[CGD][A-Z0-9]{5,30}", re.ASCII),
    "telegram": re.compile(r"-?[1-9][0-9]{3,15}(?:/[1-9][0-9]{0,9})?", re.ASCII),
}
_NOW: Final = 'is now `channel`: write channel = "telegram:-1001234567890", or "telegram:-1001234567890/45" for a topic'


def renew(tree: Table) -> tuple[list[Problem], list[Problem]]:
    """Replace old forms in the tree by new ones. Return the hints, and the problems with what cannot be replaced."""
    hints, problems = _telegram(tree.get("telegram"))
    for path, table in _tables(tree):
        old = table.get("channel")
        if (new := _with_chat(old)) != old:
            table["channel"] = new
            hints.append(Problem((*path, "channel"), f"write channel = {_toml(new)}"))
    return hints, problems


def _toml(value: object) -> str:
    """Return texts, one or a list, in TOML's notation. JSON's is the same for them."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _tables(tree: Table) -> Iterator[tuple[Path, Table]]:
    """Yield the tables that may have a `channel`, with their paths."""
    yield from _inner(("slack",), tree.get("slack"))
    for app_path, app in _each(("apps",), tree.get("apps")):
        yield app_path, app
        yield from _each((*app_path, "notify"), app.get("notify"))


def _inner(path: Path, table: object) -> Iterator[tuple[Path, Table]]:
    if isinstance(table, dict):
        yield path, table


def _each(path: Path, tables: object) -> Iterator[tuple[Path, Table]]:
    for name, table in tables.items() if isinstance(tables, dict) else ():
        yield from _inner((*path, name), table)


def _with_chat(value: Any) -> Any:  # noqa: ANN401  as the file has it
    """Return old ids, one or a list, with their chat. Everything else stays as it is."""
    if isinstance(value, list):
        return [_with_chat(one) for one in value]
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        return value
    return next((f"{chat}:{text}" for chat, form in _OLD_IDS.items() if form.fullmatch(text)), value)


def _telegram(table: object) -> tuple[list[Problem], list[Problem]]:
    """Replace `chat` and `topic` of [telegram] by `channel`. Return the hint, or the problem."""
    keys = [key for key in ("chat", "topic") if isinstance(table, dict) and key in table]
    if not keys or not isinstance(table, dict):
        return [], []
    chat, topic = table.pop("chat", None), table.pop("topic", 0)
    path: Path = ("telegram", keys[0])
    if "channel" in table:
        return [], [Problem(path, "is part of `channel` now: remove it")]
    if type(chat) is not int or type(topic) is not int or topic < 0:
        return [], [Problem(path, _NOW)]
    table["channel"] = f"telegram:{chat}{f'/{topic}' if topic else ''}"
    return [Problem(path, f"write channel = {_toml(table['channel'])} instead of {' and '.join(keys)}")], []
