"""Channels that bot.toml names and in which the bot may not write: reported once, in the channels where it may."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping

from deploybot.domain import Place
from deploybot.errors import StoreError
from deploybot.ports import Store, Tables
from deploybot.setup_notices import Notice, NoticeBoard

_FIXES = {
    "slack": "Invite the bot there (`/invite @deploybot`)",
    "telegram": "Add the bot to that chat, and let it write there",
}
_PREFIX = "channel "


Closed = Callable[[str, str], Awaitable[None]]
"""Hears of a channel of a chat in which the bot may not write, and why."""


async def nobody_hears(channel: str, why: str) -> None:
    """Do nothing: where no report is made."""
    del channel, why


class MissingChannels:
    """Hears what became of messages. `named` says by which keys of bot.toml a channel of a platform is named."""

    def __init__(self, board: NoticeBoard, named: Mapping[tuple[str, str], str]) -> None:
        """Nothing is missing, as far as is known."""
        self._board = board
        self._named = named
        self._missing: set[str] | None = None

    def refused(self, tables: Tables, place: Place, why: str) -> None:
        """Report a channel that takes no message of the bot."""
        keys = self._named.get((place.platform, place.channel))
        if not keys:
            return
        key = _key(place)
        self._known(tables).add(key)
        way_in = _FIXES.get(place.platform, "Let the bot write there")
        notice = Notice(
            key=key,
            title=f"I cannot write in {place.channel} on {place.platform}, which {keys} of bot.toml names.",
            text=f"{why} What belongs there is not posted.",
            fix=f"{way_in}, or correct {keys}.",
            besides=place,
        )
        self._board.report(tables, notice)

    def arrived(self, tables: Tables, place: Place) -> None:
        """Close the report of a channel that takes messages again."""
        key = _key(place)
        if key in self._known(tables):
            self._known(tables).discard(key)
            self._board.close(tables, key)

    def heard_of(self, store: Store, platform: str) -> Closed:
        """What a chat calls when it sees at its start that a channel is closed."""

        async def closed(channel: str, why: str) -> None:
            with contextlib.suppress(StoreError):  # the database says itself what is wrong with it
                await store.write(lambda tables: self.refused(tables, Place(platform, channel), why))

        return closed

    def _known(self, tables: Tables) -> set[str]:
        """The reports that are open, also those of an earlier bot."""
        if self._missing is None:
            self._missing = {*tables.notices.open(_PREFIX)}
        return self._missing


def _key(place: Place) -> str:
    return f"{_PREFIX}{place.platform} {place.channel}"
