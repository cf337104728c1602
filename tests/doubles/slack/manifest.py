"""An app's manifest, read as Slack reads it when an app is made of it (docs.slack.dev/reference/app-manifest).

Of YAML only what is surely read alike by everybody is taken: block mappings and lists, and scalars that are JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.doubles.slack.mrkdwn import Json

# fmt: off
RESERVED = frozenset([
    "apps", "archive", "away", "call", "collapse", "dm", "dnd", "expand", "feed", "feedback", "help", "huddle",
    "invite", "join", "leave", "me", "msg", "mute", "open", "part", "prefs", "pro", "remind", "remove", "rename",
    "search", "shortcuts", "shrug", "star", "status", "topic", "who",
])
SCOPES = frozenset([
    "app_mentions:read", "channels:history", "channels:join", "channels:read", "chat:write", "chat:write.public",
    "commands", "files:read", "files:write", "groups:history", "groups:read", "im:history", "im:read", "im:write",
    "mpim:history", "mpim:read", "reactions:read", "reactions:write", "team:read", "users:read",
    "users:read.email",
])
# fmt: on
EVENTS = {
    "app_home_opened": "",
    "app_mention": "app_mentions:read",
    "app_uninstalled": "",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "tokens_revoked": "",
}
_KEYS = {
    "": {"_metadata", "display_information", "features", "oauth_config", "settings"},
    "_metadata": {"major_version", "minor_version"},
    "display_information": {"name", "description", "long_description", "background_color"},
    "features": {"app_home", "bot_user", "slash_commands", "shortcuts"},
    "features.app_home": {"home_tab_enabled", "messages_tab_enabled", "messages_tab_read_only_enabled"},
    "features.bot_user": {"display_name", "always_online"},
    "oauth_config": {"scopes", "redirect_urls"},
    "oauth_config.scopes": {"bot", "user"},
    "settings": {
        "event_subscriptions",
        "interactivity",
        "org_deploy_enabled",
        "socket_mode_enabled",
        "token_rotation_enabled",
    },
    "settings.event_subscriptions": {"request_url", "bot_events"},
    "settings.interactivity": {"is_enabled", "request_url", "message_menu_options_url"},
}
_COMMAND = {"command", "description", "usage_hint", "should_escape", "url"}
_MOST_COMMANDS, _COMMAND_LENGTH = 50, 32
_LENGTHS = (
    ("display_information", "name", 35),
    ("display_information", "description", 140),
    ("features.bot_user", "display_name", 80),
)
_LINE = re.compile(r'( *)(- )?(?:([a-z_]+):(?: (.+))?|(".*"))')


@dataclass(frozen=True, slots=True)
class Made:
    """What a manifest makes of an app."""

    commands: frozenset[str]
    scopes: tuple[str, ...]
    events: frozenset[str]
    socket_mode: bool
    interactive: bool
    home: bool
    direct: bool
    hook: str


def make(text: str) -> Made:
    """An app from its manifest. ValueError lists what Slack would not take."""
    manifest = read_yaml(text)
    if problems := [*check(manifest)]:
        raise ValueError("\n".join(problems))
    settings, features = manifest["settings"], manifest["features"]
    home = features.get("app_home", {})
    return Made(
        commands=frozenset(one["command"] for one in features.get("slash_commands", [])),
        scopes=tuple(manifest["oauth_config"]["scopes"]["bot"]),
        events=frozenset(settings.get("event_subscriptions", {}).get("bot_events", [])),
        socket_mode=settings.get("socket_mode_enabled", False),
        interactive=settings.get("interactivity", {}).get("is_enabled", False),
        home=home.get("home_tab_enabled", False),
        direct=home.get("messages_tab_enabled", False) and not home.get("messages_tab_read_only_enabled", True),
        hook=settings.get("event_subscriptions", {}).get("request_url", ""),
    )


def check(manifest: Json) -> Iterator[str]:
    """What is wrong with a manifest."""
    for path, known in _KEYS.items():
        if unknown := _at(manifest, path).keys() - known:
            yield f"{path or 'manifest'}: unknown {sorted(unknown)}"
    for path, key, most in _LENGTHS:
        if not 0 < len(str(_at(manifest, path).get(key, ""))) <= most:
            yield f"{path}.{key}: empty, or longer than {most}"
    colour = _at(manifest, "display_information").get("background_color", "#000000")
    if not re.fullmatch(r"#(?:[0-9a-fA-F]{3}){1,2}", colour):
        yield f"display_information.background_color: {colour}"
    socket_mode = _at(manifest, "settings").get("socket_mode_enabled", False)
    yield from _commands(_at(manifest, "features").get("slash_commands", []), socket_mode=socket_mode)
    yield from _events(manifest, socket_mode=socket_mode)


def _at(manifest: Json, path: str) -> Json:
    for key in filter(None, path.split(".")):
        manifest = manifest.get(key, {})
    return manifest


def _commands(commands: list[Json], *, socket_mode: bool) -> Iterator[str]:
    names = [one.get("command", "") for one in commands]
    if len(names) > _MOST_COMMANDS or len(set(names)) < len(names):
        yield f"slash_commands: more than {_MOST_COMMANDS}, or one twice"
    for one in commands:
        name = one.get("command", "")
        if not re.fullmatch(r"/[a-z0-9_-]+", name) or len(name) > _COMMAND_LENGTH:
            yield f"{name}: no name for a command"
        if name.removeprefix("/") in RESERVED:
            yield f"{name}: Slack keeps this name for itself"
        if not 0 < len(one.get("description", "")) <= 2000 or len(one.get("usage_hint", "")) > 1000:
            yield f"{name}: no description, or one that is too long"
        if unknown := one.keys() - _COMMAND:
            yield f"{name}: unknown {sorted(unknown)}"
        if not socket_mode and not one.get("url", "").startswith("https://"):
            yield f"{name}: no https url"


def _events(manifest: Json, *, socket_mode: bool) -> Iterator[str]:
    scopes = _at(manifest, "oauth_config.scopes").get("bot", [])
    events = _at(manifest, "settings.event_subscriptions")
    yield from (f"scope {scope}: unknown" for scope in scopes if scope not in SCOPES)
    for event in events.get("bot_events", []):
        if event not in EVENTS:
            yield f"event {event}: unknown"
        elif EVENTS[event] and EVENTS[event] not in scopes:
            yield f"event {event}: needs the scope {EVENTS[event]}"
    if not socket_mode:
        for path in ("settings.event_subscriptions", "settings.interactivity"):
            if not _at(manifest, path).get("request_url", "").startswith("https://"):
                yield f"{path}: no https request_url"


def read_yaml(text: str) -> Json:
    """A mapping at the top; ValueError with the line that is not understood."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    value, rest = _block(lines, 0)
    if rest or not isinstance(value, dict):
        raise ValueError(f"not understood: {rest[:1]}")
    return value


def _block(lines: list[str], indent: int) -> tuple[object, list[str]]:
    """The list or mapping that begins with these lines at that indentation, and the lines behind it."""
    if lines and lines[0].lstrip().startswith("- "):
        return _list(lines, indent)
    made: Json = {}
    while lines and _indent(lines[0]) == indent:
        found = _LINE.fullmatch(lines[0])
        if found is None or not found[3] or found[2] or found[3] in made:
            raise ValueError(f"not understood: {lines[0]}")
        lines = lines[1:]
        if found[4]:
            made[found[3]] = json.loads(found[4])
        else:
            made[found[3]], lines = _block(lines, _indent(lines[0]))
    return made, lines


def _list(lines: list[str], indent: int) -> tuple[object, list[str]]:
    made: list[object] = []
    while lines and _indent(lines[0]) == indent and lines[0].lstrip().startswith("- "):
        first = lines[0][indent + 2 :]
        if first.startswith('"'):
            made.append(json.loads(first))
            lines = lines[1:]
        else:
            value, lines = _block([" " * (indent + 2) + first, *lines[1:]], indent + 2)
            made.append(value)
    return made, lines


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
