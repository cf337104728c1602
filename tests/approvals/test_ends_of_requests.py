"""How a request ends: rejected, cancelled, approved, expired, or scheduled for its time."""

from __future__ import annotations

import asyncio

import pytest

from deploybot.domain import State
from deploybot.testing import Outcome
from tests.approvals.conftest import engine
from tests.kit.bot import BotUnderTest

HOUR = 3600.0


async def test_a_rejection_reports_why(bot: BotUnderTest) -> None:
    number = await bot.ask()
    usage = await bot.say(f"reject #{number}", "ben")
    assert usage.title == f"`reject #{number}` needs a reason."
    card = await bot.say(f"reject #{number} because the migration is not reviewed", "ben")
    assert card.title == f"#{number} (shop/production: v2 · first deployment) is rejected."
    ended = await bot.end_of(number)
    assert ended.outcome == "Rejected by ben: the migration is not reviewed. Nothing was deployed."
    shown = await bot.card(number)
    assert (shown.title.endswith("· rejected"), shown.buttons) == (True, ())
    assert (await bot.say(f"approve #{number}", "cem")).title == f"#{number} has already ended: rejected."


async def test_what_is_approved_can_be_rejected_until_it_begins(bot: BotUnderTest) -> None:
    async with bot.busy():
        number = await bot.ask()
        await bot.say(f"approve #{number}", "ben")
        assert [one.label for one in (await bot.card(number)).buttons] == ["Reject", "Cancel"]
        assert (await bot.say(f"reject #{number} because I was wrong", "ben")).ok
    assert (await bot.end_of(number)).state is State.CANCELLED
    assert not bot.hosts["web1"].started


async def test_it_is_cancelled_by_who_asked(bot: BotUnderTest) -> None:
    number = await bot.ask()
    await bot.say(f"cancel #{number}", "ana")
    assert (await bot.end_of(number)).outcome == "Cancelled by ana. It had not started."
    assert (await bot.say(f"approve #{number}", "ben")).title == f"#{number} has already ended: cancelled."


@pytest.mark.parametrize("word", ["approve #{}", "reject #{} because no"])
async def test_what_needs_none_and_what_has_begun(bot: BotUnderTest, word: str) -> None:
    staging = await bot.ask("deploy shop@v1 to staging")
    await bot.end_of(staging)
    assert (await bot.say(word.format(staging), "ben")).title == f"#{staging} needs no approval."
    assert (await bot.say(word.format(99), "ben")).title == "There is no deployment #99."
    bot.hosts["web1"].script("fetch", Outcome(hold=True))
    number = await bot.ask()
    await bot.say(f"approve #{number}", "ben")
    await bot.started(number, "fetch")
    card = await bot.say(word.format(number), "cem")
    assert (card.title, card.hint) == (f"#{number} has already started.", f"`cancel #{number}` stops it.")


async def test_the_second_of_two_learns_that_it_is_approved(bot: BotUnderTest) -> None:
    async with bot.busy():
        number = await bot.ask()
        await bot.say(f"approve #{number}", "ben")
        assert (await bot.say(f"approve #{number}", "cem")).title == f"#{number} is already approved, by ben."


async def test_reminded_and_expired(bot: BotUnderTest) -> None:
    number = await bot.ask()
    bot.clock.advance(3.5 * HOUR)
    async with asyncio.timeout(20):
        while not (await bot.request_of(number)).reminded:  # noqa: ASYNC110 - a row, without an event
            await asyncio.sleep(0.001)
    items = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now(), 100))
    reminder = next(item.card for item in items if item.key == f"reminder:{number}")
    assert reminder.title == f"#{number} shop/production: v2 · first deployment · still waiting for 1 approval"
    assert [one.label for one in reminder.buttons] == ["Approve", "Reject"]
    bot.clock.advance(HOUR)
    ended = await bot.end_of(number)
    assert ended.outcome == "It expired after 4 h with none of the 1 approvals it needs. Nothing was deployed."
    items = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now(), 100))
    reminder = next(item.card for item in items if item.key == f"reminder:{number}")
    assert (reminder.title.endswith("· expired"), reminder.final, reminder.buttons) == (True, True, ())
    assert [one.label for one in (await bot.card(number)).buttons] == ["Ask again"]


async def test_expired_in_the_moment_of_the_click(bot: BotUnderTest) -> None:
    bot.wait(clock_check=1000.0)
    number = await bot.ask()
    async with asyncio.timeout(20):
        while not engine(bot)._open_request(number).bell._waiters:  # noqa: ASYNC110
            await asyncio.sleep(0.001)  # the task that waits has looked at the time, and has no event for it
    bot.clock.advance(5 * HOUR)
    assert (await bot.say(f"approve #{number}", "ben")).title.startswith(f"#{number} expired at 2027-")


async def test_a_time_of_day_is_when_the_approvals_have_to_be_there(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop@v2 to production --at 09:00")
    request = await bot.request_of(number)
    assert request.expires == (await bot.deployment(number)).not_before
    bot.clock.advance(2 * HOUR)
    ended = await bot.end_of(number)
    assert ended.outcome.startswith("It was scheduled for 2027-01-15 09:00 UTC")


async def test_approved_before_its_time_it_begins_then(bot: BotUnderTest) -> None:
    bot.wait(clock_check=0.001)
    number = await bot.ask("deploy shop@v2 to production --at 09:00")
    await bot.say(f"approve #{number}", "ben")
    assert (await bot.deployment(number)).state is State.WAITING
    bot.clock.advance(HOUR)
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_what_waits_for_approvals_is_in_nobodys_way(bot: BotUnderTest) -> None:
    first = await bot.ask("deploy shop@v1 to production")
    second = await bot.ask("deploy shop@v2 to production", "eve")
    await bot.say(f"approve #{second}", "ben")
    assert (await bot.end_of(second)).state is State.SUCCEEDED
    card = await bot.say(f"approve #{first}", "ben")
    assert card.text == "\n".join(f"what it replaces: {name} was nothing, now 2222222222" for name in ("web1", "web2"))
