from __future__ import annotations

from deploybot import Follow
from tests.kit.command_bot import V1, CommandBot


async def test_a_deployment(bot: CommandBot) -> None:
    bot.deployments.put(42, "shop", "production", V1)
    assert (await bot.say("cancel #42", "ben")).title == "Stopping #42."
    assert bot.deployments.cancelled == [42]


async def test_a_deployment_of_somebody_elses_app(bot: CommandBot) -> None:
    bot.deployments.put(42, "blog", "live", V1)
    card = await bot.say("cancel #42", "ben")
    assert card.title == "There is no deployment #42."
    assert bot.deployments.cancelled == []


async def test_a_lock_does_not_keep_from_stopping(bot: CommandBot) -> None:
    bot.deployments.put(42, "shop", "production", V1)
    await bot.say("lock shop production because x")
    await bot.say("cancel #42", "ben")
    assert bot.deployments.cancelled == [42]


async def test_a_followed_log(bot: CommandBot) -> None:
    bot.logs.open["log-3"] = Follow("log-3", "shop", "staging")
    assert (await bot.say("cancel log-3", "cem")).title == "log-3 is stopped."
    assert bot.logs.open == {}


async def test_a_followed_log_that_one_may_not_read(bot: CommandBot) -> None:
    bot.logs.open["log-3"] = Follow("log-3", "shop", "production")
    card = await bot.say("cancel log-3", "cem")
    assert card.title == "No followed log log-3 is running."
    assert "log-3" in bot.logs.open


async def test_neither(bot: CommandBot) -> None:
    assert (
        await bot.say("cancel it")
    ).title == "`it` is neither a deployment such as #42, nor a followed log such as log-3."
