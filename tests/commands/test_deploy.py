from __future__ import annotations

from datetime import date, time

import pytest

from deploybot import Day
from deploybot.domain import Kind
from deploybot.testing import FakeRequest
from tests.kit.command_bot import MAIN, V2, CommandBot, open_command_bot


async def test_the_newest_to_the_default(bot: CommandBot) -> None:
    card = await bot.say("deploy shop", "ben")
    assert card.title == "#1 deploy shop in staging"
    assert bot.deployments.requests == [
        FakeRequest(kind=Kind.DEPLOY, app="shop", environment="staging", release=MAIN, by="ben"),
    ]


async def test_everything_said(bot: CommandBot) -> None:
    await bot.say("deploy shop@v1.4 --dry-run to production/web2,web1 --at 18:00 because the cart", "ben")
    assert bot.deployments.requests == [
        FakeRequest(
            kind=Kind.DEPLOY,
            app="shop",
            environment="production",
            release=V2,
            servers=("web2", "web1"),
            dry_run=True,
            at=time(18),
            by="ben",
            reason="the cart",
        ),
    ]


async def test_a_day_and_a_time_to_start(bot: CommandBot) -> None:
    await bot.say("deploy shop@v1.4 to production --at Mon 08:00", "ben")
    await bot.say("deploy shop@v1.4 --at 2026-12-24 06:00 to production", "ben")
    assert [request.at for request in bot.deployments.requests] == [
        (Day(weekday=0), time(8)),
        (Day(date=date(2026, 12, 24)), time(6)),
    ]


@pytest.mark.parametrize(
    ("words", "title", "hint"),
    [
        ("--at Mon", "A day needs a time.", "For example: `--at Mon 08:00`."),
        ("08:00", "Write the time after `--at`.", "For example: `--at 18:00` or `--at Mon 08:00`."),
        ("--at 18:00 08:00", "Write the time after `--at`.", "For example: `--at 18:00` or `--at Mon 08:00`."),
        ("--at Mon 08:00 --in 2h", "Use `--at` or `--in`, not both.", ""),
    ],
)
async def test_a_start_that_is_not_clear(bot: CommandBot, words: str, title: str, hint: str) -> None:
    card = await bot.say(f"deploy shop@v1.4 to production {words}", "ben")
    assert (card.ok, card.title, card.hint) == (False, title, hint)
    assert bot.deployments.requests == []


async def test_a_secret_in_a_reason_is_neither_kept_nor_shown() -> None:
    async with open_command_bot(secrets=("correct-horse",)) as bot:
        await bot.say("deploy shop because the key is correct-horse now")
        assert bot.deployments.requests[0].reason == "the key is ••• now"
        card = await bot.say("lock shop staging because correct-horse")
        assert "“•••”" in card.title
        lock = await bot.store.read(lambda tables: tables.locks.get("shop", "staging", 0.0))
        assert lock is not None
        assert lock.reason == "•••"
        card = await bot.say("deploy wiki@v1.4 because correct-horse")
        assert [button.command for button in card.buttons] == [
            "deploy wiki@v1.4 to test because •••",
            "deploy wiki@v1.4 to live because •••",
        ]


async def test_which_environment(bot: CommandBot) -> None:
    card = await bot.say("deploy wiki@v1.4 because x")
    assert card.title == "Which environment of wiki do you mean: test, live?"
    assert card.hint == "For example: deploy wiki@v1.4 to test because x"
    assert [(button.label, button.command) for button in card.buttons] == [
        ("test", "deploy wiki@v1.4 to test because x"),
        ("live", "deploy wiki@v1.4 to live because x"),
    ]
    assert bot.deployments.requests == []
    await bot.say(card.buttons[1].command)
    assert bot.deployments.requests[0].environment == "live"


async def test_unknown_ref(bot: CommandBot) -> None:
    card = await bot.say("deploy shop@v9")
    assert card.title == "shop has no ref `v9`."
    assert bot.deployments.requests == []
