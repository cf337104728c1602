"""The whole of bot.toml: `Settings` with the tables that parts of the bot add to it, by `part_tables`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

from pydantic import Field, create_model

from deploybot.part_tables import CHAT_TABLE, REPORTER_TABLE, STRATEGY_TABLE
from deploybot.settings import App, Settings, SettingsPart
from deploybot.settings.value_shapes import Name

M = TypeVar("M", bound=SettingsPart)


@cache
def whole_settings() -> type[Settings]:
    """Return the model of bot.toml. Code reads the tables of parts by `SettingsPart.table` and `.tables`."""
    app: Any = _with_tables(App, dict(_of_strategies()))
    apps: dict[str, Any] = {} if app is App else {"apps": (dict[Name, app], Field(default_factory=dict))}
    return _with_tables(Settings, apps | dict(_of_chats()) | dict(_of_reporters()))


def _with_tables(base: type[M], fields: dict[str, Any]) -> type[M]:
    return create_model(base.__name__, __base__=base, __module__=base.__module__, **fields) if fields else base


def _of_chats() -> Iterator[tuple[str, Any]]:
    """Yield the tables `[CHAT]` as fields."""
    for name, entry in CHAT_TABLE.items():
        if entry.module:
            kind: Any = import_module(f"deploybot.chat.{entry.module}").SETTINGS
            yield name, (kind | None, None)


def _of_reporters() -> Iterator[tuple[str, Any]]:
    """Yield the tables `[REPORTER]` and `[REPORTER.NAME]` as fields."""
    for name, entry in REPORTER_TABLE.items():
        if entry.tables == "none":
            continue
        kind: Any = import_module(f"deploybot.reporting.{entry.module}").SETTINGS
        yield name, (kind | None, None) if entry.tables == "one" else (dict[Name, kind], Field(default_factory=dict))


def _of_strategies() -> Iterator[tuple[str, Any]]:
    """Yield the tables `[apps.APP.STRATEGY]` as fields."""
    for name, entry in STRATEGY_TABLE.items():
        if entry.own_table:
            kind = import_module(f"deploybot.strategies.{entry.module}").SETTINGS
            yield name, (kind | None, None)
