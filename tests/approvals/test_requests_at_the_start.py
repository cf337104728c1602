"""What a start of the bot does with requests: it counts the approvals again, and finds what has all of them."""

from __future__ import annotations

import re
from pathlib import Path

from deploybot.domain import (
    State,
)
from tests.approvals.conftest import engine, open_approval_bot
from tests.kit.bot import BotUnderTest, shop_settings


async def test_after_a_start_only_open_requests_say_that_the_bot_was_away(bot: BotUnderTest) -> None:
    async with bot.busy():
        ready, open_one, cancelled = [await bot.ask() for _ in range(3)]
        await bot.say(f"approve #{ready}", "ben")
        await bot.deployments.queue.close()
        await bot.store.write(lambda tables: tables.deployments.ask_cancel(cancelled, "ana"))
        every = [await bot.deployment(number) for number in (ready, open_one, cancelled)]
        assert [one.state for one in every] == [State.WAITING] * 3
        await engine(bot).refresh(every)
        notes = [(await bot.request_of(number)).note for number in (ready, open_one, cancelled)]
        assert (notes[0], notes[2]) == ("", "")
        assert re.fullmatch(
            r"deploybot restarted; press again if your answer is missing here \(\d\d:\d\d:\d\d UTC\)", notes[1]
        )
        queued = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now() + 9e9, 1000))
        assert any("deploybot restarted" in repr(item.card) for item in queued)


async def test_what_bot_toml_no_longer_requires_stays_required_of_a_request(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=1, approvers=["@ben"], approval_code="totp") as bot:
        number = await bot.ask()
        await bot.restart(shop_settings(bot.settings.bot.data))
        request = await bot.request_of(number)
        assert (request.wanted, request.approvers, request.code) == (1, ("@ben",), True)
        await bot.restart(shop_settings(bot.settings.bot.data, approvals=2))
        request = await bot.request_of(number)
        assert (request.wanted, request.code) == (2, True), "more is required, and the code still"


async def test_a_start_counts_the_approvals_again(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=2) as bot:
        number, other = await bot.ask(), await bot.ask()
        for one in (number, other):
            assert (await bot.say(f"approve #{one}", "ben")).ok
        await bot.deployments.queue.close()
        await bot.say("deny @ben on shop", "dia")
        await engine(bot).refresh([await bot.deployment(number)])
        assert [one.counts for one in (await bot.request_of(number)).approvals] == [False]
        assert [one.counts for one in (await bot.request_of(other)).approvals] == [True], "not refreshed"


async def test_a_start_finds_what_has_its_approvals(bot: BotUnderTest) -> None:
    async with bot.busy():
        number = await bot.ask()
        assert (await bot.say(f"approve #{number}", "ben")).ok
        await bot.deployments.queue.close()
        await bot.store.write(lambda tables: tables.deployments.approve(number, 0.0))
        assert (await bot.deployment(number)).awaits_approval
        before = bot.clock.now()
        await engine(bot).refresh([await bot.deployment(number)])
        assert before <= (await bot.deployment(number)).approved <= bot.clock.now()
