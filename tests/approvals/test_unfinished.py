"""`queue`: what waits and what runs, with buttons for exactly those who may decide."""

from __future__ import annotations

import pytest

from deploybot.card import Moment, Tone
from deploybot.domain import State
from deploybot.testing.fake_hosts import Outcome
from tests.approvals.conftest import TEAM
from tests.kit.bot import BotUnderTest


async def test_nothing_waits(bot: BotUnderTest) -> None:
    card = await bot.say("queue")
    assert (card.title, card.lines, card.buttons) == ("Nothing waits, and nothing runs.", (), ())


@pytest.mark.parametrize("who", [*TEAM])
async def test_only_who_may_approve_has_the_buttons(bot: BotUnderTest, who: str) -> None:
    """What the card offers is what the policy takes; who may see nothing there sees nothing."""
    number = await bot.ask()
    card = await bot.say("queue", who)
    offered = [(button.label, button.command, button.asks) for button in card.buttons]
    answer = await bot.say(f"approve #{number}", who)
    if answer.ok:
        approve, reject = (
            (f"Approve #{number}", f"approve #{number}", ""),
            (f"Reject #{number}", f"reject #{number}", "Why?"),
        )
        assert offered == [approve, reject]
        assert card.tone is Tone.ASK
    else:
        assert offered == []
    if card.lines:
        assert card.title == "1 waits for approval"
        assert card.lines[0].name == f"#{number} shop/production"
        assert "waiting for 1 approval · by ana, expires" in card.lines[0].text
        assert {type(one) for one in card.times} == {Moment}


async def test_what_runs_and_what_waits_for_it(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("fetch", Outcome(hold=True))
    first = await bot.ask()
    await bot.say(f"approve #{first}", "ben")
    await bot.until(first, lambda one: one.state is State.RUNNING)
    second = await bot.ask("deploy shop@v3 to production because it is newer")
    await bot.say(f"approve #{second}", "ben")
    third = await bot.ask("deploy shop@v1 to production because it was better")
    card = await bot.say("queue", "ben")
    assert card.title == "1 waits for approval, 1 runs, 1 waits for something else"
    assert [line.name for line in card.lines] == [f"#{number} shop/production" for number in (third, first, second)]
    assert f"waits for #{first}" in card.lines[2].text
    assert [button.label for button in card.buttons] == [f"Approve #{third}", f"Reject #{third}"]


async def test_an_approved_or_cancelled_request_has_no_buttons(bot: BotUnderTest) -> None:
    async with bot.busy():
        number = await bot.ask()
        await bot.say(f"approve #{number}", "ben")
        assert (await bot.say("queue", "ben")).buttons == ()
