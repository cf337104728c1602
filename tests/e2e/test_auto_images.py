"""A real registry tells the bot of an image that was pushed to it, and the app runs it with no hand on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.domain import State
from tests.e2e.conftest import ended, open_office, served, server_toml
from tests.e2e.test_auto import SECRET, WITHIN, free_port
from tests.e2e.test_images import YAML, push
from tests.lab import Engine, Lab, Repo

APP = """
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
compose = {{ wait = "10s" }}
health = {{ docker = true, within = "10s" }}
[apps.shop.hooks.registry]
secret = {{ env = "SHOP_SECRET" }}
[apps.shop.images.web]
image = "{registry}/acme/shop"
tag = "^1.4"
[apps.shop.environments.live]
servers = ["web1"]
auto = {{ image = true }}
"""


async def test_an_image_that_is_pushed_is_deployed_with_no_hand_on_it(
    lab: Lab, engine: Engine, make_repo: Callable[..., Repo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_SECRET", SECRET)
    listen = f"{lab.gateway}:{free_port()}"
    registry = lab.registry(notify=f"http://{listen}/hooks/shop/registry", token=SECRET)
    engine.trust(registry)
    repo = make_repo("shop")
    repo.commit({"compose.yaml": YAML}, "The only one")
    toml = server_toml(engine.sshd, more='docker = "/var/run/docker.sock"')
    home = f"{engine.sshd.home}/{tmp_path.name}"
    app = APP.format(listen=listen, repo=repo.url, home=home, registry=registry.address)
    path = tmp_path / "bot.toml"
    path.write_text(f'[bot]\ndata = "{tmp_path / "data"}"\n{toml}\n{app}')
    await asyncio.to_thread(push, engine, registry, "1.4.2")
    async with open_office(path) as office:
        ended(await office.deploy("deploy shop"), State.SUCCEEDED)
        assert served(engine.address) == "1.4.2"
        digest = await asyncio.to_thread(push, engine, registry, "1.4.3")
        async with asyncio.timeout(WITHIN):
            while await asyncio.to_thread(served, engine.address) != "1.4.3":  # noqa: ASYNC110 - nobody tells it
                await asyncio.sleep(0.1)
        deployment = await office.end_of(2)
        ended(deployment, State.SUCCEEDED)
        assert deployment.requester_name == "deploybot"
        assert deployment.reason.startswith("image shop:1.4.3")
        assert [pin.digest for pin in deployment.plan.release.images] == [digest]
