"""Run a command only once if the person sends it again because Slack was slow.

After three seconds Slack tells people that a command timed out, although it may still arrive. They send it again, as a
new message with a new id. So a command that changes something counts as a repeat if the same person sends the same
words in the same channel and thread within half a minute, unless the first one was refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from deploybot.bounded_memory import BoundedDict
from deploybot.chat.slack.slash_command_names import EVERYTHING
from deploybot.command import Command
from deploybot.domain import Action
from deploybot.parsing import strip_mention

_REMEMBERED: Final = 2_000
_LOOKS: Final = frozenset({Action.ANYONE, Action.VIEW})

Key = tuple[str, str, str, str]
"""The person, channel, thread and words of a command."""


def words_of(text: str) -> list[str]:
    """Return the words of a line without the bot's name. The first word is the command's name."""
    addressed = strip_mention(text, (EVERYTHING,))
    words = addressed.text.split() if addressed else []
    return [words[0].lower(), *words[1:]] if words else []


class Repeats:
    """Remembers commands for `window` seconds."""

    def __init__(self, commands: Mapping[str, Command], window: float) -> None:
        """Take the commands. Commands that only read are never repeats."""
        self.window = window
        self._commands = commands
        self._taken: BoundedDict[Key, float] = BoundedDict(_REMEMBERED)

    def key(self, user: str, channel: str, thread: str, text: str) -> Key | None:
        """Return the key of a command that changes something, or None for other commands."""
        words = words_of(text)
        command = self._commands.get(words[0]) if words else None
        return (user, channel, thread, " ".join(words)) if command and command.needs not in _LOOKS else None

    def seconds_since(self, key: Key) -> float | None:
        """Return the seconds since the same command was sent, or None if it is new. A new one is remembered."""
        now = asyncio.get_running_loop().time()
        taken = self._taken.get(key)
        if taken is not None and now - taken <= self.window:
            return now - taken
        self._taken[key] = now
        return None

    def forget(self, key: Key) -> None:
        """Forget a refused command: if it is sent again, it must run."""
        self._taken.pop(key, None)
