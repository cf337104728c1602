"""Compose on a real Docker Engine behind a real sshd: replaced, checked, and put back if it does not come up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from deploybot.card import Tone
from deploybot.domain import State
from tests.e2e.conftest import RunningBot, ended, open_running_bot, served, server_toml
from tests.lab import Engine, Repo

SERVE = 'trap "exit 0" TERM; httpd -f -p 8000 -h /www & wait'
YAML = f"""
services:
  web:
    build: .
    command: ["sh", "-c", '{SERVE}']
    ports: ["8000:8000"]
    environment:
      DATABASE_URL: ${{DATABASE_URL:?}}
    healthcheck:
      test: ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:8000/healthz"]
      interval: 1s
      timeout: 10s
      retries: 3
"""
APP = """
[apps.shop]
repo = "{repo}"
strategy = "compose"
directory = "{home}/shop"
need_disk = "1MB"
stable = "1s"
compose = {{ wait = "60s" }}
health = {{ docker = true, within = "60s" }}
secrets = {{ DATABASE_URL = {{ env = "SHOP_DATABASE_URL" }} }}
[apps.shop.environments.live]
servers = ["web1"]
"""


@pytest.fixture
def shop(make_repo: Callable[..., Repo]) -> Repo:
    repo = make_repo("shop")
    good = {"compose.yaml": YAML, "Dockerfile": "FROM lab/busybox\nCOPY www /www\n", "www/healthz": "ok"}
    for version in ("v1", "v2"):
        repo.commit({**good, "www/index.html": f"{version}\n"}, f"Release {version}")
        repo.tag(version)
    says = YAML.replace('trap "exit 0"', 'echo "FATAL: no such table: users"; trap "exit 0"', 1)
    repo.commit({"compose.yaml": says, "www/index.html": "v3\n", "www/healthz": None}, "Release v3")
    repo.tag("v3")
    repo.commit({"compose.yaml": "services:\n  web:\n    imagine: nothing\n"}, "Release v4")
    repo.tag("v4")
    return repo


@pytest.fixture
async def running(
    engine: Engine, shop: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningBot]:
    monkeypatch.setenv("SHOP_DATABASE_URL", "postgres://shop:open-sesame-42@db/shop")
    server = engine.sshd
    toml = server_toml(server, more='docker = "/var/run/docker.sock"')
    app = APP.format(repo=shop.url, home=f"{server.home}/{tmp_path.name}")
    path = tmp_path / "bot.toml"
    path.write_text(f'[bot]\ndata = "{tmp_path / "data"}"\n{toml}\n{app}')
    async with open_running_bot(path) as made:
        yield made


async def test_deploy_unhealthy_rollback_and_what_the_engine_says(running: RunningBot, engine: Engine) -> None:
    ended(await running.deploy("deploy shop@v1"), State.SUCCEEDED)
    assert served(engine.address) == "v1"
    ended(await running.deploy("deploy shop@v2"), State.SUCCEEDED)
    assert served(engine.address) == "v2"
    failed = await running.deploy("deploy shop@v3")
    outcome = ended(failed, State.RESTORED)
    assert "v2" in outcome
    assert "web1: v2" in outcome
    assert "was restored and is healthy." in outcome
    assert any("FATAL: no such table: users" in line for line in failed.tail)
    assert served(engine.address) == "v2"
    menu = await running.say("rollback shop ?")
    assert [one.label for one in menu.buttons] == ["v1 · #1"]
    assert menu.text.split("\n")[:2] == ["runs now: v2", "v1 · #1"]
    assert "  loses 1 commit of v2" in menu.text.split("\n")
    assert "  still on web1" in menu.text.split("\n")
    ended(await running.deploy("rollback shop"), State.SUCCEEDED)
    assert served(engine.address) == "v1"
    status = await running.read("status shop")
    assert "healthy" in status
    assert "web" in status
    assert "postgres" not in await running.log_of(1)


async def test_a_broken_compose_file_is_found_before_anything_begins(running: RunningBot, engine: Engine) -> None:
    await running.deploy("deploy shop@v1")
    refused = await running.read("deploy shop@v4")
    assert "imagine" in refused
    assert "#2" not in await running.read("history shop")
    assert served(engine.address) == "v1"


async def test_docker_that_is_stopped_is_reported_and_the_rest_still_answers(
    running: RunningBot, engine: Engine
) -> None:
    await running.deploy("deploy shop@v1")
    await asyncio.to_thread(engine.stop)
    try:
        board = await running.say("status")
        assert "Docker" in board.lines[0].text or "docker" in board.lines[0].text
        assert board.lines[0].tone is not Tone.GOOD
        assert "Docker on web1 cannot be reached" in await running.read("deploy shop@v2")
    finally:
        await asyncio.to_thread(engine.start)
    ended(await running.deploy("deploy shop@v2"), State.SUCCEEDED)
    assert served(engine.address) == "v2"
