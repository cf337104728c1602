"""The person `deploybot`, who deploys automatically, and the grants of it."""

from __future__ import annotations

import pytest

from deploybot.domain import AUTO, Role
from deploybot.errors import UserError
from tests.autodeploy.conftest import AutodeployBot


async def test_nobody_but_the_bot_is_deploybot(bot: AutodeployBot) -> None:
    for line in ("allow @deploybot admin", "allow slack:T1/U9:deploybot viewer", "allow slack:T1/U9:deploybot admin"):
        card = await bot.say(line, "dia")
        assert (card.ok, "deploybot is the bot itself" in card.title) == (False, True), card
    for platform in ("console", "slack", "telegram"):
        card = await bot.say("deploy shop to staging", AUTO.user, platform=platform)
        assert not card.ok


async def test_a_first_administrator_of_that_name_gets_another_one(bot: AutodeployBot) -> None:
    until = bot.clock.now() + 900
    await bot.store.write(lambda tables: tables.claims.issue("1234ABCD", until))
    card = await bot.say("claim 1234ABCD", "deploybot")
    assert card.title == "Welcome, deploybot-2: you are the administrator of everything now."


async def test_somebody_of_that_name_from_before_is_a_clear_error(bot: AutodeployBot) -> None:
    def rename(tables: object) -> None:
        run = tables.triggers._run  # type: ignore[attr-defined]
        run("DELETE FROM identities WHERE platform = 'auto'")

    await bot.store.write(rename)
    with pytest.raises(UserError, match="The allowlist has a person named deploybot") as caught:
        await bot.restart()
    assert "`deploybot rename deploybot NAME`" in caught.value.hint


async def test_grants_of_the_bot_come_from_bot_toml_alone(bot: AutodeployBot) -> None:
    """A grant that somebody wrote into the table gives it nothing."""

    def cheat(tables: object) -> None:
        run = tables.triggers._run  # type: ignore[attr-defined]
        (number,) = run("SELECT id FROM persons WHERE name = 'deploybot'").fetchone()
        sql = "INSERT INTO grants (person, app, environment, role) VALUES (?, '*', '*', ?)"
        run(sql, (number, Role.ADMIN.value))

    await bot.store.write(cheat)
    made = await bot.push("develop")
    assert await bot.deployed() == [made]
    card = await bot.say("allow @eve admin", "eve")
    assert "deploybot" not in card.hint
