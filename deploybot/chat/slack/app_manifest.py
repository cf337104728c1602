"""Create the app's manifest from the commands; pure. docs.slack.dev/reference/app-manifest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from deploybot.chat.slack.oauth_scopes import EVENTS, HOOK, bot_scopes
from deploybot.chat.slack.slash_command_names import EVERYTHING, slash_name
from deploybot.command import Command

_MOST: Final = 50
_DESCRIPTION, _USAGE = 200, 200
_ABOUT: Final = "Deploy, roll back, read logs and see status from chat"


def manifest(commands: Iterable[Command], url: str = "") -> str:
    """Return YAML that creates the app when pasted: for Socket Mode, or for HTTP mode at `url`, the bot's public URL.

    Slack allows 50 slash commands, so further commands have none. `/deploybot COMMAND` works for every command.
    """
    hook = {"request_url": f"{url.rstrip('/')}{HOOK}"} if url else {}
    slashes = [_slash(f"/{EVERYTHING}", "Any command: /deploybot help lists them", "<command>", hook)]
    slashes += [made for command in commands if (made := _of(command, hook))]
    app = {
        "display_information": {"name": EVERYTHING, "description": _ABOUT, "background_color": "#1f2a44"},
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": EVERYTHING, "always_online": True},
            "slash_commands": slashes[:_MOST],
        },
        "oauth_config": {"scopes": {"bot": list(bot_scopes())}},
        "settings": {
            "event_subscriptions": {**hook, "bot_events": sorted(EVENTS)},
            "interactivity": {"is_enabled": True, **hook},
            "org_deploy_enabled": False,
            "socket_mode_enabled": not url,
            "token_rotation_enabled": False,
        },
    }
    return "\n".join(_yaml(app)) + "\n"


def _of(command: Command, hook: Mapping[str, str]) -> dict[str, Any]:
    """Return the slash command of a command, or {} if it can't have one."""
    name = slash_name(command.name)
    _, _, usage = command.usage.partition(" ")
    return _slash(name, command.help.partition("\n")[0] or command.name, usage, hook) if name else {}


def _slash(name: str, description: str, usage: str, hook: Mapping[str, str]) -> dict[str, Any]:
    """Return a slash command. `should_escape` makes Slack send ids of mentioned people: names are ambiguous."""
    made = {"command": name, "description": description[:_DESCRIPTION], "should_escape": True}
    if usage:
        made["usage_hint"] = usage[:_USAGE]
    return {**made, **({"url": hook["request_url"]} if hook else {})}


def _yaml(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield a mapping as YAML: blocks for mappings and lists, and JSON for scalars, which is valid YAML."""
    for key, inner in value.items():
        match inner:
            case Mapping():
                yield f"{indent}{key}:"
                yield from _yaml(inner, f"{indent}  ")
            case list():
                yield f"{indent}{key}:"
                yield from _list(inner, f"{indent}  ")
            case _:
                yield f"{indent}{key}: {_scalar(inner)}"


def _list(values: Iterable[Any], indent: str) -> Iterator[str]:
    for value in values:
        if isinstance(value, Mapping):
            first, *rest = _yaml(value)
            yield f"{indent}- {first}"
            yield from (f"{indent}  {line}" for line in rest)
        else:
            yield f"{indent}- {_scalar(value)}"


def _scalar(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
