"""A real registry tells the bot of a push, and the app runs it: checked, announced, with no hand on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploybot.domain import State
from tests.doubles.slack import SlackDouble
from tests.e2e.conftest import ROOM, SECRET, SLACK, RunningBot, ended, open_running_bot, served, server_toml
from tests.e2e.images import YAML, push
from tests.lab import Engine, Lab, Registry, Repo, free_port

WITHIN = 60
TOML = """
[bot]
data = "{data}"
[http]
listen = "{listen}"
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
[apps.shop.hooks.registry]
secret = {{ env = "SHOP_SECRET" }}
[apps.shop.images.web]
image = "{registry}/acme/shop"
tag = "^1.4"
[apps.shop.environments.live]
servers = ["web1"]
default = true
auto = {{ image = true }}
"""


@dataclass(frozen=True)
class Site:
    """Where the bot listens, and the registry that calls it there."""

    listen: str
    registry: Registry


@pytest.fixture
def site(lab: Lab, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A registry that tells the bot what is pushed to it."""
    monkeypatch.setenv("SHOP_SECRET", SECRET)
    listen = f"{lab.gateway}:{free_port()}"
    registry = lab.registry(notify=f"http://{listen}/hooks/shop/registry", token=SECRET)
    engine.trust(registry)
    return Site(listen, registry)


@pytest.fixture
def toml(site: Site, engine: Engine, double: SlackDouble, make_repo: Callable[..., Repo], tmp_path: Path) -> Path:
    """The shop runs what is pushed."""
    repo = make_repo("shop")
    repo.commit({"compose.yaml": YAML}, "The only one")
    text = TOML.format(
        data=tmp_path / "data",
        listen=site.listen,
        registry=site.registry.address,
        repo=repo.url,
        home=f"{engine.sshd.home}/{tmp_path.name}",
    )
    server = server_toml(engine.sshd, more='docker = "/var/run/docker.sock"')
    path = tmp_path / "bot.toml"
    path.write_text(f"{text}{server}{SLACK.format(room=ROOM, url=double.api_url)}")
    return path


async def begun(running: RunningBot, number: int) -> None:
    """Return once there is a deployment of that number."""
    async with asyncio.timeout(WITHIN):
        while await running.bot.deployments.get(number) is None:  # noqa: ASYNC110 - a row, without an event
            await asyncio.sleep(0.05)


async def test_a_pushed_image_runs_with_no_hand_on_it(
    toml: Path, engine: Engine, site: Site, double: SlackDouble
) -> None:
    await asyncio.to_thread(push, engine, site.registry, "1.4.2")
    async with open_running_bot(toml) as running:
        ended(await running.deploy("deploy shop"), State.SUCCEEDED)
        assert served(engine.address) == "1.4.2"
        digest = await asyncio.to_thread(push, engine, site.registry, "1.4.3")
        await begun(running, 2)
        deployment = await running.end_of(2)
        ended(deployment, State.SUCCEEDED)
        assert deployment.requester_name == "deploybot"
        assert [pin.digest for pin in deployment.plan.release.images] == [digest]
        assert served(engine.address) == "1.4.3"
        post = await double.timeline.until(lambda post: "#2" in post.text and "· succeeded" in post.text, within=30)
        assert f"1.4.3 {digest[:17]}" in post.text
    # What is pushed while nobody listens is found at the next start, and deployed once.
    await asyncio.to_thread(push, engine, site.registry, "1.4.4")
    async with open_running_bot(toml) as running:
        await begun(running, 3)
        ended(await running.end_of(3), State.SUCCEEDED)
        assert served(engine.address) == "1.4.4"
