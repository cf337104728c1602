"""The Compose files of docs/recipes.md, on a real Docker Engine."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploybot.domain import State
from tests.e2e.conftest import RunningBot, ended, open_running_bot, page, server_toml
from tests.lab import Engine, Repo

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
SERVE = 'trap "exit 0" TERM; cp /data/version /www/index.html; httpd -f -p 8000 -h /www & wait'
MIGRATE = "#!/bin/sh\nsleep 2\n! grep broken /app/version || exit 1\ncp /app/version /data/version\n"
DOCKERFILE = """\
FROM lab/busybox
WORKDIR /app
COPY migrate version /app/
RUN mkdir -p /www /data && cp version /www/healthz
CMD ["sh", "-c", "trap 'exit 0' TERM; httpd -f -p 8000 -h /www & wait"]
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
[apps.shop.environments.live]
servers = ["web1"]
env = {{ SHOP_HOST = "shop.example.com" }}
"""


def recipe(section: str) -> dict[str, Any]:
    """Return the first Compose file of a section."""
    text = PAGE.read_text().partition(f"\n## {section}\n")[2]
    made: dict[str, Any] = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0])
    return made


def migrations() -> dict[str, Any]:
    """Return the recipe for migrations, with a volume as the database."""
    made = recipe("Database migrations")
    for one in made["services"].values():
        one["volumes"] = ["data:/data"]
    made["services"]["web"] |= {"command": ["sh", "-c", SERVE], "ports": ["8000:8000"]}
    return made | {"volumes": {"data": {}}}


@pytest.fixture
def shop(make_repo: Callable[..., Repo]) -> Repo:
    repo = make_repo("shop")
    files = {"compose.yaml": yaml.safe_dump(migrations()), "Dockerfile": DOCKERFILE, "migrate": MIGRATE}
    for version, text in (("v1", "v1\n"), ("v2", "broken\n"), ("v3", "v3\n")):
        repo.commit({**files, "version": text}, f"Release {version}")
        repo.tag(version)
    repo.commit({"compose.yaml": yaml.safe_dump(recipe("Traefik"))}, "Behind Traefik")
    repo.tag("traefik")
    return repo


@pytest.fixture
async def running(engine: Engine, shop: Repo, tmp_path: Path) -> AsyncIterator[RunningBot]:
    server = engine.sshd
    toml = server_toml(server, more='docker = "/var/run/docker.sock"')
    app = APP.format(repo=shop.url, home=f"{server.home}/{tmp_path.name}")
    path = tmp_path / "bot.toml"
    path.write_text(f'[bot]\ndata = "{tmp_path / "data"}"\n{toml}\n{app}')
    async with open_running_bot(path) as made:
        yield made


async def test_the_app_starts_after_its_migration_and_not_after_a_failed_one(
    running: RunningBot, engine: Engine
) -> None:
    ended(await running.deploy("deploy shop@v1"), State.SUCCEEDED)
    assert page(engine) == "v1"
    ended(await running.deploy("deploy shop@v2"), State.RESTORED)
    assert page(engine) == "v1"
    ended(await running.deploy("deploy shop@v3"), State.SUCCEEDED)
    assert page(engine) == "v3"


async def test_traefik_finds_a_healthy_container_by_labels_that_are_filled_in(
    running: RunningBot, engine: Engine
) -> None:
    refused = await running.read("deploy shop@traefik")
    assert "web needs the network traefik, which is not on the server." in refused
    engine.docker("network", "create", "traefik")
    ended(await running.deploy("deploy shop@traefik"), State.SUCCEEDED)
    (name,) = engine.docker("ps", "--filter", "network=traefik", "--filter", "health=healthy", "--quiet").split()
    labels = engine.docker("inspect", "--format", "{{json .Config.Labels}}", name)
    assert '"traefik.http.routers.shop-live.rule":"Host(`shop.example.com`)"' in labels
