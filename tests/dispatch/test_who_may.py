"""What each person may do, what a refusal says, and that rights are read again."""

from __future__ import annotations

import pytest

from deploybot import App, Card, Context, Environment, Release, Tone
from deploybot.command_parameters import Follow
from deploybot.domain import Action, Role
from deploybot.testing import FakeReleases
from tests.dispatch.conftest import made, rows
from tests.kit.command_bot import STRANGER, TEAM, V1, CommandBot, open_command_bot

# Who may


ALLOWED = {
    "apps": "ana ben cem dia",
    "servers": "ana ben cem dia",
    "status": "ana ben cem dia",
    "status shop staging": "ana ben cem dia",
    "status shop production": "ana ben dia",
    "status blog": "ana",
    "history shop": "ana ben cem dia",
    "history wiki live": "ana cem",
    "diff shop production": "ana ben dia",
    "logs shop": "ana ben cem dia",
    "logs blog": "ana",
    "deploy shop": "ana ben dia",
    "deploy shop to production": "ana ben dia",
    "deploy blog": "ana",
    "rollback shop to v1.3": "ana ben dia",
    "restart shop": "ana ben dia",
    "run shop migrate": "ana ben dia",
    "lock shop production because x": "ana ben dia",
    "unlock blog live": "ana",
    "cancel #7": "ana ben dia",
    "cancel #8": "ana",
    "cancel log-1": "ana ben cem dia",
    "cancel log-2": "ana",
    "allow @cem viewer": "ana",
    "allow @cem viewer on shop": "ana dia",
    "allow @cem viewer on shop/staging": "ana dia",
    "allow @cem viewer on blog": "ana",
    "deny @cem": "ana",
    "deny @cem on shop": "ana dia",
    "help": "ana ben cem dia eve 6666",
    "whoami": "ana ben cem dia eve 6666",
}


@pytest.mark.parametrize(("text", "allowed"), ALLOWED.items(), ids=[*ALLOWED])
async def test_who_may(text: str, allowed: str) -> None:
    for who in (*TEAM, STRANGER):
        async with open_command_bot() as bot:
            bot.deployments.put(7, "shop", "production", V1)
            bot.deployments.put(8, "blog", "live", V1)
            bot.logs.open["log-1"] = Follow("log-1", "shop", "staging")
            bot.logs.open["log-2"] = Follow("log-2", "blog", "live")
            card = await bot.say(text, who)
            refused = {row.action for row in await bot.audit()} & {"denied"} != set()
            assert refused is (who not in allowed.split()), (who, card.title)
            assert "broke" not in card.title


async def test_denied_says_which_rule_and_who_may(bot: CommandBot) -> None:
    card = await bot.say("deploy shop", "cem")
    assert card.title == "`deploy` needs the role deployer on shop/staging; you are viewer there."
    assert card.hint == "Allowed: ana, ben, dia."
    assert card.tone is Tone.BAD
    assert not card.ok
    assert rows(await bot.audit()) == [("cem", "denied", "shop/staging", "deploy shop")]


async def test_nobody_may(bot: CommandBot) -> None:
    await bot.store.write(lambda tables: tables.people.grant(1, Role.ADMIN, "shop"))
    async with open_command_bot(made("party", _party, needs="anyone")) as other:
        card = await other.say("party")
    assert card.title == "Only claim, help, link, whoami are for everyone."
    assert card.hint == "Allowed: no one on the allowlist."


async def _party(ctx: Context) -> Card | None: ...


async def test_locked_says_who_and_how_to_release(bot: CommandBot) -> None:
    await bot.say("lock shop production because we measure", "ana")
    bot.clock.advance(720)
    card = await bot.say("deploy shop to production", "ben")
    assert card.title == (
        "shop/production is locked by ana since 2027-01-15 08:00 UTC (12 min): “we measure”. "
        "ana or an admin can remove it: `unlock shop production`."
    )
    assert (card.tone, card.ok) == (Tone.WARN, False)
    assert bot.deployments.requests == []
    await bot.say("deploy shop to production", "ana")
    await bot.say("deploy shop", "ben")
    assert [asked.by for asked in bot.deployments.requests] == ["ana", "ben"]


class Interrupted(FakeReleases):
    """While a ref is looked up, something else happens."""

    async def resolve(self, app: App, environment: Environment | None, ref: str, *, back: bool = False) -> Release:
        await self.meanwhile()
        return await super().resolve(app, environment, ref, back=back)

    async def meanwhile(self) -> None:
        await self.bot.store.write(lambda tables: tables.people.revoke(2))

    bot: CommandBot


async def test_rights_are_read_again_after_the_ref_was_looked_up() -> None:
    releases = Interrupted()
    async with open_command_bot(releases=releases) as bot:
        releases.bot = bot
        card = await bot.say("deploy shop", "ben")
    assert card.title == "`deploy` needs the role deployer on shop/staging; you have no role there."
    assert bot.deployments.requests == []


async def test_refs_are_looked_up_only_for_whoever_may(bot: CommandBot) -> None:
    await bot.say("deploy shop@v1.4", "cem")
    assert bot.releases.asked == []


async def test_rights_are_read_anew_each_time(bot: CommandBot) -> None:
    async def may(person: int) -> tuple[str, ...]:
        asked = await bot.access.ask(
            person, action=Action.DEPLOY, command="deploy", app="shop", environment="production"
        )
        decision = asked.decision
        return () if decision.allowed else decision.reasons

    assert await may(2) == ()
    await bot.say("lock shop production because x")
    assert await may(2) == ("shop/production is locked by ana.",)
    await bot.say("unlock shop production")
    await bot.say("deny @ben")
    assert await may(2) == ("`deploy` needs the role deployer on shop/production; you have no role there.",)
    assert await may(99) == ("You are not on the allowlist.",)
