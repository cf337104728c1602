"""Channels that bot.toml names are looked at when the bot starts, where its scopes let it."""

from __future__ import annotations

import asyncio

from tests.chat.slack.workspace import ROOM, open_workspace
from tests.doubles.slack import SlackDouble

AWAY, OLD = "C0AWAY00001", "C0OLD000001"


async def test_a_channel_that_the_bot_is_not_in_is_reported_at_the_start() -> None:
    received: list[tuple[str, str]] = []
    told = asyncio.Event()

    async def closed(channel: str, why: str) -> None:
        received.append((channel, why))
        if channel == AWAY:
            told.set()

    def leave(double: SlackDouble) -> None:
        double.state.channel(ROOM)
        double.state.channel(AWAY).bot_in = False

        double.state.channel(OLD).refuses = "is_archived"

    async with open_workspace(prepare=leave, homes=(ROOM, OLD, AWAY), closed=closed) as workspace:
        async with asyncio.timeout(10):
            await told.wait()
        await workspace.rest()
    assert received == [(OLD, f"#{OLD.lower()} is archived."), (AWAY, f"The bot is not in #{AWAY.lower()}.")]


async def test_without_the_scopes_nothing_is_asked_and_nothing_is_called_unwell() -> None:
    received: list[str] = []

    async def closed(channel: str, why: str) -> None:
        received.append(f"{channel} {why}")

    def leave(double: SlackDouble) -> None:
        double.state.channel(AWAY).bot_in = False
        double.web.scopes = ",".join(one for one in double.web.scopes.split(",") if one != "channels:read")

    async with open_workspace(prepare=leave, homes=(AWAY,), closed=closed) as workspace:
        await workspace.rest()
        assert workspace.slack.problem == ""
    assert received == []
