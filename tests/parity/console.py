"""The console as a way to the bot."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from deploybot.card import Card
from deploybot.chat.console.client_connection import ClientConnection, open_link
from deploybot.chat.console.console_chat import Console
from deploybot.chat.console.console_protocol import Show
from deploybot.chat.console.terminal_cards import plain, rows
from deploybot.domain import Channel, Identity
from tests.kit.command_bot import CommandBot
from tests.parity.sight import Sight
from tests.parity.ways import WITHIN, Lacks, Message, Way


class ConsoleWay(Way):
    """The console: one client a person, `--as NAME`, and cards as the client prints them."""

    name = "console"

    def __init__(self, bot: CommandBot, folder: Path) -> None:
        super().__init__(bot)
        self._path = folder / "console.sock"
        self._console = Console(self._path, self.parts)
        self._links: dict[str, ClientConnection] = {}
        self._shown: dict[str, list[Show]] = {}
        self._changed = asyncio.Condition()

    async def start(self) -> None:
        await self._console.start()

    async def close(self) -> None:
        for link in self._links.values():
            await link.close()
        await self._console.close()

    def identity(self, who: str) -> Identity:
        return Identity("console", f"{os.geteuid()}/{who}")

    async def type(self, who: str, where: str, text: str) -> None:
        del where
        link = await self._link(who)
        self._shown[who].clear()
        await link.ask(text)

    async def click(self, who: str, message: Message, label: str, answer: str) -> None:
        """The console shows a button as the command to type."""
        button = next(one for card in message.cards for one in card.buttons if one.label == label)
        more = f" {'code' if button.asks_code else 'because'} {answer}" if answer else ""
        await self.type(who, message.where, button.command + more)

    async def show(self, card: Card, message: Message | None = None) -> Message:
        await self._link("ana")
        channel = Channel("console", "room")
        if message is None:
            await self._console.send(channel, card)
        else:
            await self._console.edit(channel, card.key, card)
        sight = await self.until("ana", "room", lambda sight: sight.lacks([card]))
        return Message((card,), sight, "room")

    async def until(self, who: str, where: str, lacks: Lacks) -> Sight:
        del where

        def sight() -> Sight:
            cards = {show.message: show.card for show in self._shown[who]}.values()
            labels = tuple(one.label for card in cards for one in card.buttons)
            pages = frozenset(span.url for card in cards for row in rows(card, None) for span in row if span.url)
            return Sight("\n".join(map(plain, cards)), labels, pages)

        try:
            async with asyncio.timeout(WITHIN), self._changed:
                await self._changed.wait_for(lambda: not lacks(sight()))
        except TimeoutError:
            raise AssertionError(f"{who} misses {lacks(sight())} in: {sight()}") from None
        return sight()

    async def seen(self, who: str, where: str) -> str:
        del where
        await self._link(who)
        return "\n".join(plain(show.card) for show in self._shown[who])

    async def _link(self, who: str) -> ClientConnection:
        if who not in self._links:
            shown = self._shown[who] = []

            async def show(one: Show) -> None:
                async with self._changed:
                    shown.append(one)
                    self._changed.notify_all()

            self._links[who] = await open_link(self._path, show, name=who, person=True)
        return self._links[who]
