"""Bare `approve`, `reject` and `cancel` offer the deployments that the sender may decide or stop."""

from __future__ import annotations

import pytest

from deploybot.domain import State
from tests.approvals.conftest import TEAM
from tests.kit.bot import BotUnderTest


@pytest.mark.parametrize("who", [*TEAM])
async def test_only_who_may_decide_a_request_is_offered_it(bot: BotUnderTest, who: str) -> None:
    number = await bot.ask()
    card = await bot.say("approve", who)
    offered = [one.command for one in card.buttons]
    assert offered == ([f"approve #{number}"] if (await bot.say(f"approve #{number}", who)).ok else [])


async def test_a_request_is_chosen_and_rejected_with_a_reason(bot: BotUnderTest) -> None:
    number = await bot.ask()
    card = await bot.say("reject", "ben")
    assert (card.title, card.hint) == (
        "Which request?",
        f"Choose one, or type the command: `reject #{number} because …`.",
    )
    (button,) = card.buttons
    assert (button.label, button.command) == (f"#{number} shop/production v2", f"reject #{number} ?")
    (reason,) = (await bot.say(button.command, "ben")).buttons
    assert (reason.command, reason.asks) == (f"reject #{number}", "Why?")
    await bot.say(f"{reason.command} because not today", "ben")
    assert (await bot.end_of(number)).outcome == "Rejected by ben: not today. Nothing was deployed."


async def test_cancel_offers_what_runs_and_what_waits_until_it_is_cancelled(bot: BotUnderTest) -> None:
    async with bot.busy():
        waiting = await bot.ask("deploy shop@v3 to production because it is newer")
        card = await bot.say("cancel", "ana")
        assert card.title == "Which deployment?"
        assert {one.command for one in card.buttons} >= {f"cancel #{waiting}"}
        await bot.say(f"cancel #{waiting}", "ana")
        assert (await bot.end_of(waiting)).state is State.CANCELLED
        assert f"cancel #{waiting}" not in {one.command for one in (await bot.say("cancel", "ana")).buttons}
    assert (await bot.say("cancel", "ana")).buttons == ()
