"""develop → staging and main → production as one app on one server: own files, profiles, images, nothing shared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from deploybot.domain import State
from tests.e2e.conftest import RunningBot, ended, open_running_bot, served, server_toml
from tests.e2e.images import push
from tests.lab import Engine, Registry, Repo, until

COMPOSE = """
services:
  web:
    image: nothing/of/that:name
  mail:
    image: lab/busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait; done"]
    profiles: [mail]
"""
PORTS = """
services:
  web:
    ports: ["{port}:8000"]
"""
APP = """
[registries.house]
host = "{registry}"
plain = true
[apps.shop]
repo = "{repo}"
strategy = "compose"
directory = "{home}/shop"
need_disk = "1MB"
stable = 0
compose = {{ files = ["compose.yaml", "production.yaml"], wait = "60s" }}
health = {{ docker = true, within = "60s" }}
[apps.shop.images.web]
image = "{registry}/acme/shop"
tag = "main"
[apps.shop.environments.staging]
servers = ["web1"]
directory = "{home}/staging"
branch = "develop"
auto = {{ branch = "develop", image = true }}
compose = {{ files = ["compose.yaml", "staging.yaml"], profiles = ["mail"] }}
images = {{ web = {{ tag = "develop" }} }}
[apps.shop.environments.production]
servers = ["web1"]
branch = "main"
auto = {{ branch = "main", image = true }}
"""


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    """Production's file is only on main, staging's only on develop."""
    made = make_repo("shop")
    made.commit({"compose.yaml": COMPOSE, "production.yaml": PORTS.format(port=8000)}, "The first of main")
    made.branch("develop")
    made.commit({"production.yaml": None, "staging.yaml": PORTS.format(port=8001)}, "The first", branch="develop")
    return made


@pytest.fixture
async def running(engine: Engine, registry: Registry, repo: Repo, tmp_path: Path) -> AsyncIterator[RunningBot]:
    if registry not in engine._registries:
        engine.trust(registry)
    toml = server_toml(engine.sshd, more='docker = "/var/run/docker.sock"')
    app = APP.format(repo=repo.url, home=f"{engine.sshd.home}/{tmp_path.name}", registry=registry.address)
    path = tmp_path / "bot.toml"
    path.write_text(f'[bot]\ndata = "{tmp_path / "data"}"\n{toml}\n{app}')
    await asyncio.to_thread(push, engine, registry, "develop", "staging 1")
    await asyncio.to_thread(push, engine, registry, "main", "production 1")
    async with open_running_bot(path) as made:
        yield made


def containers(engine: Engine, project: str) -> dict[str, str]:
    """The containers of a Compose project, by service."""
    words = engine.docker(
        *("ps", "--no-trunc", "--filter", f"label=com.docker.compose.project={project}", "--format"),
        '{{.Label "com.docker.compose.service"}} {{.ID}}',
    )
    return dict(line.split() for line in words.splitlines())


def page(engine: Engine, port: int) -> str:
    until(lambda: not served(engine.address, port).startswith("nothing"), within=30, what="an answer of the app")
    return served(engine.address, port)


async def look(running: RunningBot) -> None:
    """Have the bot check now, as a webhook would."""
    parts = running.bot.autodeploy
    assert parts is not None
    await parts.automatic.look(running.settings.apps["shop"])


async def test_two_environments_on_one_server_follow_their_own_and_leave_the_other_alone(
    running: RunningBot, engine: Engine, registry: Registry, repo: Repo
) -> None:
    await look(running)
    first = await running.deploy("deploy shop to staging")
    ended(first, State.SUCCEEDED)
    assert first.plan.release.code == repo.sha("develop")
    assert (page(engine, 8001), served(engine.address, 8000)[:7]) == ("staging 1", "nothing")
    staging = containers(engine, "shop-staging")
    assert {*staging} == {"web", "mail"}
    second = await running.deploy("deploy shop to production")
    ended(second, State.SUCCEEDED)
    assert second.plan.release.code == repo.sha("main")
    assert (page(engine, 8000), page(engine, 8001)) == ("production 1", "staging 1")
    production = containers(engine, "shop-production")
    assert {*production} == {"web"}
    assert containers(engine, "shop-staging") == staging

    # A push to develop, then an image for production: each is deployed where it is followed, with no hand on it.
    commit = repo.commit({"staging.yaml": PORTS.format(port=8002)}, "Move it", branch="develop")
    await look(running)
    third = await running.end_of(3)
    ended(third, State.SUCCEEDED)
    assert (third.plan.environment, third.plan.release.code, third.requester_name) == ("staging", commit, "deploybot")
    assert (page(engine, 8002), page(engine, 8000)) == ("staging 1", "production 1")
    assert containers(engine, "shop-production") == production
    staging = containers(engine, "shop-staging")
    digest = await asyncio.to_thread(push, engine, registry, "main", "production 2")
    await look(running)
    fourth = await running.end_of(4)
    ended(fourth, State.SUCCEEDED)
    assert (fourth.plan.environment, [pin.digest for pin in fourth.plan.release.images]) == ("production", [digest])
    assert (page(engine, 8002), page(engine, 8000)) == ("staging 1", "production 2")
    assert containers(engine, "shop-staging") == staging
    for name in ("staging", "production"):
        assert (await running.read(f"status shop {name}")).startswith(f"✓ shop in {name}\n")
