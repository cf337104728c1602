"""Whom the messages of a deployment notify, and where: those who can approve it, and who asked when it went wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deploybot.card import Card
from deploybot.domain import Channel, State
from deploybot.testing import Outcome
from tests.approvals.conftest import open_approval_bot
from tests.kit.bot import BotUnderTest

CHANNELS = (Channel("slack", "C1"), Channel("telegram", "-1001"))


def open_channels(bot: BotUnderTest) -> None:
    bot.settings.apps["shop"].__dict__["channel"] = CHANNELS


async def queued(bot: BotUnderTest, key: str) -> dict[str, Card]:
    """The last state of a card by platform."""
    rows = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now() + 1, 1_000))
    return {row.channel.platform: row.card for row in rows if row.key == key}


def mentioned(card: Card) -> list[tuple[str, str]]:
    return [(one.identity.platform, one.name) for one in card.wakes]


async def test_a_request_mentions_everybody_who_can_approve_it_in_their_chat(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=2) as bot:
        open_channels(bot)
        number = await bot.ask()
        cards = await queued(bot, f"deployment:{number}")
        assert mentioned(cards["slack"]) == [("slack", "ben"), ("slack", "cem"), ("slack", "dia")]
        assert mentioned(cards["telegram"]) == [("telegram", "ben"), ("telegram", "cem"), ("telegram", "dia")]
        assert "other than ana" not in cards["slack"].footer, "the mentions say it"
        await bot.say(f"approve #{number}", "ben")
        cards = await queued(bot, f"deployment:{number}")
        assert mentioned(cards["slack"]) == [("slack", "cem"), ("slack", "dia")]
        await bot.say(f"approve #{number}", "cem")
        await bot.end_of(number)
        assert mentioned((await queued(bot, f"deployment:{number}"))["slack"]) == []


async def test_the_reminder_mentions_them_again(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path) as bot:
        open_channels(bot)
        number = await bot.ask()
        bot.clock.advance(3.5 * 3600.0)
        async with asyncio.timeout(20):
            while not (await bot.request_of(number)).reminded:  # noqa: ASYNC110  nobody tells it
                await asyncio.sleep(0.001)
        reminder = (await queued(bot, f"reminder:{number}"))["slack"]
        assert mentioned(reminder) == [("slack", "ben"), ("slack", "cem"), ("slack", "dia")]


async def test_an_end_that_needs_a_person_is_a_new_message_that_mentions_who_asked(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path) as bot:
        open_channels(bot)
        bot.hosts["web1"].script("fetch", Outcome(code=3, log=b"fatal: no space left on device\n"))
        number = await bot.ask()
        await bot.say(f"approve #{number}", "ben")
        assert (await bot.end_of(number)).state is State.FAILED
        cards = await queued(bot, f"end:{number}")
        assert {name: mentioned(card) for name, card in cards.items()} == {
            "slack": [("slack", "ana")],
            "telegram": [("telegram", "ana")],
        }
        assert cards["slack"].title == f"#{number} shop/production: v2 · first deployment · failed"
        cause = "Step `fetch` failed on web1: no space left on device (exit code 3)."
        assert cards["slack"].text == f"{cause}\nNothing ran before, and nothing was started."


@pytest.mark.parametrize("word", ["approve", "reject"])
async def test_no_other_end_calls_anybody(tmp_path: Path, word: str) -> None:
    async with open_approval_bot(tmp_path) as bot:
        open_channels(bot)
        number = await bot.ask()
        await bot.say(f"{word} #{number} because of it" if word == "reject" else f"{word} #{number}", "ben")
        await bot.end_of(number)
        assert await queued(bot, f"end:{number}") == {}
