"""Slash commands' names: Slack keeps some for itself, so those commands get a free one; pure."""

from __future__ import annotations

from typing import Final

EVERYTHING: Final = "deploybot"
"""`/deploybot status shop` works for every command."""

_PREFIX: Final = "deploy-"
BUILT_IN: Final = frozenset(
    {
        "active",
        "add",
        "apps",
        "archive",
        "away",
        "call",
        "canvas",
        "close",
        "collapse",
        "dm",
        "dnd",
        "expand",
        "feed",
        "feedback",
        "giphy",
        "help",
        "huddle",
        "invite",
        "join",
        "keys",
        "kick",
        "leave",
        "list",
        "me",
        "msg",
        "mute",
        "open",
        "part",
        "prefs",
        "pro",
        "remind",
        "remove",
        "rename",
        "search",
        "shortcuts",
        "shrug",
        "star",
        "status",
        "todo",
        "topic",
        "unarchive",
        "who",
        "workflow",
    }
)
"""What Slack's own slash commands are or were called: an app that wants one of them is refused or never hears it."""


def slash_name(command: str) -> str:
    """What a command is called in Slack, with its slash: `/deploy`, but `/deploy-status`."""
    return f"/{_PREFIX}{command}" if command in BUILT_IN else f"/{command}"


def command_line(slash: str, text: str) -> str:
    """What a person means by a slash command (`/deploy-status`) and the text behind it: `status shop`."""
    name = slash.removeprefix("/").lower()
    if name == EVERYTHING:
        return text.strip()
    free = name.removeprefix(_PREFIX)
    return f"{free if free in BUILT_IN else name} {text}".strip()
