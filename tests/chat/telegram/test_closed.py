"""Chats that bot.toml names are looked at when the bot starts."""

from __future__ import annotations

import asyncio

import pytest

from deploybot.card import Card
from deploybot.domain import Channel
from deploybot.errors import ChannelClosed
from tests.chat.telegram.conftest import GROUP, open_telegram_bot
from tests.doubles.telegram import TelegramDouble
from tests.doubles.telegram.limits import FREE


async def test_a_chat_that_is_not_there_is_reported_at_the_start() -> None:
    received: list[tuple[str, str]] = []
    told = asyncio.Event()

    async def closed(channel: str, why: str) -> None:
        received.append((channel, why))
        told.set()

    double = TelegramDouble(FREE)
    double.group(GROUP)
    async with open_telegram_bot(double=double, homes=(GROUP, "-1009999999999"), closed=closed):
        async with asyncio.timeout(10):
            await told.wait()
    assert [channel for channel, _ in received] == ["-1009999999999"]
    assert "not found" in received[0][1]


async def test_a_group_in_which_the_bot_may_not_write_is_closed() -> None:
    double = TelegramDouble(FREE)
    double.group(GROUP).may_write = False
    async with open_telegram_bot(double=double) as bot:
        with pytest.raises(ChannelClosed, match="Not enough rights"):
            await bot.chat.send(Channel("telegram", GROUP), Card(title="Hello"))
