"""Going back on a real Engine, with three versions of Compose: to what a person started, and to other settings."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploybot.domain import State
from deploybot.errors import UserError
from tests.lab import Engine, Repo
from tests.strategies.compose.conftest import write
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
    image_of,
    make_shop,
    page,
    with_compose,
)

__all__ = ["flavour", "make_shop"]

FILES = {"compose.yaml": YAML, "Dockerfile": DOCKERFILE, "www/healthz": "ok"}
BROKEN = YAML.replace("/healthz", "/nothing")


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    return make_repo("shop")


def containers(engine: Engine, service: str) -> int:
    filters = ("label=com.docker.compose.project=shop-production", f"label=com.docker.compose.service={service}")
    return len(engine.docker("ps", "-q", *(word for text in filters for word in ("--filter", text))).split())


@pytest.fixture
def home(engine: Engine, tmp_path: Path) -> Path:
    """The folder from which a person started the shop, with two databases, though the files say one."""
    folder = write(tmp_path / "home/shop", {**FILES, "www/index.html": "mine"})
    up = ("up", "-d", "--wait", "--build", "--scale", "db=2")
    engine.docker("compose", "-p", "shop-production", *up, cwd=folder)
    return folder


@with_compose(ONE, PLUGIN)
@pytest.mark.usefixtures("home")
async def test_what_a_person_scaled_comes_back_with_as_many(
    make_shop: MakeShop, engine: Engine, repo: Repo, flavour: ComposeInstall
) -> None:
    repo.commit({**FILES, "compose.yaml": BROKEN.replace("sleep 100000", "sleep 99999")})
    # The folder of the person has no such file.
    repo.commit({"env/prod.env": ""})
    shop = await make_shop(repo, flavour, compose={"env_file": "env/prod.env"})
    ended = await shop.deploy("main")
    assert ended.state is State.RESTORED, (ended.outcome, ended.tail)
    assert (page(engine), containers(engine, "db")) == ("mine", 2)


@pytest.mark.parametrize("gone", ["the folder", "the file"])
async def test_what_could_not_come_back_is_not_replaced(
    make_shop: MakeShop, engine: Engine, repo: Repo, home: Path, flavour: ComposeInstall, *, gone: str
) -> None:
    repo.commit({**FILES, "www/index.html": "v1"})
    shop = await make_shop(repo, flavour)
    if gone == "the folder":
        shutil.rmtree(home)
    else:
        (home / "compose.yaml").unlink()
    with pytest.raises(UserError, match="They could not be restored if the release fails"):
        await shop.plan("main")
    assert page(engine) == "mine"


async def test_a_release_is_restored_with_its_own_env_file_and_profiles(
    make_shop: MakeShop, engine: Engine, repo: Repo, flavour: ComposeInstall
) -> None:
    profiled = YAML.replace("    build: .\n", "    build: .\n    profiles: [NAME]\n")
    repo.commit({**FILES, "compose.yaml": profiled.replace("NAME", "web"), "www/index.html": "v1"})
    repo.tag("v1")
    shop = await make_shop(repo, flavour, compose={"profiles": ("web",)})
    await shop.good("v1")
    image = image_of(engine, "web")
    broken = profiled.replace("NAME", "app").replace("/healthz", "/nothing")
    repo.commit({"compose.yaml": broken, "env/prod.env": "A=1\n", "www/index.html": "v2"})
    shop.set_compose(profiles=("app",), env_file="env/prod.env")
    ended = await shop.deploy("main")
    assert ended.state is State.RESTORED, (ended.outcome, ended.tail)
    assert (page(engine), image_of(engine, "web")) == ("v1", image)
    repo.commit({"compose.yaml": profiled.replace("NAME", "app")})
    await shop.good("main")
    assert page(engine) == "v2"
    await shop.good("v1", rollback=True)
    assert (page(engine), image_of(engine, "web")) == ("v1", image)
    assert (await shop.restart()).state is State.SUCCEEDED


NETWORKED = YAML.replace("    volumes:", '    network_mode: "service:web"\n    volumes:', 1)


@with_compose(ONE, FIVE)
async def test_a_service_in_the_network_of_a_restored_one_is_recreated_with_it(
    make_shop: MakeShop, engine: Engine, repo: Repo, flavour: ComposeInstall
) -> None:
    """Its image and settings are as before, but it uses the network of the failed release's container."""
    repo.commit({**FILES, "compose.yaml": NETWORKED, "www/index.html": "v1"})
    repo.tag("v1")
    repo.commit({"compose.yaml": NETWORKED.replace("/healthz", "/nothing")})
    shop = await make_shop(repo, flavour)
    await shop.good("v1")
    ended = await shop.deploy("main")
    assert ended.state is State.RESTORED, (ended.outcome, ended.tail)
    assert "attempt" not in ended.outcome
    host: Any = container(engine, "db")["HostConfig"]
    assert (page(engine), host["NetworkMode"]) == ("v1", f"container:{container(engine, 'web')['Id']}")
