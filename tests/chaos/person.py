"""A person at the console of a bot that keeps dying: see `Person`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from deploybot.chat.console.client_connection import ClientConnection, Lost, NoBot, open_link
from deploybot.chat.console.console_protocol import SOCKET, Done, Show
from tests.chaos.process import Bot

_NOTICED_WITHIN = 1.0


class Person:
    """Types commands, and sees every card that the room is told; comes back whenever a bot is there again."""

    def __init__(self, data: Path, bot: Bot) -> None:
        """Take the bot's data folder, and the process to wait for."""
        self._path = data / SOCKET
        self._bot = bot
        self._link: ClientConnection | None = None
        self._linking = asyncio.Lock()
        self.shows: list[Show] = []

    async def say(self, text: str) -> Done | None:
        """Type a command; its answer, or None where the bot died over it."""
        try:
            return await (await self._there()).ask(text)
        except Lost:
            return None

    async def follow(self, key: str) -> None:
        """Watch a card until it is final, over as many bots as it takes."""
        while True:
            try:
                await (await self._there()).watch(key)
            except Lost:
                continue
            if any(show.card.final for show in self.shows if show.card.key == key):
                return

    async def leave(self) -> None:
        """Close the connection."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _there(self) -> ClientConnection:
        """The connection; a new one where there is none any more."""
        async with self._linking:
            while self._link is None or self._link.closed.done():
                await self.leave()
                try:
                    self._link = await open_link(self._path, self._show)
                except (NoBot, Lost):
                    # It has died, or is about to listen.
                    before = self._bot.life
                    await self._bot.until(lambda life, before=before: life is not before, within=_NOTICED_WITHIN)  # type: ignore[misc]
            return self._link

    async def _show(self, show: Show) -> None:
        self.shows.append(show)
