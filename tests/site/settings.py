"""bot.toml in pieces, as the documentation shows it: completed, and read by the bot's own parser."""

from __future__ import annotations

import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomlkit

from deploybot.config import load
from deploybot.settings import Settings

_BLOCK = re.compile(r"^( *)```toml\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIm+aGXaJpJuPDizobQ/nP0kxVnjDf6sVXUpFW4WK2Jc"
_SECRET = "made up, and 22 characters long"
_SHOP = {"repo": "git@github.com:acme/shop.git", "strategy": "compose", "directory": "/srv/shop"}
_CONTEXT: Mapping[str, Any] = {
    "http": {"url": "https://bot.example.com"},
    "hooks": {"github": {"secret": {"env": "SECRET"}}},
    "slack": {"bot_token": {"env": "SECRET"}, "app_token": {"env": "SECRET"}, "channel": "slack:C0123456789"},
    "telegram": {"token": {"env": "SECRET"}, "channel": "telegram:-1001234567890"},
}
_TABLES = {
    "bot",
    "slack",
    "telegram",
    "http",
    "hooks",
    "registries",
    "signers",
    "outgoing",
    "audit",
    "otel",
    "servers",
    "apps",
}


def snippets(page: Path) -> Iterator[tuple[int, str]]:
    """Yield every TOML block of a page, with the number of its line."""
    text = page.read_text()
    for found in _BLOCK.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, textwrap.dedent(found[2])


def parsed(snippet: str, folder: Path, *, alone: bool) -> Settings:
    """Read a snippet of bot.toml in a new `folder`. Raises ConfigError and TOML's error.

    Servers and an app's required keys are added. So is what a page explains elsewhere, unless the snippet has to work
    `alone`: chats, webhooks, the environment that `after` names. Keys without a table belong to an app. Every secret
    and file is made up.
    """
    tree = _complete(tomllib.loads(snippet.replace("ssh-ed25519 AAAA…", _HOST_KEY)))
    if not alone:
        _add_context(tree)
    text = _with_files(tomlkit.dumps(tree), folder)
    (folder / "my_commands").mkdir()
    file = folder / "bot.toml"
    file.write_text(text)
    return load(file, dict.fromkeys(re.findall(r'env = "(\w+)"', text), _SECRET))


def _complete(tree: dict[str, Any]) -> dict[str, Any]:
    loose = {key: tree.pop(key) for key in [*tree] if key not in _TABLES}
    apps = tree.setdefault("apps", {})
    if loose or not apps:
        apps["shop"] = apps.get("shop", {}) | loose
    for name, app in apps.items():
        # Such a snippet is complete without a repository: docs/image-apps.md.
        own = app.get("strategy") == "compose" and "directory" in app and "source" not in app.get("compose", {})
        _fill(app, {key: one for key, one in _SHOP.items() if key != "repo" or not own} | {"directory": f"/srv/{name}"})
        environments = app.setdefault("environments", {})
        if not environments:
            environments["production"] = {"servers": ["web1"]}
        for place, environment in environments.items():
            _fill(environment, {"servers": ["web1"]})
            if place != next(iter(environments)):
                _fill(environment, {"directory": f"/srv/{name}-{place}"})
    servers = tree.setdefault("servers", {})
    named = {name for app in apps.values() for one in app["environments"].values() for name in one["servers"]}
    for number, name in enumerate(sorted(named | set(servers)), 10):
        server = servers.setdefault(name, {})
        _fill(server, {"ssh": f"deploy@203.0.113.{number}", "host_key": _HOST_KEY})
        if not {"key", "password", "agent"} & set(server):
            server["agent"] = True
    return tree


def _add_context(tree: dict[str, Any]) -> None:
    _fill(tree, _CONTEXT)
    for app in tree["apps"].values():
        environments = app["environments"]
        for name in {one["after"] for one in environments.values() if "after" in one} - set(environments):
            environments[name] = {"servers": ["web1"], "directory": f"/srv/{name}"}


def _fill(table: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    for key, value in defaults.items():
        table.setdefault(key, value)


def _with_files(text: str, folder: Path) -> str:
    """Make up the files that a text names, in the folder, and name those."""

    def made(found: re.Match[str]) -> str:
        file = folder / found[1].replace("/", "_")
        file.write_text(_SECRET)
        file.chmod(0o600)
        return f'file = "{file}"'

    return re.sub(r'file = "([^"]*)"', made, text)
