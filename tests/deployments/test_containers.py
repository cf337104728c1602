"""Deployments of an app that runs containers, on an Engine in memory: what is recorded, and gone back to."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deploybot.deployments.target_inspection import LONGEST_ANSWER
from deploybot.domain import Container, Image, ManifestRow, Release, Role, ServerFacts, State
from deploybot.errors import Unreachable, UserError
from deploybot.settings import HealthSettings
from deploybot.testing import FakeEngine, FakeHost, FakeServers, Outcome
from tests.kit.bot import V1, V2, V3, BotUnderTest, fetched, open_as, switched
from tests.kit.settings import bot_settings
from tests.strategies.sites import PROJECT, configured, image_id, looked

BELOW = f"deploybot/{PROJECT}"
LETTERS = {V1.id: "1", V2.id: "2", V3.id: "3"}
WEB: dict[str, dict[str, object]] = {"web": {"build": {"context": "."}}}


class ComposedHost(FakeHost):
    """A server whose scripts answer for the release that they are asked about."""

    config: bytes = b""
    services: Mapping[str, Mapping[str, object]] = WEB

    async def stream(self, script: str, env: Mapping[str, str], *, timeout: float) -> AsyncIterator[bytes]:
        release = Release.of_commit(env["DEPLOYBOT_RELEASE"])
        answers = {
            "compose_config": self.config or configured(release, self.services),
            "compose_paths": looked(release),
        }
        self.streams = {name: [answer[:7], answer[7:]] for name, answer in answers.items()}
        async for piece in super().stream(script, env, timeout=timeout):
            yield piece


@dataclass
class ComposedServer:
    """What the scripts do on a server: images that are built, containers that come up."""

    host: ComposedHost
    engine: FakeEngine
    ids: itertools.count[int]
    moved: str = ""
    """The letter of the image that a moving tag means by now; empty for the release's own."""

    def build(self, host: FakeHost, env: Mapping[str, str]) -> None:
        """Make the image of a release, and call it as it is asked to."""
        del host
        letter = self.moved or LETTERS[env["DEPLOYBOT_RELEASE"]]
        others = [replace(one, tags=()) for one in self.engine.all_images if one.id != image_id(letter)]
        tag = env["DEPLOYBOT_TAGS"].split()[-1]
        self.engine.all_images = [*others, Image(id=image_id(letter), tags=(tag,), size=1, created=1.0)]

    def up(self, host: FakeHost, env: Mapping[str, str]) -> None:
        """Run what is to be recreated or started, with the image that the tag of ours means."""
        del host
        if not env["DEPLOYBOT_CHANGED"] and not env["DEPLOYBOT_START"]:
            return
        image = env["DEPLOYBOT_TAGS"].split()[0]
        number = int(env["DEPLOYBOT_SCALE"].partition("=")[2] or str(self.host.services["web"].get("scale", 1)))
        made = Container(
            id=f"c{next(self.ids)}",
            name=f"{PROJECT}-web-1",
            service="web",
            image="web",
            state="running",
            image_id=image,
            project=PROJECT,
            created=1.0,
            started=1.0,
            labels=(("deploybot.settings", settings_in(env["DEPLOYBOT_OVERRIDE"])),),
        )
        self.engine.all[PROJECT] = [replace(made, id=f"{made.id}-{one}") for one in range(number)]

    def up_broken(self, host: FakeHost, env: Mapping[str, str]) -> None:
        """Come up, and be unhealthy."""
        self.up(host, env)
        self.engine.all[PROJECT] = [replace(one, health="unhealthy") for one in self.engine.all[PROJECT]]

    def heal(self, host: FakeHost, env: Mapping[str, str]) -> None:
        """Become healthy."""
        del host, env
        self.engine.all[PROJECT] = [replace(one, health="healthy") for one in self.engine.all[PROJECT]]

    def up_and_end(self, host: FakeHost, env: Mapping[str, str]) -> None:
        """Come up, and end as a job does."""
        self.up(host, env)
        self.engine.all[PROJECT] = [replace(one, state="exited") for one in self.engine.all[PROJECT]]


def settings_in(override: str) -> str:
    """The label that an override gives."""
    _, _, rest = override.partition('"deploybot.settings": "')
    return rest.partition('"')[0]


