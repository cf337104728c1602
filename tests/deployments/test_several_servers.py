"""Servers of one environment that run different releases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from deploybot.domain import Kind, Release, State, StepState
from deploybot.errors import UserError
from deploybot.settings import Settings
from deploybot.testing import FakeHost, FakeServers, Outcome
from tests.deployments.test_containers import composed_server
from tests.kit.bot import HEALTH, V1, V2, V3, BotUnderTest, open_as, shop_settings, switched
from tests.kit.settings import bot_settings


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


async def test_what_a_failed_deployment_leaves_on_a_server_is_recorded_as_what_runs(bot: BotUnderTest) -> None:
    await good(bot, V1, "web1")
    bot.hosts["web2"].http[HEALTH] = (500, "no database")
    ended = await bot.deploy(V2)
    assert ended.state is State.FAILED
    assert "web2: nothing ran before, so there is nothing to restore." in ended.outcome
    assert runs(bot) == [V1.id, V2.id]
    rows = await bot.running()
    assert {name: (row.release.id, row.healthy) for name, row in rows.items()} == {
        "web1": (V1.id, True),
        "web2": (V2.id, False),
    }
    shown = await bot.say("status shop production")
    (line,) = [one for one in shown.lines if one.name == "web2"]
    assert line.text.startswith("v2 (2222222222)")


@pytest.fixture
async def composed(tmp_path: Path) -> AsyncIterator[BotUnderTest]:
    """The shop on two servers with Docker Engines; `servers` has what its scripts do there."""
    servers = {name: composed_server(name) for name in ("web1", "web2")}
    shop = {"strategy": "compose", "stable": "0s", "restore_within": "1s", "compose": {"wait": "1s"}}
    settings = bot_settings(tmp_path / "data", servers=tuple(servers), apps={"shop": shop})
    hosts = FakeServers([one.host for one in servers.values()], {name: one.engine for name, one in servers.items()})
    async with open_as(BotUnderTest, tmp_path, settings, hosts=hosts) as made:
        yield made


async def test_servers_with_different_releases_are_restarted_as_they_are(composed: BotUnderTest) -> None:
    await good(composed, V1)
    await good(composed, V2)
    await good(composed, V1, "web1")
    ended = await composed.end_of(await composed.ask("restart shop production because it is slow"))
    assert ended.state is State.SUCCEEDED, ended.outcome


async def test_a_server_on_which_nothing_was_started_needs_no_restore(composed: BotUnderTest) -> None:
    await good(composed, V1)
    web1, web2 = composed.hosts["web1"], composed.hosts["web2"]

    def unplug(host: FakeHost, env: Mapping[str, str]) -> None:
        switched(host, env)
        web2.cut("it is off")

    web1.script("switch", Outcome(effect=unplug), Outcome(effect=switched))
    number = await composed.ask("deploy shop@v2 to production because it is time")
    await composed.until_card(number, lambda card: any("may not have started" in line.text for line in card.lines))
    await composed.say(f"cancel #{number}")
    ended = await composed.end_of(number)
    assert ended.state is State.CANCELLED
    assert ended.outcome.splitlines() == [
        "Cancelled by ana.",
        "web1: v1 (1111111111) was restored and is healthy.",
        "Now running: web1 1111111111; web2 unknown (it is off).",
    ]


def lost_settings(bot: BotUnderTest, lost: str) -> Settings:
    """bot.toml without the target, or without its second server."""
    shop = {"restart": "./restart", "environments": {"live" if lost == "shop/production" else "production": {}}}
    servers = ("web1",) if lost == "web2" else ("web1", "web2")
    return bot_settings(bot.settings.bot.data, servers=servers, apps={"shop": shop})


@pytest.mark.parametrize(
    ("lost", "now"),
    [
        ("shop/production", "What runs there is unknown."),
        ("web2", "Now running: web1 2222222222; web2 unknown (bot.toml no longer has it)."),
    ],
)
async def test_a_deployment_whose_place_is_gone_from_bot_toml_says_so(bot: BotUnderTest, lost: str, now: str) -> None:
    await good(bot, V1)
    bot.hosts["web2"].script("switch", Outcome(effect=switched, hold=True))
    number = await bot.ask("deploy shop@v2 to production because it is time")
    await bot.started(number, "switch", "web2")
    await bot.restart(lost_settings(bot, lost))
    ended = await bot.end_of(number)
    assert ended.state is State.UNKNOWN
    assert ended.outcome.splitlines() == [
        f"bot.toml no longer has {lost}, so this deployment could not be continued.",
        f"Nothing was run again. {now}",
    ]
    rows = await bot.store.read(lambda tables: tables.deployments.steps(number))
    assert (rows[-1].server, rows[-1].state) == ("web2", StepState.UNKNOWN)
    known = {name: (row.release.id, row.healthy) for name, row in (await bot.running()).items()}
    assert known["web1"] == ((V2.id, False) if lost == "web2" else (V1.id, True))


async def test_before_the_first_step_a_place_that_is_gone_means_that_nothing_was_done(bot: BotUnderTest) -> None:
    await good(bot, V1)
    async with bot.busy():
        number = await bot.ask("deploy shop@v2 to production because it is time")
        await bot.store.write(lambda tables: tables.deployments.move(number, State.RUNNING, now=1.0))
    await bot.restart(lost_settings(bot, "web2"))
    ended = await bot.end_of(number)
    assert ended.state is State.FAILED
    assert ended.outcome.splitlines() == [
        "bot.toml no longer has web2, so this deployment could not be continued.",
        "Nothing was done.",
    ]


async def test_a_server_that_left_bot_toml_is_not_cleaned_up(
    bot: BotUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    await good(bot, V1)
    bot.hosts = FakeServers([bot.hosts["web1"]])
    await bot.restart(lost_settings(bot, "web2"))
    await good(bot, V2)
    assert [one.message for one in caplog.records if one.levelname == "ERROR"] == []
    assert bot.hosts["web1"]._jobs == {}


async def test_trying_again_does_the_same_on_the_same_servers(bot: BotUnderTest) -> None:
    for release in (V1, V2):
        await good(bot, release)
    bot.hosts["web2"].http[HEALTH] = (500, "no database")
    assert await again(bot, "deploy shop@v3 to production/web2") == f"deploy shop@{V3.id} to production/web2"
    assert await again(bot, "deploy shop@v3 to production") == f"deploy shop@{V3.id} to production"
    assert await again(bot, "rollback shop from production") == f"rollback shop from production to {V1.id}"


async def again(bot: BotUnderTest, text: str) -> str:
    """The command of the button of a deployment that fails."""
    number = await bot.ask(f"{text} because it is time")
    assert (await bot.end_of(number)).state is State.FAILED
    (command,) = [one.command for one in (await bot.card(number)).buttons if one.label == "Try again"]
    return command
