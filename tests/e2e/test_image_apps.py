"""Apps without a repository, by the whole bot: the Compose file is a person's, the images come from a registry."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploybot.domain import State
from tests.e2e.conftest import RunningBot, ended, open_running_bot, page, server_toml
from tests.e2e.images import push
from tests.lab import Engine, Registry, until, web

YAML = """
services:
  web:
    image: {registry}/acme/shop:{tag}
    ports: ["{port}:8000"]
    stop_grace_period: 1s
    environment: {{COLOUR: "{colour}"}}
    volumes: ["./data:/data"]
{more}"""
SIDE = """  side:
    image: {registry}/acme/side:main
    stop_grace_period: 1s
"""
APP = """
[registries.house]
host = "{registry}"
plain = true
[apps.shop]
strategy = "compose"
directory = "{folder}"
need_disk = "1MB"
stable = "0.5s"
restore_within = "60s"
{poll}compose = {{ project = "shop", wait = "60s" }}
health = {{ docker = true, within = "60s" }}
tasks = {{ look = "pwd; docker compose ps --services" }}
[apps.shop.environments.live]
servers = ["web1"]
{environment}
"""


@dataclass(slots=True)
class ImageAppBot:
    """A bot, the folder with the app's Compose file on the server, and the registry."""

    running: RunningBot
    engine: Engine
    registry: Registry
    folder: Path

    def write(
        self,
        tag: str = "stable",
        colour: str = "red",
        *,
        side: bool = False,
        folder: Path | None = None,
        port: int = 8000,
    ) -> None:
        """Write the Compose file, as a person with an editor does."""
        folder = folder or self.folder
        folder.mkdir(parents=True, exist_ok=True)
        more = SIDE.format(registry=self.registry.address) if side else ""
        text = YAML.format(registry=self.registry.address, tag=tag, colour=colour, more=more, port=port)
        (folder / "compose.yaml").write_text(text)
        owner = self.engine.sshd.home.stat()
        for path in (folder, folder / "compose.yaml"):
            os.chown(path, owner.st_uid, owner.st_gid)

    async def read(self, text: str, who: str = "ana") -> str:
        """Type a command; the answer without line breaks, which depend on the length of a folder's name."""
        return " ".join((await self.running.read(text, who)).split())

    async def push(self, text: str, tag: str = "stable", *, well: bool = True) -> str:
        """Push an image that serves a text; its digest."""
        return await asyncio.to_thread(push, self.engine, self.registry, tag, text, well=well)

    def container(self, service: str = "web") -> dict[str, object]:
        names = ("label=com.docker.compose.project=shop", f"label=com.docker.compose.service={service}")
        ids = self.engine.docker("ps", "-aq", *(word for name in names for word in ("--filter", name))).split()
        assert len(ids) == 1, (service, ids)
        (found,) = json.loads(self.engine.docker("inspect", ids[0]))
        assert isinstance(found, dict)
        return found

    def colour(self) -> str:
        config = self.container()["Config"]
        assert isinstance(config, dict)
        return str(next(one.partition("=")[2] for one in config["Env"] if one.startswith("COLOUR=")))

    def by_hand(self, *words: str) -> None:
        """Run `docker compose` in the folder, as a person does."""
        self.engine.docker("compose", "-p", "shop", *words, cwd=self.folder)


@pytest.fixture
def environment() -> str:
    return ""


@pytest.fixture
async def shop(engine: Engine, registry: Registry, tmp_path: Path, environment: str) -> AsyncIterator[ImageAppBot]:
    if registry not in engine._registries:
        engine.trust(registry)
    folder = engine.sshd.home / tmp_path.name / "web"
    poll = 'poll = "10s"\n' if "auto" in environment else ""
    app = APP.format(registry=registry.address, folder=folder, environment=environment.format(folder=folder), poll=poll)
    path = tmp_path / "bot.toml"
    path.write_text(f'[bot]\ndata = "{tmp_path / "data"}"\n{server_toml(engine.sshd)}\n{app}')
    async with open_running_bot(path) as running:
        made = ImageAppBot(running, engine, registry, folder)
        made.write()
        yield made


