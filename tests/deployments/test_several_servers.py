"""Servers of one environment that run different releases."""

from __future__ import annotations

import pytest

from deploybot.domain import Kind, Release, State
from deploybot.errors import UserError
from tests.kit.bot import V1, V2, V3, BotUnderTest, shop_settings


async def good(bot: BotUnderTest, release: Release, *servers: str) -> None:
    ended = await bot.deploy(release, servers=servers)
    assert ended.state is State.SUCCEEDED, ended.outcome


def runs(bot: BotUnderTest) -> list[str]:
    return [bot.hosts[name].server_facts.current for name in ("web1", "web2")]


@pytest.mark.parametrize("server", ["web1", "web2"])
async def test_a_release_on_one_server_goes_back_to_what_all_ran_before(bot: BotUnderTest, server: str) -> None:
    for release in (V1, V2):
        await good(bot, release)
    await good(bot, V3, server)
    ended = await bot.end_of(await bot.ask("rollback shop from production because it is slow"))
    assert (ended.plan.kind, ended.state, runs(bot)) == (Kind.ROLLBACK, State.SUCCEEDED, [V2.id, V2.id])


async def test_what_one_server_runs_is_not_what_all_run(bot: BotUnderTest) -> None:
    await good(bot, V1)
    await good(bot, V2, "web2")
    shown = await bot.say("diff shop@v1 production")
    assert (shown.title, shown.lines[0].name) == ("shop/production: v2 (2222222222) → v1 (1111111111)", "web1")
    assert await bot.deployments.releases.offered(bot.app, bot.production, back=True) == (
        ("v2 · #2", "#2"),
        ("v1 · #1", "#1"),
    )
    await bot.end_of(await bot.ask("rollback shop from production to v1 because it is slow"))
    assert runs(bot) == [V1.id, V1.id]
    card = await bot.say("rollback shop from production to v1 because it is slow")
    assert card.title == "shop/production already runs v1 (1111111111)."


async def test_a_server_without_a_release_takes_part_in_a_rollback(bot: BotUnderTest) -> None:
    await good(bot, V1, "web1")
    await bot.end_of(await bot.ask("rollback shop from production to v1 because web2 is new"))
    assert runs(bot) == [V1.id, V1.id]


async def test_current_means_nothing_if_servers_differ_and_previous_is_before_all_of_them(bot: BotUnderTest) -> None:
    releases = bot.deployments.releases
    await good(bot, V1)
    await good(bot, V2, "web2")
    with pytest.raises(UserError) as caught:
        await releases.resolve(bot.app, bot.production, ":current")
    assert caught.value.sentence == (
        "The servers of shop/production run different releases (web1 v1 (1111111111), web2 v2 (2222222222)), "
        "so `:current` can mean each of them."
    )
    assert caught.value.hint == "Name one: deploy shop@v1 to production"
    assert await releases.resolve(bot.app, bot.production, ":previous") == V1


async def test_a_deployment_to_a_server_that_bot_toml_no_longer_has_goes_nowhere_else(bot: BotUnderTest) -> None:
    await good(bot, V1)
    async with bot.busy():
        number = await bot.ask("deploy shop@v2 to production/web2 because it is tried there")
    await bot.restart(shop_settings(bot.settings.bot.data, servers=["web1"]))
    ended = await bot.end_of(number)
    assert (ended.state, runs(bot)) == (State.FAILED, [V1.id, V1.id])
    assert ended.outcome == "bot.toml no longer has web2 in shop production. Nothing was done."
