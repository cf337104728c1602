from __future__ import annotations

from deploybot.card import Tone
from deploybot.domain import IgnoredTags, Origin, RefRule, Release
from deploybot.settings import App, Environment, Settings
from deploybot.testing import FakeReleases
from tests.kit.command_bot import SETTINGS, STRANGER, V1, CommandBot, open_command_bot


async def test_a_yes_with_its_reasons(bot: CommandBot) -> None:
    card = await bot.say("why deploy shop production", "ben")
    assert card.title == "Yes, you may use `deploy` on shop/production."
    assert [(line.name, line.text) for line in card.lines] == [
        ("allowlist", "You are ben, who is on the allowlist."),
        ("role", "You are deployer on shop/production."),
        ("lock", "shop/production is not locked."),
        ("approvals", "shop/production needs no approvals."),
        ("after", "No other environment is required first."),
    ]
    assert card.hint == "Allowed: ana, ben, dia."


async def test_a_no_with_its_reasons(bot: CommandBot) -> None:
    await bot.say("lock shop production because x")
    card = await bot.say("why /deploy shop@v1.3 production", "dia")
    assert card.title == "No, you may not use `deploy` on shop/production."
    assert ("lock", "shop/production is locked by ana.") in {(line.name, line.text) for line in card.lines}
    assert card.hint == "Allowed: ana."


async def test_nobody_may(bot: CommandBot) -> None:
    await bot.say("lock shop staging because x", "dia")
    await bot.say("deny @dia on shop")
    card = await bot.say("why deploy shop staging")
    assert card.hint == "Allowed: no one on the allowlist."


async def test_only_where_one_may_look(bot: CommandBot) -> None:
    assert not (await bot.say("why deploy shop production", "cem")).ok
    assert (await bot.say("why deploy shop staging", "cem")).title.startswith("No, you may not")
    assert not (await bot.say("why deploy shop production", STRANGER)).ok


async def test_no_such_command(bot: CommandBot) -> None:
    card = await bot.say("why deplyo shop production")
    assert (card.title, card.hint) == (
        "There is no command `deplyo`, did you mean `deploy`?",
        "`help` lists what I can do.",
    )
    assert (await bot.say("why xyzzy shop production")).title == "There is no command `xyzzy`."


class FromEvil(FakeReleases):
    """All commits are on a branch that is not allowed; one that ran in shop/production may come back there."""

    async def origin(
        self, app: App, environment: Environment, release: Release, *, back: bool = False, before: str = ""
    ) -> Origin | None:
        assert (release, before) == (V1, "")
        ran = back and (app.name, environment.name) == ("shop", "production")
        return Origin(ran=True) if ran else Origin(found="branch evil")


def _limited() -> Settings:
    settings = SETTINGS.model_copy(deep=True)
    for environment in settings.apps["shop"].environments.values():
        environment.__dict__["refs"] = (RefRule(branch="main"),)
    settings.apps["shop"].environments["production"].__dict__["after"] = "staging"
    return settings


async def test_a_release_is_judged_by_its_refs_and_by_what_runs_before() -> None:
    async with open_command_bot(settings=_limited(), releases=FromEvil()) as bot:

        async def reasons(text: str) -> dict[str, str]:
            card = await bot.say(text)
            return {line.name: line.text for line in card.lines}

        deploy = await reasons("why deploy shop@v1.3 production")
        assert deploy["refs"] == (
            "Only commits on branch main may be deployed to shop/production; this one is on branch evil."
        )
        assert deploy["after"] == f"{V1} must be healthy in staging first. There now: web1: nothing."
        back = await reasons("why rollback shop@v1.3 production")
        assert back["refs"] == "The commit has run well here before, so it may come back from any ref."
        assert (await reasons("why rollback shop@v1.3 staging"))["refs"].endswith("this one is on branch evil.")
        nothing = await reasons("why deploy shop production")
        assert nothing["refs"].startswith("Only commits on branch main may be deployed here")
        assert nothing["after"] == "The same release must be healthy in staging first."


async def test_the_newest_tags_that_do_not_count() -> None:
    web = IgnoredTags("web", tuple((f"2.0.{number}", "it is not in `^1.4`") for number in range(9, 2, -1)))
    tags = IgnoredTags("auto.tag", (("nightly", "it does not match `v*`"),))
    down = IgnoredTags("side", problem="ghcr.io cannot be reached: no route to host.")
    releases = FakeReleases(ignored={"shop": (web, tags, down)})
    async with open_command_bot(releases=releases) as bot:
        card = await bot.say("why deploy shop production", "ben")
        assert [(line.name, line.text) for line in card.lines][5:] == [
            ("tag 2.0.9", "It does not count for web: it is not in `^1.4`."),
            ("tag nightly", "It does not count for auto.tag: it does not match `v*`."),
            ("tag 2.0.8", "It does not count for web: it is not in `^1.4`."),
            ("tag 2.0.7", "It does not count for web: it is not in `^1.4`."),
            ("tag 2.0.6", "It does not count for web: it is not in `^1.4`."),
            ("more tags", "… and 3 more"),
            ("tags", "The tags for side are unknown: ghcr.io cannot be reached: no route to host."),
        ]
        assert card.lines[-1].tone is Tone.UNKNOWN
        for other in ("why approve shop production", "why deploy blog live"):
            assert not [line for line in (await bot.say(other)).lines if "tag" in line.name]
        assert not (await bot.say("why deploy shop production", "cem")).lines
