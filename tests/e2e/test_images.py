"""Images by the whole bot, on a real engine and a real registry: pinned, run, gone back to, put back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from deploybot.domain import State
from tests.e2e.conftest import RunningBot, ended, open_running_bot, served, server_toml
from tests.e2e.images import YAML, push
from tests.lab import Engine, Registry, Repo

APP = """
[registries.house]
host = "{registry}"
plain = true
[apps.shop]
repo = "{repo}"
strategy = "compose"
directory = "{home}/shop"
need_disk = "1MB"
stable = "1s"
compose = {{ wait = "60s" }}
health = {{ docker = true, within = "60s" }}
[apps.shop.images.web]
image = "{registry}/acme/shop"
tag = "^1.4"
[apps.shop.environments.live]
servers = ["web1"]
default = true
[apps.shop.environments.guarded]
servers = ["web1"]
directory = "{home}/guarded"
approvals = 1
"""


@pytest.fixture
def trusted(engine: Engine, registry: Registry) -> Registry:
    if registry not in engine._registries:
        engine.trust(registry)
    return registry


@pytest.fixture
async def running(
    engine: Engine, trusted: Registry, make_repo: Callable[..., Repo], tmp_path: Path
) -> AsyncIterator[RunningBot]:
    repo = make_repo("shop")
    repo.commit({"compose.yaml": YAML}, "The only one")
    server = engine.sshd
    toml = server_toml(server, more='docker = "/var/run/docker.sock"')
    app = APP.format(repo=repo.url, home=f"{server.home}/{tmp_path.name}", registry=trusted.address)
    path = tmp_path / "bot.toml"
    path.write_text(f'[bot]\ndata = "{tmp_path / "data"}"\n{toml}\n{app}')
    async with open_running_bot(path) as made:
        yield made


async def test_images_come_and_go_back_without_their_registry(
    running: RunningBot, engine: Engine, trusted: Registry
) -> None:
    old = await asyncio.to_thread(push, engine, trusted, "1.4.2")
    ended(await running.deploy("deploy shop"), State.SUCCEEDED)
    assert served(engine.address) == "1.4.2"
    new = await asyncio.to_thread(push, engine, trusted, "1.4.3")
    second = await running.deploy("deploy shop")
    ended(second, State.SUCCEEDED)
    assert served(engine.address) == "1.4.3"
    assert [pin.digest for pin in second.plan.release.images] == [new]
    assert f"with web 1.4.3 {new[:17]}" in await running.read("status shop live")
    # A tag that moves is another image of the same name, and one that never comes up is no release.
    await asyncio.to_thread(push, engine, trusted, "1.4.4", well=False)
    failed = await running.deploy("deploy shop")
    assert "was restored and is healthy." in ended(failed, State.RESTORED)
    assert served(engine.address) == "1.4.3"
    await asyncio.to_thread(trusted.stop)
    try:
        ended(await running.deploy("rollback shop"), State.SUCCEEDED)
        assert served(engine.address) == "1.4.2"
        ended(await running.deploy("deploy shop@#2 because back again"), State.SUCCEEDED)
        assert served(engine.address) == "1.4.3"
        assert f"The registry {trusted.address} cannot be reached" in await running.read("deploy shop")
    finally:
        await asyncio.to_thread(trusted.start)
    ended(await running.deploy(f"deploy shop@{old}"), State.SUCCEEDED)
    assert served(engine.address) == "1.4.2"


async def test_an_approval_is_for_the_image_that_was_shown(
    running: RunningBot, engine: Engine, trusted: Registry
) -> None:
    old = await asyncio.to_thread(push, engine, trusted, "1.4.9", "one")
    await running.say("allow @ben approver on shop")
    card = await running.say("deploy shop to guarded")
    number = int(card.key.partition(":")[2])
    new = await asyncio.to_thread(push, engine, trusted, "1.4.9", "two")
    told = await running.read(f"approve #{number}", "ben")
    assert f"image: web was 1.4.9 {old[:17]}, now 1.4.9 {new[:17]}" in told
    assert f"#{number} is void" in told
