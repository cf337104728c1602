"""Slash commands' names: Slack keeps some for itself, so those commands get a free one; pure."""

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
"""What Slack's own slash commands are or were called: an app that wants one of them is refused or never hears it."""


def slash_name(command: str) -> str:
    """What a command is called in Slack, with its slash: `/deploy`, but `/deploy-status`.

    Empty for one that cannot have a slash of its own there: `/deploybot COMMAND` works for it.
    """
    name = f"/{_PREFIX}{command}" if command in BUILT_IN else f"/{command}"
    return name if _SLASH.fullmatch(name) and command != EVERYTHING else ""


def command_line(slash: str, text: str) -> str:
    """What a person means by a slash command (`/deploy-status`) and the text behind it: `status shop`."""
    name = slash.removeprefix("/").lower()
    if name == EVERYTHING:
        return text.strip()
    free = name.removeprefix(_PREFIX)
    return f"{free if free in BUILT_IN else name} {text}".strip()


def advice(commands: Iterable[str]) -> str:
    """What `help` adds in Slack: which of these commands are called otherwise there; empty where none is."""
    renamed = [slash_name(command) for command in commands if command in BUILT_IN]
    if not renamed:
        return ""
    return f"Slack keeps some names for itself: type {', '.join(renamed)} here. In a thread, mention me instead."
