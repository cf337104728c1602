"""Reminders of locks that stay."""

from __future__ import annotations

import asyncio

import pytest

from deploybot.access.lock_reminders import LockReminders
from tests.grants.conftest import ANA, SHOP, cards, told
from tests.kit.command_bot import CommandBot

DAY = 86400.0
TEXT = "shop/production has been locked by ana for {}: “the migration runs by hand”"


async def test_a_lock_is_reported_each_day_until_it_is_released(one: CommandBot) -> None:
    reminders = LockReminders(one.settings, one.store, one.clock, one.access.announcer)
    await one.say("lock shop production because the migration runs by hand")
    before = len(await told(one))
    one.clock.advance(DAY - 1)
    await reminders.look()
    assert len(await told(one)) == before
    one.clock.advance(1)
    for _ in range(2):
        await reminders.look()
    assert (await told(one))[before:] == [(SHOP, TEXT.format("1 d")), (ANA, TEXT.format("1 d"))]
    (card,) = await cards(one, ANA)
    assert card.hint == "`unlock shop production` removes the lock: ana or an admin can do that."
    one.clock.advance(DAY)
    await reminders.look()
    assert TEXT.format("2 d") in [text for _, text in await told(one)]
    await one.say("unlock shop production")
    count = len(await told(one))
    one.clock.advance(2 * DAY)
    await reminders.look()
    assert len(await told(one)) == count


async def test_a_lock_that_is_taken_again_counts_from_then(one: CommandBot) -> None:
    reminders = LockReminders(one.settings, one.store, one.clock, one.access.announcer)
    await one.say("lock shop production because the migration runs by hand")
    one.clock.advance(DAY - 1)
    await one.say("lock shop production because the migration runs by hand")
    before = len(await told(one))
    one.clock.advance(2)
    await reminders.look()
    assert len(await told(one)) == before


@pytest.mark.parametrize("gone", ["app", "environment"])
async def test_a_lock_of_a_target_that_is_gone_is_not_reported(one: CommandBot, gone: str) -> None:
    await one.say("lock shop production because the migration runs by hand")
    before = len(await told(one))
    one.clock.advance(DAY)
    shop = one.settings.apps["shop"]
    left = {} if gone == "app" else {"shop": shop.model_copy(update={"environments": {}})}
    settings = one.settings.model_copy(update={"apps": left})
    await LockReminders(settings, one.store, one.clock, one.access.announcer).look()
    assert len(await told(one)) == before


async def test_a_reminder_is_sent_when_the_full_disk_has_space_again(
    one: CommandBot, caplog: pytest.LogCaptureFixture
) -> None:
    await one.say("lock shop production because the migration runs by hand")
    one.clock.advance(DAY)
    one.store.full = "no space left"
    run = asyncio.create_task(
        LockReminders(one.settings, one.store, one.clock, one.access.announcer, look_every=0.001).run()
    )
    async with asyncio.timeout(60):
        while "reminders of locks could not be sent yet" not in caplog.text:  # noqa: ASYNC110 - a line of the log, without an event
            await asyncio.sleep(0.001)
        one.store.full = ""
        while TEXT.format("1 d") not in [text for _, text in await told(one)]:  # noqa: ASYNC110 - a row, without an event
            await asyncio.sleep(0.001)
    run.cancel()
