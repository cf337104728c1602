from __future__ import annotations

from datetime import time

import pytest

from deploybot.domain import Kind
from deploybot.testing import FakeRequest
from tests.kit.command_bot import V1, CommandBot, open_command_bot, team_settings

SHOP = {
    "environments": {
        "staging": {"servers": ["web1"], "directory": "/srv/shop-staging", "default": True},
        "production": {"servers": ["web1", "web2"], "after": "staging", "approvals": 1},
    }
}
LONG = {
    "environments": {
        "test": {"servers": ["web1"], "directory": "/srv/shop-test", "default": True},
        "staging": {"servers": ["web1"], "directory": "/srv/shop-staging", "after": "test"},
        "production": {"servers": ["web1", "web2"], "after": "staging"},
    }
}


@pytest.mark.parametrize("text", ["promote shop", "promote shop to production", "promote shop production"])
async def test_the_only_environment_after_another_is_meant(text: str) -> None:
    async with open_command_bot(settings=team_settings(shop=SHOP)) as bot:
        bot.deployments.promotes["shop", "production"] = V1
        await bot.say(f"{text} because it was tested", "ben")
        assert bot.deployments.requests == [
            FakeRequest(
                kind=Kind.DEPLOY,
                app="shop",
                environment="production",
                release=V1,
                by="ben",
                reason="it was tested",
                promoted_from="staging",
            ),
        ]


async def test_everything_said() -> None:
    async with open_command_bot(settings=team_settings(shop=SHOP)) as bot:
        bot.deployments.promotes["shop", "production"] = V1
        await bot.say("promote shop --dry-run to production --at 18:00")
        await bot.say("promote shop --in 2h")
        await bot.say("promote shop --break-glass code 123456 because it burns")
        first, second, third = bot.deployments.requests
        assert (first.dry_run, first.at, second.at) == (True, time(18), 7200.0)
        assert (third.break_glass, third.code, third.reason) == (True, "123456", "it burns")
        card = await bot.say("promote shop --at 18:00 --in 2h")
        assert card.title == "Use `--at` or `--in`, not both."


async def test_of_several_environments_one_is_asked_for() -> None:
    async with open_command_bot(settings=team_settings(shop=LONG)) as bot:
        card = await bot.say("promote shop because x")
        assert card.title == "Which environment of shop do you mean: staging, production?"
        assert [(one.label, one.command) for one in card.buttons] == [
            ("staging", "promote shop to staging because x"),
            ("production", "promote shop to production because x"),
        ]
        assert bot.deployments.requests == []
        card = await bot.say("promote shop ?")
        assert (card.title, [one.label for one in card.buttons]) == (
            "Which environment of shop?",
            ["staging", "production"],
        )


async def test_a_hidden_environment_gives_the_same_words_no_other_target() -> None:
    async with open_command_bot(settings=team_settings(shop=LONG)) as bot:
        await bot.say("allow @eve deployer on shop/staging")
        bot.deployments.promotes["shop", "staging"] = V1
        card = await bot.say("promote shop", "eve")
        assert card.title == "Which environment of shop do you mean: staging?"
        assert not (await bot.say("promote shop to production", "eve")).ok
        assert (await bot.say(card.buttons[0].command, "eve")).ok


async def test_the_only_one_needs_no_question() -> None:
    async with open_command_bot(settings=team_settings(shop=SHOP)) as bot:
        bot.deployments.promotes["shop", "production"] = V1
        assert [one.label for one in (await bot.say("promote")).buttons] == ["shop", "blog", "wiki"]
        await bot.say("promote shop ?")
        assert [one.environment for one in bot.deployments.requests] == ["production"]


async def test_an_app_without_after_has_none(bot: CommandBot) -> None:
    card = await bot.say("promote shop")
    assert card.title == "There is no environment of shop that you can promote to."
    assert card.hint == 'In bot.toml, `after` names the environment before: `after = "staging"`.'
    assert bot.deployments.requests == []


async def test_tab_offers_the_environments_that_come_after_another() -> None:
    async with open_command_bot(settings=team_settings(shop=LONG)) as bot:
        assert (await bot.dispatcher.complete(bot.identity("ana"), "promote shop to "))[1] == ("staging", "production")
        assert (await bot.dispatcher.complete(bot.identity("ana"), "deploy shop to "))[1] == (
            "test",
            "staging",
            "production",
        )


async def test_a_right_in_the_target_is_needed() -> None:
    async with open_command_bot(settings=team_settings(shop=SHOP)) as bot:
        bot.deployments.promotes["shop", "production"] = V1
        await bot.say("allow @cem viewer on shop")
        card = await bot.say("promote shop", "cem")
        assert card.title == "`promote` needs the role deployer on shop/production; you are viewer there."
        assert bot.deployments.requests == []
