"""A command that somebody sends again because Slack was slow: it runs once.

Slack tells people after three seconds that a command timed out, although it may be on its way, and they send it
again: another message with another id. So a command that changes something is taken for the same one when the same
person sends the same words in the same place within half a minute, unless the first was refused.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from deploybot.chat.slack.slash_command_names import EVERYTHING
from deploybot.command import Command
from deploybot.domain import Action
from deploybot.parsing import hear

_REMEMBERED: Final = 2_000
_LOOKS: Final = frozenset({Action.ANYONE, Action.VIEW})

Key = tuple[str, str, str, str]
"""Who, in which channel and thread, in which words."""


def words_of(text: str) -> list[str]:
    """The words of a line without what addresses the bot; the first is the command's name."""
    heard = hear(text, (EVERYTHING,))
    words = heard.text.split() if heard else []
    return [words[0].lower(), *words[1:]] if words else []


class Repeats:
    """Remembers what was sent, for `window` seconds."""

    def __init__(self, commands: Mapping[str, Command], window: float) -> None:
        """Take the commands there are: what only looks may be asked for again at any time."""
        self.window = window
        self._commands = commands
        self._taken: OrderedDict[Key, float] = OrderedDict()

    def key(self, user: str, channel: str, thread: str, text: str) -> Key | None:
        """What tells a command that changes something from others; None for one that does not."""
        words = words_of(text)
        command = self._commands.get(words[0]) if words else None
        return (user, channel, thread, " ".join(words)) if command and command.needs not in _LOOKS else None

    def seconds_since(self, key: Key) -> float | None:
        """How long ago the same was taken; None for the first time, which is noted."""
        now = asyncio.get_running_loop().time()
        while self._taken and (len(self._taken) > _REMEMBERED or now - next(iter(self._taken.values())) > self.window):
            self._taken.popitem(last=False)
        if key in self._taken:
            return now - self._taken[key]
        self._taken[key] = now
        return None

    def forget(self, key: Key) -> None:
        """It was refused: sent again, it is meant."""
        self._taken.pop(key, None)
