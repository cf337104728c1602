"""The names of slash commands. Slack reserves some names, so those commands get another one; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

EVERYTHING: Final = "deploybot"
"""`/deploybot status shop` works for every command."""

_PREFIX: Final = "deploy-"
_SLASH: Final = re.compile(r"/[a-z0-9_-]{1,31}")
# fmt: off
BUILT_IN: Final = frozenset([
    "active", "add", "apps", "archive", "away", "call", "canvas", "close", "collapse", "dm", "dnd", "expand", "feed",
    "feedback", "giphy", "help", "huddle", "invite", "join", "keys", "kick", "leave", "list", "me", "msg", "mute",
    "open", "part", "prefs", "pro", "remind", "remove", "rename", "search", "shortcuts", "shrug", "star", "status",
    "todo", "topic", "unarchive", "who", "workflow",
])
# fmt: on
"""Names of Slack's own slash commands, now or earlier. An app can't register them, or never receives them."""


def slash_name(command: str) -> str:
    """Return the slash command for a command: `/deploy`, but `/deploy-status`.

    Return "" for a command that can't have one: use `/deploybot COMMAND`.
    """
    name = f"/{_PREFIX}{command}" if command in BUILT_IN else f"/{command}"
    return name if _SLASH.fullmatch(name) and command != EVERYTHING else ""


def command_line(slash: str, text: str) -> str:
    """Return the command line for a slash command (`/deploy-status`) and its text: `status shop`."""
    name = slash.removeprefix("/").lower()
    if name == EVERYTHING:
        return text.strip()
    free = name.removeprefix(_PREFIX)
    return f"{free if free in BUILT_IN else name} {text}".strip()


def advice(commands: Iterable[str]) -> str:
    """Return the text that `help` adds in Slack: which of these commands have another name; "" if none."""
    renamed = [slash_name(command) for command in commands if command in BUILT_IN]
    if not renamed:
        return ""
    return f"Slack reserves some names: type {', '.join(renamed)} here. In a thread, mention me instead."
