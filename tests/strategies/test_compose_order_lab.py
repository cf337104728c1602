"""The order in which containers come and go on a real Engine, with three versions of Compose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deploybot.domain import EffectKind
from tests.lab import Engine, Repo
from tests.strategies.compose_shop import (
    DOCKERFILE,
    FIVE,
    ONE,
    PLUGIN,
    YAML,
    ComposeInstall,
    MakeShop,
    container,
    flavour,
    make_shop,
    page,
)

__all__ = ["flavour", "make_shop"]

JOB = """
  migrate:
    image: lab/busybox
    command: ["sh", "-c", "sleep 2"]
"""
WAITS = "    depends_on: {migrate: {condition: service_completed_successfully}}\n"
MIGRATED = YAML.replace("    build: .\n", f"    build: .\n{WAITS}").replace("\nvolumes:", f"{JOB}\nvolumes:")


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    """Two releases that differ in a page; `web` waits for a job."""
    repo = make_repo("shop")
    for version in ("v1", "v2"):
        files = {"compose.yaml": MIGRATED, "Dockerfile": DOCKERFILE, "www/healthz": "ok", "www/index.html": version}
        repo.commit(files)
        repo.tag(version)
    return repo


def state(engine: Engine, service: str) -> dict[str, Any]:
    found = container(engine, service)["State"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("flavour", "order"),
    [(ONE, ()), (FIVE, ("db", "web"))],
    ids=["1, any order", "5, an order"],
    indirect=["flavour"],
)
async def test_an_app_starts_after_its_job_even_if_that_is_new(
    make_shop: MakeShop, engine: Engine, repo: Repo, flavour: ComposeInstall, order: tuple[str, ...]
) -> None:
    shop = await make_shop(repo, flavour, compose={"order": order})
    await shop.good("v1")
    engine.docker("rm", str(container(engine, "migrate")["Id"]))  # as `docker system prune` does
    await shop.good("v2")
    assert page(engine) == "v2"
    job = state(engine, "migrate")
    assert (job["ExitCode"], job["FinishedAt"] < state(engine, "web")["StartedAt"]) == (0, True)


async def test_a_stopped_service_that_a_changed_one_needs_starts_first(
    make_shop: MakeShop, engine: Engine, repo: Repo, flavour: ComposeInstall
) -> None:
    needs = WAITS.replace("}}", "}, db: {condition: service_healthy}}")
    repo.branch("main", "v2")
    repo.commit({"compose.yaml": MIGRATED.replace(WAITS, needs), "www/index.html": "main"})
    shop = await make_shop(repo, flavour)
    await shop.good("v1")
    before = container(engine, "db")["Id"]
    engine.docker("stop", str(before))
    await shop.good("main")
    assert page(engine) == "main"
    assert container(engine, "db")["Id"] == before
    assert state(engine, "db")["StartedAt"] < state(engine, "web")["StartedAt"]


@pytest.mark.parametrize(
    ("flavour", "holds"),
    [(ONE, "a port"), (PLUGIN, "a name")],
    ids=["1, a port", "2, a name"],
    indirect=["flavour"],
)
async def test_a_service_that_is_renamed_gets_the_port_and_the_name_of_the_old_one(
    make_shop: MakeShop, engine: Engine, repo: Repo, flavour: ComposeInstall, holds: str
) -> None:
    named = YAML.replace("    build: .\n", "    build: .\n    container_name: front\n")
    if holds == "a name":
        named = named.replace('    ports: ["8000:8000"]\n', "")
    repo.branch("main", "v1")
    repo.commit({"compose.yaml": named})
    shop = await make_shop(repo, flavour)
    await shop.good("main")
    repo.commit(
        {"compose.yaml": named.replace("  web:", "  app:").replace("front", "front" if holds == "a name" else "back")}
    )
    plan = await shop.plan("main")
    kinds = {one.service: one.kind for one in plan.servers[0].effects}
    assert (kinds["app"], kinds["web"]) == (EffectKind.NEW, EffectKind.REMOVED)
    await shop.good("main")
    assert state(engine, "app")["Status"] == "running"
    assert not engine.docker("ps", "-aq", "--filter", "label=com.docker.compose.service=web")
