"""Who gets an answer: people with a role, strangers within a limit, groups only when the bot is meant."""

from __future__ import annotations

import re

from deploybot import Card, Tone
from deploybot.card import Button
from deploybot.domain import Identity
from tests.dispatch.conftest import SORRY, rows
from tests.kit.command_bot import NUMBERS, STRANGER, V2, CommandBot

# Who is answered


async def test_a_deployment_is_asked_for(bot: CommandBot) -> None:
    card = await bot.say("/deploy shop@v1.4 to production/web2 because the cart", "ben")
    (asked,) = bot.deployments.requests
    assert (asked.app, asked.environment, asked.release, asked.servers) == ("shop", "production", V2, ("web2",))
    assert (asked.by, asked.reason) == ("ben", "the cart")
    assert card.ok
    text = "deploy shop@v1.4 to production/web2 because the cart"
    assert rows(await bot.audit()) == [
        ("ben", "request", "shop/production", text),
        ("ben", "result", "shop/production", f"{text}: #1 deploy shop in production"),
    ]


async def test_looking_is_not_kept(bot: CommandBot) -> None:
    await bot.say("status")
    assert await bot.audit() == []


async def test_strangers_learn_how_to_be_let_in(bot: CommandBot) -> None:
    for text in ("deploy shop", "status", "hello", "allow console:6666:me admin", "\u202e", "x" * 9000):
        card = await bot.say(text, STRANGER)
        assert card.title == SORRY
        assert card.private
        assert not card.ok
    assert bot.deployments.requests == []
    audit = await bot.audit()
    assert {(row.actor, row.action) for row in audit} == {("console:6666", "denied")}


async def test_strangers_may_be_let_in_as_the_message_says(bot: CommandBot) -> None:
    card = await bot.say("status", STRANGER)
    wanted = re.search(r"`(.*)`", card.title)
    assert wanted
    await bot.say(wanted[1])
    assert (await bot.say("status", STRANGER)).title == "board"


async def test_strangers_may_ask_for_help_and_who_they_are(bot: CommandBot) -> None:
    assert (await bot.say("help", STRANGER)).title == "What I can do"
    assert (await bot.say("whoami", STRANGER)).title == SORRY


async def test_strangers_in_groups_wear_out_patience(bot: CommandBot) -> None:
    async def answers(count: int) -> list[bool]:
        return [await bot.maybe("/status", STRANGER, platform="telegram") is not None for _ in range(count)]

    assert await answers(5) == [True, True, True, False, False]
    assert await bot.maybe("/status", "7777", platform="telegram") is not None
    bot.clock.advance(61)
    assert await answers(2) == [True, True]
    assert len(await bot.audit()) == 6


async def test_many_strangers_together_wear_out_patience_too(bot: CommandBot) -> None:
    answers = [await bot.maybe("/status", str(user), platform="telegram") for user in range(9000, 9040)]
    assert [card is not None for card in answers] == [True] * 30 + [False] * 10
    assert (await bot.say("status", STRANGER)).title == SORRY
    assert (await bot.say("/status", "9999", platform="slack")).title.startswith("I do not know")


async def test_talk_in_groups_gets_nothing(bot: CommandBot) -> None:
    for who in (STRANGER, "ana"):
        assert await bot.maybe("hello everybody", who, platform="telegram") is None
        assert await bot.maybe("x" * 9000, who, platform="telegram") is None
        assert await bot.maybe("/status@otherbot", who, platform="telegram") is None
    assert await bot.audit() == []


async def test_whoever_is_spoken_to_answers(bot: CommandBot) -> None:
    assert (await bot.say("xyzzy")).title == "There is no command `xyzzy`."
    assert (await bot.say("hello", STRANGER, platform="telegram", private=True)).title.startswith("I do not know")
    assert (await bot.say("@deploybot hello", STRANGER, platform="telegram")).title.startswith("I do not know")
    for text in ("", "?", "/", "@deploybot"):
        assert (await bot.say(text)).title == "What I can do"


async def test_an_identity_is_of_one_platform(bot: CommandBot) -> None:
    number = NUMBERS["ana"]
    card = await bot.say("/status", number, platform="telegram")
    assert card.title == "I do not know you yet: please ask an administrator to type `allow telegram:1000:1000 viewer`."


async def test_what_is_not_understood_is_said_privately(bot: CommandBot) -> None:
    card = await bot.say("deploy shpo")
    assert card == Card(
        title="There is no app `shpo`, did you mean `shop`?",
        hint="Apps: shop, blog, wiki.",
        tone=Tone.WARN,
        buttons=(Button("deploy shop", "deploy shop"),),
        private=True,
        ok=False,
    )
    assert (await bot.say("deploy \u202eshop")).title.startswith("Your message has an invisible character")


async def test_suggestions_name_only_what_one_may_see(bot: CommandBot) -> None:
    assert (await bot.say("status wikki", "ben")).title == "There is no app `wikki`."
    assert (await bot.say("deploy wiki", "ben")).title == "There is no app `wiki`."
    assert (await bot.say("deploy wiki", "ben")).buttons == ()


async def test_completing(bot: CommandBot) -> None:
    ana, ben = (Identity("console", NUMBERS[who]) for who in ("ana", "ben"))
    assert await bot.dispatcher.complete(ana, "/deploy ") == (0, ("shop", "blog", "wiki"))
    assert await bot.dispatcher.complete(ben, "@deploybot deploy ") == (0, ("shop",))
    assert await bot.dispatcher.complete(Identity("console", STRANGER), "deploy ") == (0, ())
    assert await bot.dispatcher.complete(ana, "/deploy@other ") == (0, ())
    assert await bot.dispatcher.complete(ana, "deploy " + "x" * 5000) == (0, ())
