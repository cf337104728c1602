from __future__ import annotations

from dataclasses import replace

from deploybot.domain import Kind, ServerPlan
from deploybot.testing import FakeRequest
from tests.kit.command_bot import V1, V2, CommandBot


async def test_to_the_last_good_one(bot: CommandBot) -> None:
    bot.releases.runs["shop", "production"] = V2
    bot.releases.good["shop", "production"] = V1
    await bot.say("rollback shop from production because it is slow", "ben")
    assert bot.deployments.requests == [
        FakeRequest(
            kind=Kind.ROLLBACK, app="shop", environment="production", release=V1, by="ben", reason="it is slow"
        ),
    ]


async def test_to_one_that_is_named(bot: CommandBot) -> None:
    await bot.say("rollback shop to v1.4")
    assert (bot.deployments.requests[0].release, bot.deployments.requests[0].environment) == (V2, "staging")


async def test_to_a_deployments_number(bot: CommandBot) -> None:
    bot.deployments.put(41, "shop", "production", V1)
    await bot.say("rollback shop from production to #41")
    assert bot.deployments.requests[0].release == V1


async def test_to_the_settings_of_a_deployment_that_had_the_same_images(bot: CommandBot) -> None:
    bot.deployments.put(41, "shop", "production", V1)
    put = bot.deployments.rows[41]
    part = ServerPlan(server="web1", steps=(), configuration="a")
    bot.deployments.rows[41] = replace(put, plan=replace(put.plan, servers=(part,)))
    bot.releases.servers["shop", "production"] = {"web1": V1, "web2": V1}
    await bot.say("rollback shop from production to #41 because it is slow")
    asked = bot.deployments.requests[0].release
    assert (asked, asked and asked.deployment) == (V1, 41)
    await bot.say("deploy shop@#41 to production because it is slow")
    again = bot.deployments.requests[1].release
    assert (again, again and again.deployment) == (V1, 0)


async def test_nothing_to_go_back_to(bot: CommandBot) -> None:
    card = await bot.say("rollback shop")
    assert card.title == "shop has not run in staging yet, so there is no release to roll back to."
    assert card.hint == "See `history shop`."
    bot.releases.runs["shop", "staging"] = bot.releases.good["shop", "staging"] = V1
    card = await bot.say("rollback shop")
    assert card.title == "shop has only ever run v1.3 (1111111111) in staging, so there is no release to roll back to."
    assert bot.deployments.requests == []


async def test_one_server_that_runs_it_already_is_not_all_of_them(bot: CommandBot) -> None:
    bot.releases.servers["shop", "production"] = {"web1": V1, "web2": V2}
    await bot.say("rollback shop from production to v1.3 because web2 is slow")
    assert [one.release for one in bot.deployments.requests] == [V1]
    bot.releases.servers["shop", "production"] = {"web1": V1}
    await bot.say("rollback shop from production to v1.3 because web2 does not answer")
    assert len(bot.deployments.requests) == 2
    bot.releases.servers["shop", "production"] = {"web1": V1, "web2": V1}
    card = await bot.say("rollback shop from production to v1.3 because it is slow")
    assert card.title == "shop/production already runs v1.3 (1111111111)."
