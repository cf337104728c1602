"""The settings of a bot under test, made by the bot's own parser from a few tables of bot.toml."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from deploybot.config import settings_from
from deploybot.settings import App, Settings

Table = dict[str, Any]

NOWHERE = Path("/nonexistent/data")
"""A data folder for settings that are only read."""


def bot_settings(
    data: Path = NOWHERE,
    *,
    servers: Iterable[str] | Mapping[str, Table] = ("web1",),
    apps: Mapping[str, Mapping[str, object]] | None = None,
    values: Mapping[str, str] | None = None,
    **tables: Mapping[str, object],
) -> Settings:
    """Return the settings of a bot.toml with these tables; what a table leaves out and needs is filled in.

    An app has the strategy `files`, a repository and a directory of its own, and one environment `production` on all
    servers. A key of an app that is None is left out. `values` are the variables that secrets come from; the others
    have values that are made up.
    """
    named = servers if isinstance(servers, Mapping) else {name: {} for name in servers}
    some = {"shop": {}} if apps is None else apps
    tree: Table = copy.deepcopy(
        {
            "servers": {name: _server(name, table) for name, table in named.items()},
            "apps": {name: _app(name, table, [*named]) for name, table in some.items()},
            **tables,
        }
    )
    tree["bot"] = {"data": str(data), **tree.get("bot", {})}
    variables = {name: f"the value of {name}: 5f8c1c0e7b6f4b0d" for name in _variables(tree)} | dict(values or {})
    return settings_from(tree, data / "bot.toml", variables)


def app_settings(name: str = "shop", **table: object) -> App:
    """Return one app that runs on `web1`, as `bot_settings` makes it."""
    return bot_settings(apps={name: table}).apps[name]


def _server(name: str, table: Table) -> Table:
    login: Table = {} if table.keys() & {"key", "password", "agent"} else {"agent": True}
    return {"ssh": f"deploy@{name}", **login, **table}


def _app(name: str, table: Mapping[str, object], servers: list[str]) -> Table:
    app: Table = {
        "repo": f"git@example.com:acme/{name}.git",
        "strategy": "files",
        "directory": f"/srv/{name}",
        "environments": {"production": {}},
        **table,
    }
    app = {key: one for key, one in app.items() if one is not None}
    app["environments"] = {inner: {"servers": servers, **more} for inner, more in app["environments"].items()}
    return app


def _variables(value: object) -> Iterator[str]:
    """Yield the names of all variables that tables name."""
    if isinstance(value, dict):
        if isinstance(value.get("env"), str):
            yield value["env"]
        for inner in value.values():
            yield from _variables(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _variables(inner)
