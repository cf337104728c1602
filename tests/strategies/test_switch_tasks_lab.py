"""A task before the switch runs with the new release's image and files, on a real Engine, and starts nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploybot.domain import State
from deploybot.settings import SwitchTask
from tests.lab import Engine, Repo
from tests.strategies.compose_shop import (
    DOCKERFILE,
    YAML,
    ComposeInstall,
    MakeShop,
    container,
    flavour,
    make_shop,
    page,
)

__all__ = ["flavour", "make_shop"]

MIGRATE = "docker compose run --rm --no-deps -T web cat /www/index.html /etc/built && test ! -e broken"


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    """Three releases; the second one has a migration that fails."""
    repo = make_repo("shop")
    files: dict[str, str | None] = {"compose.yaml": YAML, "www/healthz": "ok"}
    for version in ("v1", "v2", "v3"):
        built = DOCKERFILE + f"RUN echo built {version} >/etc/built\n"
        broken = "yes" if version == "v2" else None
        repo.commit({**files, "Dockerfile": built, "www/index.html": f"page {version}\n", "broken": broken})
        repo.tag(version)
    return repo


@pytest.mark.timeout(300)
async def test_it_sees_the_new_release_and_leaves_what_runs_alone(
    make_shop: MakeShop, engine: Engine, repo: Repo, flavour: ComposeInstall
) -> None:
    command = MIGRATE.replace("docker compose", "docker-compose") if flavour.alone else MIGRATE
    shop = await make_shop(repo, flavour, tasks={"migrate": command})
    await shop.good("v1")
    web, db = container(engine, "web")["Id"], container(engine, "db")["Id"]
    shop.settings.apps["shop"] = shop.app.model_copy(update={"before_switch": (SwitchTask(task="migrate"),)})
    shop.__post_init__()
    failed = await shop.deploy("v2")
    assert failed.state is State.FAILED, failed.outcome
    assert failed.outcome.startswith("Step `migrate` failed on web1")
    assert "built v2" in shop.host.said
    assert "page v2" in shop.host.said
    assert (container(engine, "web")["Id"], container(engine, "db")["Id"]) == (web, db)
    assert page(engine).strip() == "page v1"
    await shop.good("v3")
    assert page(engine).strip() == "page v3"
    assert container(engine, "db")["Id"] == db
