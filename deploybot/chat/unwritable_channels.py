"""Report channels named in bot.toml in which the bot can't write: once, in the channels where it can."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping

from deploybot.domain import Channel
from deploybot.errors import StoreError
from deploybot.part_tables import CHAT_TABLE
from deploybot.ports import Store, Tables
from deploybot.setup_notices import Notice, NoticeBoard

_PREFIX = "channel "


Closed = Callable[[str, str], Awaitable[None]]
"""Gets a channel in which the bot can't write, and the reason."""


async def no_report(channel: str, why: str) -> None:
    """Do nothing, if no report is needed."""
    del channel, why


class MissingChannels:
    """Reports channels that refuse messages. `named` has the keys of bot.toml that name each channel."""

    def __init__(self, board: NoticeBoard, named: Mapping[tuple[str, str], str]) -> None:
        """Take the notice board and the keys. No channel is reported yet."""
        self._board = board
        self._named = named
        self._missing: set[str] | None = None

    def refused(self, tables: Tables, channel: Channel, why: str) -> None:
        """Report a channel that refuses the bot's messages."""
        keys = self._named.get((channel.platform, channel.id))
        if not keys:
            return
        key = _key(channel)
        self._known(tables).add(key)
        way_in = CHAT_TABLE[channel.platform].way_in
        notice = Notice(
            key=key,
            title=f"I cannot write in {channel}, which bot.toml names in {keys}.",
            text=f"{why} Messages for this channel are not posted.",
            fix=f"{way_in}, or correct {keys}.",
            besides=channel,
        )
        self._board.report(tables, notice)

    def arrived(self, tables: Tables, channel: Channel) -> None:
        """Close the report of a channel that accepts messages again."""
        key = _key(channel)
        if key in self._known(tables):
            self._known(tables).discard(key)
            self._board.close(tables, key)

    def on_closed(self, store: Store, platform: str) -> Closed:
        """Return the callback for a chat that finds a closed channel at its start."""

        async def closed(channel: str, why: str) -> None:
            with contextlib.suppress(StoreError):  # the database reports its own problems
                await store.write(lambda tables: self.refused(tables, Channel(platform, channel), why))

        return closed

    def _known(self, tables: Tables) -> set[str]:
        """Return the open reports, including those of an earlier run."""
        if self._missing is None:
            self._missing = {*tables.notices.open(_PREFIX)}
        return self._missing


def _key(channel: Channel) -> str:
    return f"{_PREFIX}{channel.platform} {channel.id}"
