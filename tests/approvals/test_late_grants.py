"""A grant, or an account, that came after a request does not count for it: F1 and what is like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploybot.domain import State
from tests.approvals.conftest import open_approval_bot
from tests.kit.bot import BotUnderTest

LATE = "You got your role after #1 was requested, so it does not count for #1."


async def test_a_puppet_that_is_allowed_after_the_request_cannot_approve_it(bot: BotUnderTest) -> None:
    """F1: an admin asks, then allows a puppet as approver, who approves."""
    number = await bot.ask("deploy shop@v2 to production", "dia")
    await bot.say("allow console:4242:puppet approver on shop", "dia")
    card = await bot.say(f"approve #{number}", "4242")
    assert (card.title, card.hint) == (LATE, "Allowed: ben, cem.")
    assert (await bot.deployment(number)).awaits_approval
    again = await bot.ask("deploy shop@v1 to production", "eve")
    assert (await bot.say(f"approve #{again}", "4242")).ok, "for what is asked for later it counts"


@pytest.mark.parametrize("text", ["allow @fay approver on shop", "allow @fay admin on shop/production for 1h"])
async def test_a_higher_role_after_the_request_does_not_count_either(bot: BotUnderTest, text: str) -> None:
    number = await bot.ask()
    await bot.say(text, "dia")
    assert (await bot.say(f"approve #{number}", "fay")).title == LATE
    assert (await bot.say(f"reject #{number} because no", "fay")).ok, "a no harms nobody"


async def test_what_was_taken_and_given_again_is_new(bot: BotUnderTest) -> None:
    number = await bot.ask()
    await bot.say("deny @ben on shop", "dia")
    await bot.say("allow @ben approver on shop", "dia")
    assert (await bot.say(f"approve #{number}", "ben")).title == LATE


async def test_the_same_role_given_again_is_as_old_as_before(bot: BotUnderTest) -> None:
    number = await bot.ask()
    await bot.say("allow @ben approver on shop", "dia")
    assert (await bot.say(f"approve #{number}", "ben")).title == f"#{number} is approved."


async def test_a_lower_role_is_no_new_one(bot: BotUnderTest) -> None:
    await bot.say("allow @ben admin on shop", "dia")
    number = await bot.ask()
    await bot.say("allow @ben approver on shop", "dia")
    assert (await bot.say(f"approve #{number}", "ben")).title == f"#{number} is approved."


async def test_an_approvers_name_with_an_account_of_ones_own(bot: BotUnderTest) -> None:
    """An admin asks, gives ben another account that is theirs, and approves from it."""
    number = await bot.ask("deploy shop@v2 to production", "dia")
    assert (await bot.say("allow telegram:4242:ben approver on shop", "dia")).ok
    card = await bot.say(f"approve #{number}", "4242", platform="telegram")
    assert card.title == "You got this account after #1 was requested: approve it from an older one."
    assert (await bot.say(f"approve #{number}", "ben", platform="telegram")).title == f"#{number} is approved."


async def test_a_grant_that_ends_before_it_begins_has_not_approved(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=2) as bot:
        await bot.say("allow @eve approver on shop for 1h", "dia")
        number = await bot.ask()
        assert (await bot.say(f"approve #{number}", "eve")).title == f"#{number} has 1 of 2 approvals now."
        bot.clock.advance(3600.0)
        await bot.until(number, lambda _: True)
        assert (await bot.say(f"approve #{number}", "ben")).title == f"#{number} has 1 of 2 approvals now."
        assert (await bot.say(f"approve #{number}", "cem")).title == f"#{number} is approved."
        assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_a_grant_that_ended_while_the_bot_was_away_does_not_count_after_a_restart(bot: BotUnderTest) -> None:
    async with bot.busy():
        await bot.say("allow @eve approver on shop for 1h", "dia")
        number = await bot.ask()
        assert (await bot.say(f"approve #{number}", "eve")).title == f"#{number} is approved."
        bot.clock.advance(3600.0)
        await bot.restart()
    await bot.until(number, lambda one: one.awaits_approval)
    assert (await bot.card(number)).title.endswith("waiting for 1 approval")


async def test_a_right_to_deploy_that_has_ended_begins_nothing(bot: BotUnderTest) -> None:
    await bot.say("allow @fay deployer on shop for 1h", "dia")
    number = await bot.ask("deploy shop@v2 to production", "fay")
    bot.clock.advance(3600.0)
    await bot.say(f"approve #{number}", "ben")
    ended = await bot.end_of(number)
    assert ended.state is State.FAILED
    assert "`deploy` needs the role deployer on shop/production" in ended.outcome


async def test_two_persons_who_become_one_keep_since_when_they_have_their_roles(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop@v2 to production", "eve")
    code = (await bot.say("link", "ben")).title.rpartition(" ")[2]
    await bot.say("allow telegram:4242:twin viewer on shop", "dia")
    await bot.say(f"link {code}", "4242", platform="telegram")
    await bot.say("link yes", "4242", platform="telegram")
    assert (await bot.say("link yes", "ben")).ok
    card = await bot.say(f"approve #{number}", "4242", platform="telegram")
    assert card.title.startswith("You got this account after")
    assert (await bot.say(f"approve #{number}", "ben")).title == f"#{number} is approved."


# An approval from an account that is unlinked


async def test_an_approval_from_an_account_that_was_unlinked_does_not_count(tmp_path: Path) -> None:
    """Somebody has ben's phone and approves. Ben approves again from the account that he still has."""
    async with open_approval_bot(tmp_path, approvals=2) as bot:
        await bot.say("allow telegram:4242:ben", "dia")
        number = await bot.ask("deploy shop@v2 to production", "eve")
        stolen = await bot.say(f"approve #{number}", "4242", platform="telegram")
        assert stolen.title == f"#{number} has 1 of 2 approvals now."
        assert (await bot.say("unlink telegram:4242", "dia")).ok
        assert (await bot.say(f"approve #{number}", "cem")).title == f"#{number} has 1 of 2 approvals now."
        await bot.until(number, lambda one: one.awaits_approval)
        assert (await bot.card(number)).title.endswith("waiting for 1 approval")
        assert (await bot.say(f"approve #{number}", "ben")).title == f"#{number} is approved."
        assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_an_account_that_is_linked_again_does_not_bring_its_approval_back(bot: BotUnderTest) -> None:
    await bot.say("allow telegram:4242:ben", "dia")
    async with bot.busy():
        number = await bot.ask("deploy shop@v2 to production", "eve")
        assert (await bot.say(f"approve #{number}", "4242", platform="telegram")).title == f"#{number} is approved."
        assert (await bot.say("unlink telegram:4242", "dia")).ok
        assert (await bot.say("allow telegram:4242:ben", "dia")).ok
    await bot.until(number, lambda one: one.awaits_approval)
    assert (await bot.say(f"approve #{number}", "ben")).title == f"#{number} is approved."
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_an_approval_of_somebody_who_becomes_one_with_another_stays(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=2) as bot:
        await bot.say("allow telegram:4242:twin approver on shop", "dia")
        number = await bot.ask("deploy shop@v2 to production", "eve")
        assert (await bot.say(f"approve #{number}", "4242", platform="telegram")).ok
        code = (await bot.say("link", "ben")).title.rpartition(" ")[2]
        await bot.say(f"link {code}", "4242", platform="telegram")
        await bot.say("link yes", "4242", platform="telegram")
        assert (await bot.say("link yes", "ben")).ok
        assert (await bot.say(f"approve #{number}", "cem")).title == f"#{number} is approved."
