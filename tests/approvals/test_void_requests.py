"""What makes a request void: a ref that moved, what runs, the steps, and bot.toml."""

from __future__ import annotations

import dataclasses

from deploybot.domain import RequestVerdict, State
from tests.approvals.conftest import lay_v1
from tests.kit.bot import V1, V3, BotUnderTest, shop_settings


async def test_a_branch_that_moved_makes_it_void(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop@main to production because new cart")
    bot.refs.known["main"] = V3.id
    card = await bot.say(f"approve #{number}", "ben")
    assert (card.title, card.ok) == (f"#{number} is void, and was not deployed.", False)
    assert card.text == "release: `main` was 2222222222, now 3333333333"
    assert [one.command for one in card.buttons] == ["deploy shop@main to production/web1,web2 because new cart"]
    ended = await bot.end_of(number)
    assert ended.outcome == ("Void: release: `main` was 2222222222, now 3333333333. Nothing was deployed.")
    shown = await bot.card(number)
    assert shown.title.endswith("· void")
    assert shown.buttons == card.buttons
    assert (await bot.say(f"approve #{number}", "cem")).title == f"#{number} has already ended: void."
    assert (await bot.say(f"cancel #{number}", "cem")).title == f"#{number} has already ended: void."
    table = (await bot.say("history shop production", "cem")).table
    assert table
    assert next(row for row in table.rows if row[0] == str(number))[-2:] == ("void", "")
    assert "took" not in shown.footer
    new = await bot.ask(card.buttons[0].command)
    assert (await bot.say(f"approve #{new}", "ben")).ok
    assert (await bot.end_of(new)).plan.release.id == V3.id


async def test_a_ref_that_is_gone_makes_it_void(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop@main to production")
    del bot.refs.known["main"]
    assert (await bot.say(f"approve #{number}", "ben")).text == "release: `main` was 2222222222, now gone"


async def test_the_newest_of_the_branch_may_move_too(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop to production")
    bot.refs.known = {"main": V3.id}
    card = await bot.say(f"approve #{number}", "ben")
    assert card.text == "release: the newest of the branch was 1111111111, now 3333333333"
    assert card.buttons[0].command == "deploy shop to production/web1,web2"


async def test_a_commit_that_was_named_by_a_number_cannot_move(bot: BotUnderTest) -> None:
    await lay_v1(bot)
    number = await bot.ask("deploy shop@#1 to production")
    bot.refs.known["v1"] = V3.id
    assert (await bot.say(f"approve #{number}", "ben")).ok
    assert (await bot.end_of(number)).plan.release.id == V1.id


async def test_what_runs_there_is_part_of_it(bot: BotUnderTest) -> None:
    await lay_v1(bot)
    number = await bot.ask()
    host = bot.hosts["web1"]
    host.server_facts = dataclasses.replace(host.server_facts, current=V3.id)
    card = await bot.say(f"approve #{number}", "ben")
    assert card.text == "what it replaces: web1 was 1111111111, now 3333333333"
    assert bot.current() == {V1.id, V3.id}


async def test_steps_are_part_of_it(bot: BotUnderTest) -> None:
    """The files of what it replaces are gone: it could not be put back any more."""
    await lay_v1(bot)
    number = await bot.ask()
    host = bot.hosts["web2"]
    host.server_facts = dataclasses.replace(host.server_facts, releases=())
    card = await bot.say(f"approve #{number}", "ben")
    assert card.text == "\n".join(f"steps: {name} would run other steps than those shown" for name in ("web1", "web2"))


async def test_bot_toml_is_part_of_it(bot: BotUnderTest) -> None:
    number = await bot.ask()
    settings = shop_settings(bot.settings.bot.data, approvals=1)
    settings.apps["shop"].__dict__["restart"] = "./restart --hard"
    await bot.restart(settings)
    card = await bot.say(f"approve #{number}", "ben")
    assert card.text == 'config: apps.shop.restart was "./restart", now "./restart --hard"'


async def test_a_place_that_bot_toml_has_no_more(bot: BotUnderTest) -> None:
    number = await bot.ask()
    settings = shop_settings(bot.settings.bot.data, approvals=1)
    del settings.apps["shop"].environments["production"]
    await bot.restart(settings)
    card = await bot.say(f"approve #{number}", "ben")
    assert card.text == "config: bot.toml no longer has shop production"


async def test_a_server_that_went_from_bot_toml_is_reported_as_that(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop@v2 to production/web2")
    settings = shop_settings(bot.settings.bot.data, approvals=1, servers=["web1"])
    await bot.restart(settings)
    card = await bot.say(f"approve #{number}", "ben")
    assert 'config: apps.shop.environments.production.servers was ["web1", "web2"], now ["web1"]' in card.text


async def test_what_cannot_be_known_now_is_not_approved(bot: BotUnderTest) -> None:
    number = await bot.ask()
    bot.hosts["web1"].down = "no answer in 10 s"
    card = await bot.say(f"approve #{number}", "ben")
    assert (card.title, card.ok) == ("web1 cannot be reached: no answer in 10 s.", False)
    assert "! ben: web1 cannot be reached: no answer in 10 s (08:" in (await bot.card(number)).text
    bot.hosts["web1"].down = ""
    assert (await bot.say(f"approve #{number}", "ben")).ok


async def test_what_changes_while_it_waits_for_its_turn_makes_it_void(bot: BotUnderTest) -> None:
    async with bot.busy():
        number = await bot.ask("deploy shop@main to production")
        await bot.say(f"approve #{number}", "ben")
        bot.refs.known["main"] = V3.id
    ended = await bot.end_of(number)
    assert (ended.state, (await bot.request_of(number)).verdict) == (State.CANCELLED, RequestVerdict.VOID)
    assert bot.current() == {""}
