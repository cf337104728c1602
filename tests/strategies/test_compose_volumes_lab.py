"""Data in anonymous volumes on a real Engine, with three versions of Compose: a restore keeps it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploybot.domain import State
from tests.lab import Engine, Repo
from tests.strategies.compose_shop import DOCKERFILE, YAML, ComposeInstall, MakeShop, container, flavour, make_shop

__all__ = ["flavour", "make_shop"]

ANONYMOUS = YAML.replace('    volumes: ["data:/data"]\n', "").replace("image: lab/busybox", "build: db")
FILES = {
    "compose.yaml": ANONYMOUS,
    "Dockerfile": DOCKERFILE,
    "db/Dockerfile": "FROM lab/busybox\nVOLUME /data\n",
    "www/healthz": "ok",
    "www/index.html": "v1",
}


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    """A release whose `db` keeps data in a volume of its image, and one in which `db` cannot start."""
    repo = make_repo("shop")
    repo.commit(FILES)
    repo.tag("v1")
    repo.commit(
        {"compose.yaml": ANONYMOUS.replace('["sh", "-c", \'trap "exit 0" TERM; sleep', '["no-program", \'sleep')}
    )
    repo.tag("v2")
    return repo


async def test_a_restore_keeps_the_data_of_a_service_that_could_not_start(
    make_shop: MakeShop, engine: Engine, repo: Repo, flavour: ComposeInstall
) -> None:
    shop = await make_shop(repo, flavour)
    await shop.good("v1")
    engine.docker("exec", str(container(engine, "db")["Id"]), "sh", "-c", "echo years >/data/table")
    ended = await shop.deploy("v2")
    assert ended.state is State.RESTORED, (ended.outcome, ended.tail)
    assert engine.docker("exec", str(container(engine, "db")["Id"]), "cat", "/data/table") == "years\n"
