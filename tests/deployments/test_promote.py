"""Promotions: exactly what runs healthy in the environment before, or a sentence that says why there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.card import Card
from deploybot.domain import Deployment, Kind, Pin, Release, Role, Running, State
from deploybot.ports import Tables
from deploybot.settings import ImageOf
from deploybot.testing import FakeServers, Outcome
from tests.deployments.test_containers import ComposedServer, composed_server
from tests.kit.bot import HEALTH, V1, V2, V3, BotUnderTest, Team, open_as
from tests.kit.settings import bot_settings
from tests.strategies.sites import PROJECT

TEAM: Team = {
    "ana": [(Role.ADMIN, "*", "*")],
    "ben": [(Role.DEPLOYER, "*", "*")],
    "cem": [(Role.APPROVER, "*", "*")],
    "dia": [(Role.APPROVER, "*", "*")],
}
STAGING, PRODUCTION = ("web3", "web4"), ("web1", "web2")
WEB, OLD, NEW = "registry.example.com/acme/shop", f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
FIRST = "Deploy a release to all its servers first: deploy shop@REF to staging"


@asynccontextmanager
async def open_promoter(folder: Path, **production: object) -> AsyncIterator[BotUnderTest]:
    """A shop whose staging is on two servers and whose production is on two others; `production` adds keys to it."""
    environments = {
        "staging": {"servers": [*STAGING]},
        "production": {"servers": [*PRODUCTION], "after": "staging", **production},
    }
    health = {"http": HEALTH, "within": "2s"}
    shop = {"restart": "./restart", "health": health, "restore_within": "1s", "environments": environments}
    settings = bot_settings(folder / "data", servers=(*PRODUCTION, *STAGING), apps={"shop": shop})
    async with open_as(BotUnderTest, folder, settings, team=TEAM) as made:
        made.wait(clock_check=0.001)
        yield made


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[BotUnderTest]:
    async with open_promoter(tmp_path) as made:
        yield made


async def good(bot: BotUnderTest, text: str, who: str = "ana") -> Deployment:
    """Deploy, and see it succeed."""
    ended = await bot.end_of(await bot.ask(text, who))
    assert ended.state is State.SUCCEEDED, ended.outcome
    return ended


async def refusal(bot: BotUnderTest, text: str = "promote shop to production") -> Card:
    """Why a promotion is refused. Nothing was requested."""
    before = len(await bot.deployments.history(bot.app, None, 100))
    card = await bot.say(text)
    assert not card.ok
    assert len(await bot.deployments.history(bot.app, None, 100)) == before
    return card


def runs(bot: BotUnderTest, *servers: str) -> list[str]:
    return [bot.hosts[name].server_facts.current for name in servers]


def change(bot: BotUnderTest, server: str, release: str) -> None:
    """Somebody moves the link of a server by hand."""
    host = bot.hosts[server]
    host.server_facts = replace(host.server_facts, current=release)


async def test_the_commit_that_runs_is_taken_though_its_branch_has_moved(bot: BotUnderTest) -> None:
    await good(bot, "deploy shop@main to staging")
    bot.refs.known["main"] = V3.id
    ended = await good(bot, "promote shop", "ben")
    assert (ended.plan.kind, ended.plan.release.code) == (Kind.DEPLOY, V2.id)
    assert runs(bot, *PRODUCTION) == [V2.id, V2.id]
    assert (ended.plan.promoted_from, ended.plan.environment) == ("staging", "production")
    assert (
        await bot.card(2)
    ).title == "#2 shop/production: main · first deployment (promoted from staging) · succeeded"
    asked = [row.detail for row in await bot.audit() if row.action == "deploy asked"]
    assert asked[-1].startswith("deploy main (2222222222) to shop production, promoted from staging, plan ")


async def test_the_images_that_run_are_taken_though_their_tags_have_moved(bot: BotUnderTest) -> None:
    bot.app.images["web"] = ImageOf(image=WEB, tag="1.4")
    bot.images.known[WEB] = {"1.4": OLD}
    before = await good(bot, "deploy shop@v1 to staging")
    bot.images.known[WEB] = {"1.4": NEW}
    ended = await good(bot, "promote shop")
    assert ended.plan.release == before.plan.release
    assert ended.plan.release.images == (Pin("web", WEB, "1.4", OLD),)
    bot.images.down = "it is being moved"
    card = await refusal(bot)
    assert card.title.startswith("shop/production already runs v1 (1111111111) with web 1.4 sha256:1111111111,")


async def test_a_dry_run_shows_from_where_and_changes_nothing(bot: BotUnderTest) -> None:
    await good(bot, "deploy shop@v1 to staging")
    card = await bot.say("promote shop --dry-run")
    assert card.title == "shop/production: v1 · first deployment (promoted from staging) · dry run"
    assert card.footer.endswith("nothing was done")
    assert runs(bot, *PRODUCTION) == ["", ""]


async def test_what_runs_already_is_said(bot: BotUnderTest) -> None:
    await good(bot, "deploy shop@v1 to staging")
    await good(bot, "promote shop")
    card = await refusal(bot)
    assert card.title == "shop/production already runs v1 (1111111111), the release of staging."
    assert card.hint == "To deploy it again: deploy shop@:current to production"
    change(bot, "web2", V2.id)
    await good(bot, "promote shop")
    assert runs(bot, *PRODUCTION) == [V1.id, V1.id]
    bot.hosts["web2"].down = "it is off"  # then it is unknown what it runs: the plan says so
    assert "it is off" in (await refusal(bot)).title


async def test_without_after_there_is_nothing_to_promote_from(bot: BotUnderTest) -> None:
    await good(bot, "deploy shop@v1 to production --break-glass because it burns")
    card = await refusal(bot, "promote shop to staging")
    assert card.title == "shop/staging has no `after` in bot.toml, so there is no environment to promote from."
    assert card.hint == "Set it, or name a release: deploy shop@REF to staging"


async def test_where_nothing_runs_there_is_nothing_to_promote(bot: BotUnderTest) -> None:
    card = await refusal(bot)
    assert (card.title, card.hint) == ("Nothing runs in shop/staging yet, so there is nothing to promote.", FIRST)


async def test_servers_that_run_different_releases_are_named(bot: BotUnderTest) -> None:
    await good(bot, "deploy shop@v1 to staging")
    await good(bot, "deploy shop@v2 to staging/web4")
    card = await refusal(bot)
    assert card.title == (
        "The servers of shop/staging run different releases (web3 v1 (1111111111), web4 v2 (2222222222))."
    )
    assert card.hint == FIRST


async def test_a_server_that_is_not_deployed_yet_is_named(bot: BotUnderTest) -> None:
    await good(bot, "deploy shop@v1 to staging/web3")
    card = await refusal(bot)
    assert card.title == "shop/staging does not run what deploybot deployed there: web4 runs nothing."
    change(bot, "web4", V1.id)
    card = await refusal(bot)
    assert card.title.endswith("there: web4 runs 1111111111, which deploybot did not deploy.")


@pytest.mark.parametrize(("there", "words"), [(V3.id, "3333333333"), ("", "nothing")])
async def test_a_change_by_hand_counts_and_not_the_records(bot: BotUnderTest, there: str, words: str) -> None:
    await good(bot, "deploy shop@v1 to staging")
    change(bot, "web4", there)
    card = await refusal(bot)
    assert card.title == (
        f"shop/staging does not run what deploybot deployed there: web4 runs {words}, but #1 deployed v1 (1111111111)."
    )
    assert card.hint == FIRST
    await good(bot, "deploy shop@v3 to staging")
    assert (await good(bot, "promote shop")).plan.release.code == V3.id


async def test_a_switch_that_stopped_half_way_counts(bot: BotUnderTest) -> None:
    await good(bot, "deploy shop@v1 to staging")
    host = bot.hosts["web3"]
    host.server_facts = replace(host.server_facts, switching=V2.id)
    card = await refusal(bot)
    assert card.title.endswith("there: web3: partly switched from 1111111111 to 2222222222.")


async def test_a_server_that_does_not_answer_is_unknown(bot: BotUnderTest) -> None:
    await good(bot, "deploy shop@v1 to staging")
    bot.hosts["web4"].down = "the network is down"
    card = await refusal(bot)
    assert card.title == "What runs in shop/staging is unknown: web4: the network is down."
    assert card.hint == "Try again when they answer, or name a release: deploy shop@REF to production"


async def test_what_is_not_healthy_now_is_not_promoted(bot: BotUnderTest) -> None:
    await good(bot, "deploy shop@v1 to staging")
    bot.hosts["web4"].http[HEALTH] = (503, "no database")
    card = await refusal(bot)
    assert card.title == f"shop/staging is not healthy now: web4: {HEALTH} answers 503: no database."
    assert card.hint == "Fix it, or deploy a good release there. `status shop staging` shows more."
    assert not (await bot.say("promote shop --break-glass because it burns")).ok
    del bot.hosts["web4"].http[HEALTH]
    await good(bot, "promote shop")


async def test_what_did_not_become_healthy_there_is_not_promoted(bot: BotUnderTest) -> None:
    await good(bot, "deploy shop@v1 to staging")

    def left(tables: Tables) -> None:
        tables.running.put(Running("shop", "staging", "web3", V1, 1, 2.0, healthy=False))

    await bot.store.write(left)
    card = await refusal(bot)
    assert card.title == "shop/staging is not healthy now: web3: #1 did not become healthy there."


async def test_unknown_images_are_not_promoted(bot: BotUnderTest) -> None:
    await good(bot, "deploy shop@v1 to staging")
    release = Release.by_id(f"{V1.id}-{'f' * 12}")

    def found(tables: Tables) -> None:
        for server in STAGING:
            tables.running.put(Running("shop", "staging", server, release, 1, 2.0, healthy=True))

    await bot.store.write(found)
    for server in STAGING:
        host = bot.hosts[server]
        host.server_facts = replace(host.server_facts, current=release.id, releases=(release.id,))
    card = await refusal(bot)
    assert card.title == f"The images of {release}, which runs in shop/staging, are unknown."
    assert card.hint == FIRST


async def test_approvals_cover_exactly_what_was_found(tmp_path: Path) -> None:
    async with open_promoter(tmp_path, approvals=1) as bot:
        await good(bot, "deploy shop@main to staging", "ben")
        number = await bot.ask("promote shop because it was tested", "cem")
        card = await bot.card(number)
        title = f"#{number} shop/production: main · first deployment (promoted from staging) · waiting for 1 approval"
        assert card.title == title
        assert not (await bot.say(f"approve #{number}", "cem")).ok
        bot.refs.known["main"] = V3.id
        assert (await bot.say(f"approve #{number}", "dia")).title == f"#{number} is approved."
        ended = await bot.end_of(number)
        assert (ended.state, ended.plan.release.code, ended.plan.promoted_from) == (State.SUCCEEDED, V2.id, "staging")
        assert runs(bot, *PRODUCTION) == [V2.id, V2.id]


async def test_what_staging_does_not_run_any_more_does_not_start(tmp_path: Path) -> None:
    async with open_promoter(tmp_path, approvals=1) as bot:
        await good(bot, "deploy shop@v1 to staging")
        number = await bot.ask("promote shop", "cem")
        await good(bot, "deploy shop@v2 to staging")
        await bot.say(f"approve #{number}", "dia")
        ended = await bot.end_of(number)
        assert ended.state is State.FAILED
        assert "v1 (1111111111) must be healthy in staging first." in ended.outcome
        assert runs(bot, *PRODUCTION) == ["", ""]


async def test_a_void_request_is_asked_again_as_a_promotion(tmp_path: Path) -> None:
    async with open_promoter(tmp_path, approvals=1) as bot:
        await good(bot, "deploy shop@v1 to staging")
        number = await bot.ask("promote shop because it was tested", "cem")
        change(bot, "web1", V3.id)
        await bot.say(f"approve #{number}", "dia")
        assert "Void: what it replaces: web1 was nothing, now 3333333333." in (await bot.end_of(number)).outcome
        (again,) = [one.command for one in (await bot.card(number)).buttons if one.label == "Ask again"]
        assert again == "promote shop to production because it was tested"
        assert (await bot.deployment(await bot.ask(again, "cem"))).plan.promoted_from == "staging"


async def test_refs_count_for_a_promotion(tmp_path: Path) -> None:
    async with open_promoter(tmp_path, refs=["release"]) as bot:
        bot.refs.branches = {"main": V2.id}
        await good(bot, "deploy shop@main to staging")
        card = await refusal(bot)
        assert card.title == "Only commits on release may be deployed to shop/production; this one is on branch main."
        bot.refs.branches["release"] = V2.id
        await good(bot, "promote shop")


async def test_a_lock_and_a_freeze_stop_a_promotion_and_an_admin_may_break_the_glass(bot: BotUnderTest) -> None:
    await good(bot, "deploy shop@v1 to staging")
    await bot.say("lock shop production because we measure", "cem")
    assert "locked by cem" in (await refusal(bot)).title
    await bot.say("unlock shop production", "cem")
    await bot.say("freeze shop production for 2h because we measure", "cem")
    card = await refusal(bot)
    assert card.title.startswith("shop/production is frozen until 2027-01-15 10:00 UTC")
    assert "frozen until" in (await bot.say("promote shop --dry-run")).footer
    assert not (await bot.say("promote shop --in 1h")).ok
    await bot.ask("promote shop --in 3h")
    assert not (await bot.say("promote shop --break-glass because it burns", "ben")).ok
    ended = await good(bot, "promote shop --break-glass because it burns")
    assert (ended.glass, ended.plan.promoted_from) == ("freeze", "staging")


async def test_a_promotion_can_be_scheduled_and_survives_a_restart(bot: BotUnderTest) -> None:
    await good(bot, "deploy shop@v1 to staging")
    number = await bot.ask("promote shop --in 2h")
    assert (await bot.deployment(number)).state is State.WAITING
    await bot.restart()
    bot.clock.advance(2 * 3600)
    ended = await bot.end_of(number)
    assert (ended.state, ended.plan.promoted_from) == (State.SUCCEEDED, "staging")
    assert not (await bot.say("promote shop --in 2h --at 18:00")).ok


async def test_a_failed_promotion_is_tried_again_with_exactly_the_same(bot: BotUnderTest) -> None:
    await good(bot, "deploy shop@v1 to staging")
    bot.hosts["web1"].script("switch", Outcome(code=1))
    number = await bot.ask("promote shop")
    assert (await bot.end_of(number)).state is not State.SUCCEEDED
    (again,) = [one.command for one in (await bot.card(number)).buttons if one.label == "Try again"]
    assert again == f"deploy shop@{V1.id} to production"


async def test_why_says_what_would_be_promoted(bot: BotUnderTest) -> None:
    card = await bot.say("why promote shop production", "ben")
    assert card.title == "Yes, you may use `promote` on shop/production."
    lines = {line.name: line.text for line in card.lines}
    assert lines["after"] == "The same release must be healthy in staging first."
    assert lines["promote"] == "Nothing runs in shop/staging yet, so there is nothing to promote."
    await good(bot, "deploy shop@v1 to staging")
    lines = {line.name: line.text for line in (await bot.say("why promote shop production", "ben")).lines}
    assert lines["after"] == "v1 (1111111111) is healthy in staging."
    assert lines["promote"] == "v1 (1111111111) runs healthy in staging and would be promoted."


# With containers


@asynccontextmanager
async def open_composed(folder: Path) -> AsyncIterator[tuple[BotUnderTest, ComposedServer]]:
    """A Compose app with staging on one server, which is returned, and production on another one."""
    web1, web2 = composed_server("web1"), composed_server("web2")
    shop = {
        "strategy": "compose",
        "stable": "0s",
        "restore_within": "1s",
        "compose": {"project": PROJECT},
        "environments": {"staging": {"servers": ["web2"]}, "production": {"servers": ["web1"], "after": "staging"}},
    }
    settings = bot_settings(folder / "data", servers=("web1", "web2"), apps={"shop": shop})
    hosts = FakeServers([web1.host, web2.host], {"web1": web1.engine, "web2": web2.engine})
    async with open_as(BotUnderTest, folder, settings, team=TEAM, hosts=hosts) as made:
        yield made, web2


async def test_containers_of_the_same_commit_are_promoted_and_built_there(tmp_path: Path) -> None:
    async with open_composed(tmp_path) as (bot, _):
        await good(bot, "deploy shop@main to staging")
        bot.refs.known["main"] = V3.id
        assert (await good(bot, "promote shop")).plan.release.code == V2.id
        built = [one.env["DEPLOYBOT_RELEASE"] for one in bot.hosts["web1"].started if one.script == "compose_build"]
        assert built == [V2.id]


@pytest.mark.parametrize(
    ("by_hand", "words"),
    [
        ({"image_id": "sha256:" + "9" * 64}, "web2 runs containers that deploybot did not create, but #1 deployed"),
        ({"labels": ()}, "does not run what deploybot deployed there: web2: web was created by hand"),
        ({"health": "unhealthy"}, "is not healthy now: web2: web is unhealthy."),
        ({"health": "starting"}, "is not healthy now: web2: web is starting."),
        ({"state": "exited", "exit_code": 3}, "is not healthy now: web2: web exited with code 3."),
        ({"state": "exited"}, "is not healthy now: web2: web is stopped."),
    ],
)
async def test_containers_that_changed_are_not_promoted(tmp_path: Path, by_hand: dict[str, object], words: str) -> None:
    async with open_composed(tmp_path) as (bot, staging):
        await good(bot, "deploy shop@v1 to staging")
        staging.engine.all[PROJECT] = [replace(one, **by_hand) for one in staging.engine.all[PROJECT]]  # type: ignore[arg-type]  # fields
        assert words in (await refusal(bot)).title


async def test_a_job_that_has_ended_is_healthy(tmp_path: Path) -> None:
    async with open_composed(tmp_path) as (bot, staging):
        staging.host.script("compose_up", Outcome(effect=staging.up_and_end))
        await good(bot, "deploy shop@v1 to staging")
        await good(bot, "promote shop")


async def test_containers_that_are_gone_are_not_promoted(tmp_path: Path) -> None:
    async with open_composed(tmp_path) as (bot, staging):
        await good(bot, "deploy shop@v1 to staging")
        staging.engine.all[PROJECT] = []
        assert "web2 runs nothing, but #1 deployed v1 (1111111111)." in (await refusal(bot)).title