async def test_images_are_pinned_and_come_back_by_digest_and_the_file_is_never_changed(shop: ImageAppBot) -> None:
    one = await shop.push("one")
    text = (shop.folder / "compose.yaml").read_text()
    first = await shop.running.deploy("deploy shop")
    ended(first, State.SUCCEEDED)
    assert (page(shop.engine), [pin.digest for pin in first.plan.release.images]) == ("one", [one])
    two = await shop.push("two")
    difference = await shop.read("diff shop live")
    assert f"web stable {one[:17]} → stable {two[:17]}" in difference
    plan = await shop.read("deploy shop --dry-run")
    assert "web recreated (image)" in plan
    ended(await shop.running.deploy("deploy shop"), State.SUCCEEDED)
    assert page(shop.engine) == "two"
    plan = await shop.read("deploy shop@:current --dry-run")
    assert "nothing changes: web kept" in plan
    # The tag still means the second image: the record brings the first one back, even without its registry.
    await asyncio.to_thread(shop.registry.stop)
    try:
        back = await shop.running.deploy("rollback shop from live")
    finally:
        await asyncio.to_thread(shop.registry.start)
    ended(back, State.SUCCEEDED)
    assert (page(shop.engine), back.plan.release.images[0].digest) == ("one", one)
    assert (shop.folder / "compose.yaml").read_text() == text
    assert {path.name for path in shop.folder.iterdir()} == {"compose.yaml", "data", ".deploybot"}
    status = await shop.read("status shop live")
    assert f"web stable {one[:17]}" in status
    assert "healthy" in status
    task = await shop.running.deploy("run shop look live")
    assert str(shop.folder) in await shop.running.log_of(task.number)
    ended(await shop.running.deploy("restart shop live"), State.SUCCEEDED)


async def test_a_tag_changes_only_the_images_that_have_it_and_a_release_that_fails_is_put_back(
    shop: ImageAppBot,
) -> None:
    shop.write(side=True)
    shop.engine.load(web(shop.registry.name("acme/side", "main"), "side"))
    await asyncio.to_thread(shop.engine.docker, "push", shop.registry.name("acme/side", "main"))
    await shop.push("one")
    ended(await shop.running.deploy("deploy shop"), State.SUCCEEDED)
    side = shop.container("side")["Id"]
    await shop.push("three", "1.3")
    third = await shop.running.deploy("deploy shop@1.3")
    ended(third, State.SUCCEEDED)
    assert (page(shop.engine), third.plan.release.label) == ("three", "1.3")
    assert shop.container("side")["Id"] == side
    await shop.push("four", "1.4", well=False)
    failed = await shop.running.deploy("deploy shop@1.4")
    assert "was restored and is healthy." in ended(failed, State.RESTORED)
    assert page(shop.engine) == "three"
    # A tag that moved since is not what a rollback to its name brings back.
    await shop.push("another three", "1.3")
    ended(await shop.running.deploy("deploy shop"), State.SUCCEEDED)
    assert page(shop.engine) == "one"
    ended(await shop.running.deploy("rollback shop from live to 1.3"), State.SUCCEEDED)
    assert page(shop.engine) == "three"
    assert "No image of shop has the tag `9.9`." in await shop.read("deploy shop@9.9")
    assert "has not run 9.9" in await shop.read("rollback shop from live to 9.9")


async def test_a_file_that_a_person_changed_is_reported_and_comes_with_the_next_deployment(shop: ImageAppBot) -> None:
    await shop.push("one")
    ended(await shop.running.deploy("deploy shop"), State.SUCCEEDED)
    assert "Compose files" not in await shop.read("status shop live")
    shop.write(colour="blue")
    assert "its Compose files changed since" in await shop.read("status shop live")
    plan = await shop.read("deploy shop --dry-run")
    assert f"The Compose files in {shop.folder} changed since the last deployment." in plan
    assert "web recreated (settings)" in plan
    await shop.push("two")
    ended(await shop.running.deploy("deploy shop"), State.SUCCEEDED)
    assert (page(shop.engine), shop.colour()) == ("two", "blue")
    assert "Compose files" not in await shop.read("status shop live")
    back = await shop.read("rollback shop from live --dry-run")
    assert f"The Compose files in {shop.folder} stay as they are" in back
    ended(await shop.running.deploy("rollback shop from live"), State.SUCCEEDED)
    assert (page(shop.engine), shop.colour()) == ("one", "red")


