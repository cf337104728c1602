"""Arguments that are looked up: numbers of deployments, and refs without an app."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.dispatch.argument_lookup import Subject, arguments_of
from deploybot.domain import Action, Release, ServerPlan
from deploybot.errors import UserError
from deploybot.parsing import Call, Ref
from tests.kit.command_bot import V1, CommandBot
from tests.kit.settings import bot_settings

# Arguments that have to be looked up


async def test_deployment_numbers_as_releases(bot: CommandBot) -> None:
    bot.deployments.put(41, "shop", "production", V1)
    await bot.say("rollback shop from production to #41")
    assert bot.deployments.requests[0].release == V1
    assert (await bot.say("rollback blog to #41")).title == "#41 is a deployment of shop, not of blog."
    assert (await bot.say("rollback shop to #42")).title == "There is no deployment #42."
    assert bot.releases.asked == []


async def test_a_rollback_to_a_deployment_of_another_environment_is_refused_where_settings_come_back(
    bot: CommandBot,
) -> None:
    """The settings of staging are not for production, and without them nothing may change."""
    made = bot.deployments.put(41, "shop", "staging", V1)
    part = ServerPlan(server="web1", steps=(), configuration="a")
    bot.deployments.rows[41] = replace(made, plan=replace(made.plan, servers=(part,)))
    card = await bot.say("rollback shop from production to #41")
    assert card.title == (
        "#41 was a deployment to staging, and a rollback of production goes back to what ran in production."
    )
    assert "deploy shop@#41 to production" in card.hint
    assert bot.deployments.requests == []
    await bot.say("rollback shop from staging to #41")
    assert [one.release and one.release.deployment for one in bot.deployments.requests] == [41]
    await bot.say("deploy shop@#41 to production")
    assert len(bot.deployments.requests) == 2


async def test_what_is_cancelled_has_to_exist(bot: CommandBot) -> None:
    card = await bot.say("cancel #4")
    assert (card.title, card.hint) == ("There is no deployment #4.", "`history APP` lists them.")
    card = await bot.say("cancel log-4")
    assert (card.title, card.hint) == (
        "No followed log log-4 is running.",
        "It was stopped, or ended after an hour.",
    )


async def test_a_ref_without_an_app(bot: CommandBot) -> None:
    call = Call(command=bot.services.commands["diff"], text="", arguments={}, app=None, environment=None)
    subject = Subject(Action.VIEW, None, None, {})
    with pytest.raises(UserError, match=r"^Name the app that `v1` belongs to\.$"):
        await arguments_of(replace(call, arguments={"ref": Ref("v1")}), subject, bot.services, lambda _, __: True)


async def test_a_rollback_is_settled_where_an_environment_has_images(bot: CommandBot) -> None:
    """It gets the images that the ref last ran with, whatever the ref means later."""
    image = {"images": {"web": {"image": "acme/shop"}}}
    environments = {"staging": {"directory": "/srv/staging", **image}, "production": {}}
    app = bot_settings(apps={"shop": {"strategy": "compose", "environments": environments}}).apps["shop"]
    subject = Subject(Action.DEPLOY, "shop", None, {})
    for name, typed in (("staging", None), ("production", "main")):
        call = Call(
            command=bot.services.commands["rollback"],
            text="",
            arguments={"to": Ref("main")},
            app=app,
            environment=app.environments[name],
        )
        found = (await arguments_of(call, subject, bot.services, lambda _, __: True))["to"]
        assert isinstance(found, Release)
        assert found.typed == typed
