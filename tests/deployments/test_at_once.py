"""`at_once`: how many deployments run at the same time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploybot.domain import Role, State
from deploybot.settings import Settings
from deploybot.testing import Outcome
from tests.kit.bot import V1, BotUnderTest, Team, fetched, open_as, shop_settings

TEAM: Team = {"ana": [(Role.ADMIN, "*", "*")]}


def _settings(folder: Path, at_once: int) -> Settings:
    settings = shop_settings(folder / "data")
    return settings.model_copy(update={"bot": settings.bot.model_copy(update={"at_once": at_once})})


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[BotUnderTest]:
    async with open_as(BotUnderTest, tmp_path, _settings(tmp_path, 1), team=TEAM) as bot:
        yield bot


async def _held(bot: BotUnderTest) -> int:
    """A deployment to staging that runs until `_let_go`."""
    bot.hosts["web1"].script("fetch", Outcome(effect=fetched, hold=True), Outcome(effect=fetched))
    number = await bot.ask("deploy shop@v1 to staging")
    await bot.started(number, "fetch")
    return number


async def _let_go(bot: BotUnderTest, number: int) -> None:
    bot.hosts["web1"].finish(await bot.started(number, "fetch"))


async def test_another_target_waits_for_its_end_and_says_so(bot: BotUnderTest) -> None:
    first = await _held(bot)
    second = await bot.ask("deploy shop@v1 to production")
    assert (await bot.deployment(second)).state is State.WAITING
    waits = "another deployment to end (`at_once` in bot.toml is 1)"
    assert f"Waits for {waits}." in (await bot.card(second)).text
    assert (await bot.say("queue")).lines[1].text.endswith(f"waits for {waits}")
    await _let_go(bot, first)
    assert (await bot.end_of(first)).state is State.SUCCEEDED
    assert (await bot.end_of(second)).state is State.SUCCEEDED


async def test_what_waits_for_a_slot_can_be_cancelled(bot: BotUnderTest) -> None:
    first = await _held(bot)
    second = await bot.ask("deploy shop@v1 to production")
    await bot.say(f"cancel #{second}")
    assert (await bot.end_of(second)).outcome == "Cancelled by ana. It had not started."
    await _let_go(bot, first)
    assert (await bot.end_of(first)).state is State.SUCCEEDED
    third = await bot.ask("deploy shop@v1 to production")
    assert (await bot.end_of(third)).state is State.SUCCEEDED


async def test_what_waits_for_a_slot_is_in_nobodys_way_on_its_target(bot: BotUnderTest) -> None:
    """Break glass on the same target begins at once."""
    first = await _held(bot)
    second = await bot.ask("deploy shop@v1 to production")
    await bot.until_card(second, lambda card: "at_once" in card.text)
    third = await bot.ask("deploy shop@v2 to production --break-glass because it burns")
    assert (await bot.deployment(third)).state in {State.RUNNING, State.WAITING}
    await bot.say(f"cancel #{second}")
    assert (await bot.end_of(second)).state is State.CANCELLED
    assert (await bot.end_of(third)).state is State.SUCCEEDED
    await _let_go(bot, first)
    assert (await bot.end_of(first)).state is State.SUCCEEDED


async def test_a_freeze_reaches_what_waits_for_a_slot(bot: BotUnderTest) -> None:
    bot.wait(clock_check=0.001)
    first = await _held(bot)
    second = await bot.ask("deploy shop@v1 to production")
    await bot.say("freeze shop production for 2h because we measure")
    await _let_go(bot, first)
    assert (await bot.end_of(first)).state is State.SUCCEEDED
    assert (await bot.deployment(second)).frozen_until > 0
    bot.clock.advance(7200)
    assert (await bot.end_of(second)).state is State.SUCCEEDED


async def test_the_oldest_gets_the_slot(bot: BotUnderTest) -> None:
    first = await _held(bot)
    production = await bot.ask("deploy shop@v1 to production")
    staging = await bot.ask("deploy shop@v2 to staging")
    await _let_go(bot, first)
    ends = [await bot.end_of(number) for number in (production, staging)]
    assert [one.state for one in ends] == [State.SUCCEEDED] * 2
    assert ends[0].finished <= ends[1].started


async def test_break_glass_does_not_wait_for_a_slot(bot: BotUnderTest) -> None:
    first = await _held(bot)
    second = await bot.ask("deploy shop@v1 to production --break-glass because it burns")
    assert (await bot.end_of(second)).state is State.SUCCEEDED
    await _let_go(bot, first)
    assert (await bot.end_of(first)).state is State.SUCCEEDED


async def test_what_had_begun_before_a_restart_goes_on_and_counts(bot: BotUnderTest) -> None:
    first = await _held(bot)
    second = await bot.ask("deploy shop@v1 to production")
    await bot.restart()
    assert (await bot.deployment(second)).state is State.WAITING
    await _let_go(bot, first)
    assert (await bot.end_of(first)).state is State.SUCCEEDED
    assert (await bot.end_of(second)).state is State.SUCCEEDED


async def test_without_a_limit_they_run_side_by_side(tmp_path: Path) -> None:
    async with open_as(BotUnderTest, tmp_path, _settings(tmp_path, 0), team=TEAM) as bot:
        first = await _held(bot)
        assert (await bot.deploy(V1)).state is State.SUCCEEDED
        await _let_go(bot, first)
        await bot.end_of(first)


async def test_one_that_failed_gives_its_slot_back(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("fetch", Outcome(code=1), Outcome(effect=fetched))
    first = await bot.ask("deploy shop@v1 to staging")
    assert (await bot.end_of(first)).state is State.FAILED
    assert (await bot.deploy(V1)).state is State.SUCCEEDED