async def test_what_a_person_starts_by_hand_is_seen_as_what_it_is(shop: ImageAppBot) -> None:
    await shop.push("one")
    await asyncio.to_thread(shop.by_hand, "up", "-d")
    container = shop.container()["Id"]
    plan = await shop.read("deploy shop --dry-run")
    assert "nothing changes: web kept" in plan
    ended(await shop.running.deploy("deploy shop"), State.SUCCEEDED)
    assert shop.container()["Id"] == container
    two = await shop.push("two")
    await asyncio.to_thread(shop.by_hand, "pull")
    await asyncio.to_thread(shop.by_hand, "up", "-d")
    assert page(shop.engine) == "two"
    status = await shop.read("status shop live")
    assert "runs something other than #1 deployed: web was started by hand" in status
    ended(await shop.running.deploy("deploy shop"), State.SUCCEEDED)
    assert f"web stable {two[:17]}" in await shop.read("status shop live")


class TestApprovals:
    """An approval is for the digests, and for what Compose reads on the server."""

    @pytest.fixture
    def environment(self) -> str:
        return "approvals = 1"

    async def test_a_file_that_changed_since_the_request_voids_it(self, shop: ImageAppBot) -> None:
        await shop.push("one")
        await shop.running.say("allow @ben approver on shop")
        card = await shop.running.say("deploy shop to live")
        number = int(card.key.partition(":")[2])
        shop.write(colour="blue")
        told = await shop.read(f"approve #{number}", "ben")
        assert f"Compose files in {shop.folder} on web1 were changed" in told
        assert f"#{number} is void" in told
        card = await shop.running.say("deploy shop to live")
        number = int(card.key.partition(":")[2])
        await shop.running.say(f"approve #{number}", "ben")
        ended(await shop.running.end_of(number), State.SUCCEEDED)
        assert (page(shop.engine), shop.colour()) == ("one", "blue")

    async def test_a_tag_that_moved_since_the_request_voids_it(self, shop: ImageAppBot) -> None:
        one = await shop.push("one")
        await shop.running.say("allow @ben approver on shop")
        card = await shop.running.say("deploy shop to live")
        number = int(card.key.partition(":")[2])
        two = await shop.push("two")
        told = await shop.read(f"approve #{number}", "ben")
        assert f"image: web was stable {one[:17]}, now stable {two[:17]}" in told


class TestPromotion:
    """What runs healthy in staging goes to production by digest, whatever the tag means by then."""

    @pytest.fixture
    def environment(self) -> str:
        return """
after = "staging"
[apps.shop.environments.staging]
servers = ["web1"]
directory = "{folder}-staging"
compose = {{ project = "shop-staging" }}
"""

    async def test_the_digests_of_staging_run_in_production(self, shop: ImageAppBot) -> None:
        shop.write(folder=shop.folder.with_name("web-staging"), port=8001)
        one = await shop.push("one")
        refused = await shop.running.say("deploy shop to live")
        assert not refused.queued
        ended(await shop.running.deploy("deploy shop to staging"), State.SUCCEEDED)
        await shop.push("two")
        promoted = await shop.running.deploy("promote shop to live")
        ended(promoted, State.SUCCEEDED)
        assert (page(shop.engine), promoted.plan.release.images[0].digest) == ("one", one)


class TestAuto:
    """A new image under the tag that the Compose file names is deployed."""

    @pytest.fixture
    def environment(self) -> str:
        return "auto = {{ image = true }}"

    async def test_a_new_image_of_the_tag_is_deployed(self, shop: ImageAppBot) -> None:
        await shop.push("one")
        ended(await shop.running.deploy("deploy shop"), State.SUCCEEDED)
        await shop.push("two")
        await asyncio.to_thread(until, lambda: page(shop.engine) == "two", within=90, what="an automatic deployment")