def composed_server(name: str) -> ComposedServer:
    """A server with Docker and Compose, on which nothing runs yet."""
    facts = ServerFacts(
        home="/home/deploy", git=True, docker="24.0.5", compose=("docker", "compose"), compose_version="2.26.1"
    )
    made = ComposedServer(ComposedHost(name, facts), FakeEngine(name), itertools.count())
    made.host.script("fetch", Outcome(effect=fetched))
    made.host.script("switch", Outcome(effect=switched))
    made.host.script("compose_build", Outcome(effect=made.build))
    made.host.script("compose_up", Outcome(effect=made.up))
    return made


@pytest.fixture
def server() -> ComposedServer:
    return composed_server("web1")


@pytest.fixture
async def composed(tmp_path: Path, server: ComposedServer) -> AsyncIterator[BotUnderTest]:
    shop = {"strategy": "compose", "stable": "0s", "restore_within": "1s", "tasks": {"migrate": "./migrate"}}
    settings = bot_settings(tmp_path / "data", apps={"shop": shop})
    hosts = FakeServers([server.host], {"web1": server.engine})
    async with open_as(BotUnderTest, tmp_path, settings, hosts=hosts) as made:
        yield made


async def good(bot: BotUnderTest, *releases: Release, **more: object) -> None:
    for release in releases:
        ended = await bot.deploy(release, **more)
        assert ended.state is State.SUCCEEDED, ended.outcome


async def manifests(bot: BotUnderTest) -> dict[str, ManifestRow]:
    rows = await bot.store.read(lambda tables: tables.manifests.of_target("shop", "production", "web1"))
    return {one.release: one for one in rows}


def runs(server: ComposedServer) -> list[str]:
    return [one.image_id for one in server.engine.all[PROJECT]]


def jobs(server: ComposedServer, number: int) -> list[str]:
    """The scripts of a deployment, in their order, without the clean-up."""
    return [one.script for one in server.host.started if one.job.startswith(f"{number}-") and one.script != "prune"]


