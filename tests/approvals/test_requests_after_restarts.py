"""A restart keeps a request, and may require more approvals, never fewer."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploybot.domain import Approval, RequestVerdict, State
from deploybot.ports import Tables
from deploybot.testing import Outcome
from tests.approvals.conftest import open_approval_bot
from tests.kit.bot import V3, BotUnderTest, shop_settings


async def test_after_a_restart_it_waits_as_before(bot: BotUnderTest) -> None:
    number = await bot.ask()
    await bot.restart()
    assert "! deploybot restarted; press again if your answer is missing here (08:" in (await bot.card(number)).text
    assert (await bot.say(f"approve #{number}", "ben")).ok
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_after_a_restart_more_can_be_asked_for_and_never_less(bot: BotUnderTest) -> None:
    number = await bot.ask()
    data = bot.settings.bot.data
    await bot.restart(shop_settings(data, approvals=2))
    assert (await bot.say(f"approve #{number}", "ben")).title == f"#{number} has 1 of 2 approvals now."
    await bot.restart(shop_settings(data, approvals=1))
    assert (await bot.request_of(number)).wanted == 2
    await bot.restart(shop_settings(data))
    assert (await bot.say(f"approve #{number}", "ben")).title == "You already approved it."
    assert (await bot.say(f"approve #{number}", "cem")).title == f"#{number} is approved."
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_what_is_approved_waits_again_where_more_is_wanted_after_a_restart(bot: BotUnderTest) -> None:
    async with bot.busy():
        number = await bot.ask()
        await bot.say(f"approve #{number}", "ben")
        await bot.restart(shop_settings(bot.settings.bot.data, approvals=2))
    await bot.until(number, lambda deployment: deployment.awaits_approval)
    card = await bot.card(number)
    assert card.title.endswith("waiting for 1 approval")
    assert card.footer.startswith("approved 1 of 2: ben · ")
    assert (await bot.say(f"approve #{number}", "cem")).title == f"#{number} is approved."
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_what_was_asked_for_before_approvals_were_wanted_has_to_be_asked_again(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=0) as bot:
        bot.hosts["web1"].script("fetch", Outcome(hold=True))
        first = await bot.ask("deploy shop@v1 to production")
        await bot.started(first, "fetch")
        second = await bot.ask("deploy shop@v2 to production")
        await bot.restart(shop_settings(bot.settings.bot.data, approvals=1))
        bot.hosts["web1"].finish(await bot.started(first, "fetch"))
        ended = await bot.end_of(second)
        assert ended.outcome == (
            "It was requested before shop/production needed 1 approval by an approver: request it again. "
            "Nothing was done."
        )


@pytest.mark.parametrize("approved", [True, False])
async def test_one_that_had_begun_without_a_step_is_looked_at_again(bot: BotUnderTest, *, approved: bool) -> None:
    """The bot died right after the row said that it runs; meanwhile the branch moved."""
    number = await bot.ask("deploy shop@main to production")
    await bot.deployments.queue.close()
    now = bot.clock.now()

    def begin(tables: Tables) -> None:
        if approved:
            tables.requests.approve(number, Approval(bot.people["ben"].id, "ben", now))
        tables.deployments.approve(number, now)
        tables.deployments.move(number, State.RUNNING, now=now)

    await bot.store.write(begin)
    bot.refs.known["main"] = V3.id
    await bot.restart()
    ended = await bot.end_of(number)
    assert bot.current() == {""}
    if approved:
        assert (ended.state, (await bot.request_of(number)).verdict) == (State.CANCELLED, RequestVerdict.VOID)
    else:
        assert ended.state is State.FAILED
        assert ended.outcome.startswith("It needs 1 approval by an approver (not the requester); it has none.")