async def test_a_release_is_recorded_by_the_images_that_were_made(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    await good(composed, V1)
    row = (await manifests(composed))[V1.id]
    assert (row.verified, [one.image for one in row.manifest.services]) == (True, [image_id("1")])
    assert row.manifest.files == ("compose.yaml",)
    assert runs(server) == [image_id("1")]
    assert jobs(server, 1) == ["fetch", "compose_build", "compose_up", "switch"]


async def test_a_job_that_ended_is_recorded_as_one_and_stays_ended(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    await good(composed, V1)
    assert [one.ended for one in (await manifests(composed))[V1.id].manifest.services] == [False]
    server.host.script("compose_up", Outcome(effect=server.up_and_end))
    await good(composed, V2)
    assert [one.ended for one in (await manifests(composed))[V2.id].manifest.services] == [True]
    await good(composed, V2)
    up = [one for one in server.host.started if one.script == "compose_up"][-1]
    assert (up.env["DEPLOYBOT_CHANGED"], up.env["DEPLOYBOT_START"]) == ("", "")


@pytest.mark.parametrize(("remove", "removed"), [(False, []), (True, ["left-1"])])
async def test_what_the_bot_did_not_make_goes_only_where_somebody_says_so(
    composed: BotUnderTest, server: ComposedServer, remove: bool, removed: list[str]
) -> None:
    left = Container(id="left-1", name="left", service="left", image="x", state="running", project=PROJECT, created=1.0)
    server.engine.all[PROJECT] = [left]
    await composed.deploy(V1, remove_orphans=remove)
    up = next(one for one in server.host.started if one.script == "compose_up")
    assert up.env["DEPLOYBOT_REMOVE_LAST"].split() == removed


async def test_a_rollback_runs_the_recorded_images_without_a_build(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    await good(composed, V1, V2)
    assert runs(server) == [image_id("2")]
    await good(composed, V1, rollback=True)
    assert runs(server) == [image_id("1")]
    assert "compose_build" not in jobs(server, 3)
    find = next(one for one in server.host.started if one.script == "compose_images")
    assert find.env["DEPLOYBOT_IMAGES"] == f"web {image_id('1')} - {BELOW}/web:{'1' * 12}"


async def test_a_rollback_takes_the_compose_files_that_it_ran_with(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    await good(composed, V1, V2)
    compose = composed.app.compose.model_copy(update={"files": ("ops/compose.yaml",)})
    composed.settings.apps["shop"] = composed.app.model_copy(update={"compose": compose})
    await good(composed, V1, rollback=True)
    asked = [one.env["DEPLOYBOT_COMPOSE_FILES"] for one in server.host.started if one.script == "compose_config"]
    assert {*asked[-2:]} == {"compose.yaml"}
    up = [one for one in server.host.started if one.script == "compose_up"][-1]
    assert up.env["DEPLOYBOT_COMPOSE_FILES"] == "compose.yaml"
    await good(composed, V3)
    asked = [one.env["DEPLOYBOT_COMPOSE_FILES"] for one in server.host.started if one.script == "compose_config"]
    assert asked[-1] == "ops/compose.yaml"


async def test_a_failed_release_gives_way_to_exactly_what_ran(composed: BotUnderTest, server: ComposedServer) -> None:
    await good(composed, V1)
    server.host.script("compose_up", Outcome(effect=server.up_broken), Outcome(effect=server.up))
    ended = await composed.deploy(V2)
    assert ended.state is State.RESTORED, ended.outcome
    assert "web is unhealthy" in ended.outcome
    assert "v1 (1111111111) was restored and is healthy" in ended.outcome
    assert "Now running: web1 1111111111." in ended.outcome
    assert runs(server) == [image_id("1")]
    kept = await manifests(composed)
    assert (kept[V1.id].verified, kept[V2.id].verified) == (True, False)
    # What never was healthy is made from scratch, files and images.
    await good(composed, V2)
    assert runs(server) == [image_id("2")]
    assert "compose_build" in jobs(server, 3)
    plans = [one for one in server.host.started if one.job.startswith("plan-")]
    assert [one.env["DEPLOYBOT_AGAIN"] for one in plans] == ["yes", "yes", "yes"]


async def test_images_that_ran_and_are_gone_stop_a_rollback_before_it_begins(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    await good(composed, V1, V2)
    server.engine.all_images = [one for one in server.engine.all_images if one.id != image_id("1")]
    with pytest.raises(UserError, match="its image of web is not on web1 any more"):
        await composed.request(V1, rollback=True)
    await good(composed, V1)
    assert "compose_build" in jobs(server, 3)


@pytest.mark.parametrize("health", ["", "docker compose exec web true"])
async def test_what_a_person_started_is_restored_where_the_first_deployment_fails(
    composed: BotUnderTest, server: ComposedServer, health: str
) -> None:
    if health:
        checked = composed.settings.apps["shop"].model_copy(update={"health": HealthSettings(command=health)})
        composed.settings.apps["shop"] = checked
    labels = {"com.docker.compose.project.working_dir": "/home/me/shop"}
    labels["com.docker.compose.project.config_files"] = "/home/me/shop/compose.yaml"
    theirs = Container(
        id="theirs",
        name=f"{PROJECT}-web-1",
        service="web",
        image="acme/shop",
        state="running",
        image_id=image_id("9"),
        project=PROJECT,
        started=1.0,
        created=1.0,
        labels=tuple(labels.items()),
    )
    server.engine.all[PROJECT] = [theirs]
    server.host.config = configured(V1, WEB, running={"/home/me/shop": WEB})

    def back(host: FakeHost, env: Mapping[str, str]) -> None:
        del host
        assert (env["DEPLOYBOT_FOLDER"], env["DEPLOYBOT_CHANGED"]) == ("/home/me/shop", "web")
        assert env["DEPLOYBOT_COMPOSE_FILES"] == "/home/me/shop/compose.yaml"
        server.engine.all[PROJECT] = [theirs]

    server.host.script("compose_up", Outcome(effect=server.up_broken), Outcome(effect=back))
    ended = await composed.deploy(V1)
    assert ended.state is State.RESTORED, ended.outcome
    assert "what ran before was restored and is healthy" in ended.outcome
    asked = [one.env for one in server.host.started if one.script == "health_command"]
    where = [(one["DEPLOYBOT_RELEASE"], one.get("DEPLOYBOT_FOLDER")) for one in asked]
    assert where == ([(V1.id, None), ("", "/home/me/shop")] if health else [])
    assert "Now running: web1 containers that deploybot did not create." in ended.outcome


@pytest.fixture
async def changed(tmp_path: Path, server: ComposedServer) -> AsyncIterator[BotUnderTest]:
    """A shop that was deployed with `files`, and has `strategy = "compose"` by now, with a check of its containers."""
    hosts = FakeServers([server.host], {"web1": server.engine})
    health = {"health": {"command": "docker compose exec web true"}}
    shop = {"strategy": "compose", "stable": "0s", "restore_within": "1s", **health}
    async with open_as(BotUnderTest, tmp_path, bot_settings(tmp_path / "data", apps={"shop": {}}), hosts=hosts) as made:
        await good(made, V1)
        await made.restart(bot_settings(tmp_path / "data", apps={"shop": shop}))
        yield made


@pytest.mark.parametrize("tried", [(V2, V2), (V1, V1, V2)])
async def test_what_ran_without_containers_is_restored_where_the_first_with_containers_fails(
    changed: BotUnderTest, server: ComposedServer, tried: tuple[Release, ...]
) -> None:
    """What a failed attempt recorded of a release, even of the one that runs, is neither restored nor used again."""

    def remove(host: FakeHost, env: Mapping[str, str]) -> None:
        del host
        (failed,) = server.engine.all[PROJECT]
        assert (env["DEPLOYBOT_REMOVE"], env["DEPLOYBOT_CHANGED"], env["DEPLOYBOT_RELEASE"]) == (failed.id, "", "")
        server.engine.all[PROJECT] = []

    for release in tried:
        server.host.script("compose_up", Outcome(effect=server.up), Outcome(effect=remove))
        server.host.script("health_command", Outcome(code=1), Outcome())
        ended = await changed.deploy(release)
        (part,) = ended.plan.servers
        assert (part.replaces, part.made) == (V1, True)
        assert [one.name for one in part.steps][:3] == ["fetch", "build", "up"]
        assert ended.plan.warnings == (
            "web1: `current` leads to v1 (1111111111), which runs without containers: it ends with the switch",
        )
        assert ended.state is State.RESTORED, ended.outcome
        assert ended.outcome.splitlines() == [
            "Not healthy on web1: the health command failed.",
            "web1: v1 (1111111111) was restored: `current` leads to it again. Its health is unknown.",
            "Now running: web1 1111111111.",
        ]
        rows = await changed.store.read(lambda tables: tables.deployments.steps(ended.number))  # noqa: B023 - read at once
        assert [row.name for row in rows if row.phase.value == "restore"] == ["remove", "restored"]
    asked = {one.env["DEPLOYBOT_RELEASE"] for one in server.host.started if one.script == "compose_config"}
    assert asked == {one.id for one in tried}, "a release without containers has no Compose files"
    server.host.script("compose_up", Outcome(effect=server.up))
    await good(changed, V2, V3)
    ended = await changed.deploy(V1)
    assert (ended.state, ended.plan.warnings, ended.plan.servers[0].replaces) == (State.SUCCEEDED, (), V3)


async def test_without_containers_there_is_nothing_to_restart(changed: BotUnderTest) -> None:
    card = await changed.say("restart shop production because it is slow")
    assert "shop has no containers on web1" in f"{card.title} {card.text}"


async def test_a_release_whose_containers_were_removed_by_hand_does_not_run(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    await good(composed, V1)
    server.engine.all[PROJECT] = []
    ended = await composed.deploy(V2)
    assert ended.plan.servers[0].replaces is None
    assert ended.plan.warnings == ("web1 runs nothing, but #1 deployed v1 (1111111111)",)


async def test_a_clean_up_keeps_what_was_requested_since_and_plans_wait_for_its_end(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    await good(composed, V1)
    server.host.script("compose_up", Outcome(hold=True, effect=server.up), Outcome(effect=server.up))
    server.host.script("prune", Outcome(hold=True), Outcome())
    second = await composed.ask("deploy shop@v2 to production because it is time")
    up = await composed.started(second, "compose_up")
    third = await composed.ask("deploy shop@v3 to production because it is time")
    server.host.finish(up)
    prune = await composed.started(second, "prune")
    keep = next(one.env["DEPLOYBOT_KEEP"] for one in server.host.started if one.job == prune)
    assert keep.split("\n") == [V2.id, V1.id, V3.id]

    planned = len(plans_of(server))
    asked = asyncio.create_task(composed.ask("deploy shop@v1 to production because it is time"))
    await asyncio.wait([asked], timeout=0.1)
    assert len(plans_of(server)) == planned
    server.host.finish(prune)
    async with asyncio.timeout(20):
        await composed.end_of(await asked)
    assert len(plans_of(server)) > planned
    assert (await composed.end_of(third)).state is State.SUCCEEDED


def plans_of(server: ComposedServer) -> list[str]:
    """The jobs that brought files for a plan."""
    return [one.job for one in server.host.started if one.job.startswith("plan-")]


async def test_a_build_that_makes_no_image_is_no_release(composed: BotUnderTest, server: ComposedServer) -> None:
    server.host.script("compose_build", Outcome())
    ended = await composed.deploy(V1)
    assert ended.state is State.FAILED
    assert f"web has no image {BELOW}/web:next on web1" in ended.outcome
    assert server.engine.all.get(PROJECT, []) == []


async def test_an_answer_without_end_is_cut_off(composed: BotUnderTest, server: ComposedServer) -> None:
    server.host.config = bytes(LONGEST_ANSWER + 1)
    with pytest.raises(Unreachable, match="compose_config prints more than"):
        await composed.request(V1)
    assert jobs(server, 1) == []


async def test_files_that_cannot_be_fetched_are_said_by_the_plan(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    server.host.script("fetch", Outcome(code=1, log=b"one\nNo space left on device\n"))
    with pytest.raises(UserError, match="cannot be copied to web1: No space left on device"):
        await composed.request(V1)
    server.host.script("fetch", Outcome(code=7))
    with pytest.raises(UserError, match="cannot be copied to web1: exit code 7"):
        await composed.request(V1)
    assert [one.script for one in server.host.started] == ["fetch", "fetch"]


async def test_an_image_that_the_release_is_not_made_of_is_noticed(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    await good(composed, V1)

    def other(host: FakeHost, env: Mapping[str, str]) -> None:
        server.up(host, env)
        server.engine.all[PROJECT] = [replace(one, image_id=image_id("8")) for one in server.engine.all[PROJECT]]

    server.host.script("compose_up", Outcome(effect=other), Outcome(effect=server.up))
    ended = await composed.deploy(V2)
    assert ended.state is State.RESTORED
    assert "web runs image 888888888888 instead of 222222222222" in ended.outcome
    assert runs(server) == [image_id("1")]


async def test_a_clean_up_needs_no_answer_of_compose(composed: BotUnderTest, server: ComposedServer) -> None:
    await good(composed, V1)
    scripts = [one.script for one in server.host.started]
    assert scripts[-3:] == ["compose_up", "switch", "prune"]


@pytest.mark.parametrize("renamed", ["the project", "the app"])
async def test_a_second_copy_beside_a_renamed_target_is_refused(
    composed: BotUnderTest, server: ComposedServer, renamed: str
) -> None:
    await good(composed, V1)
    server.engine.all[PROJECT] = [
        replace(one, labels=(*one.labels, ("deploybot.release", V1.id))) for one in server.engine.all[PROJECT]
    ]
    shop = composed.app
    if renamed == "the project":
        compose = shop.compose.model_copy(update={"project": "store"})
        new = composed.settings.apps["shop"] = shop.model_copy(update={"compose": compose})
    else:
        place = composed.production.model_copy(update={"app": "store"})
        new = shop.model_copy(update={"name": "store", "environments": {"production": place}})
        composed.settings.apps.clear()
        composed.settings.apps["store"] = new
    await composed.store.write(lambda tables: tables.people.grant(composed.person.id, Role.DEPLOYER, "store", "*"))
    with pytest.raises(UserError) as caught:
        await composed.deployments.request(composed.ctx(), new, new.environments["production"], V2)
    assert caught.value.sentence == (
        f"This app runs here already: project {PROJECT} has web. A second copy would start beside it."
    )
    assert f"docker compose -p {PROJECT} down" in caught.value.hint
