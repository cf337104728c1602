"""A registry that needs a login, on a server that has none: the one of bot.toml is used, and does not stay."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.domain import State
from deploybot.settings import RegistryLogin
from tests.kit.settings import bot_settings
from tests.lab import Engine, Registry, Repo
from tests.lab.registry import LOGIN
from tests.strategies.compose_shop import (
    ONE,
    PLUGIN,
    ComposeInstall,
    ComposeShop,
    MakeShop,
    image_of,
    make_shop,
    page,
    push,
    trusted,
)

__all__ = ["make_shop", "trusted"]

PULLED = 'services:\n  web:\n    image: {}\n    ports: ["8000:8000"]\n'
BUILT = 'services:\n  web:\n    build: .\n    ports: ["8000:8000"]\n'
OTHERS = {"auths": {"other.example.com": {"auth": "b3RoZXI6"}}, "psFormat": "json"}


def login(host: str, **more: object) -> RegistryLogin:
    table = {"host": host, "user": LOGIN[0], "password": {"env": "P"}, "plain": True, **more}
    return bot_settings(values={"P": LOGIN[1]}, registries={"lab": table}).registries["lab"]


def left(shop: ComposeShop) -> list[Path]:
    """What has the login, anywhere on the server."""
    home = Path(shop.host.env["HOME"])
    assert json.loads((Path(shop.host.env["DOCKER_CONFIG"]) / "config.json").read_text()) == OTHERS
    return [*(home / ".deploybot/logins").glob("*")]


@pytest.fixture(params=[PLUGIN, ONE], ids=["2", "1"])
def flavour(request: pytest.FixtureRequest) -> ComposeInstall:
    assert isinstance(request.param, ComposeInstall)
    return request.param


@pytest.mark.timeout(120)
async def test_a_login_of_bot_toml_is_used_and_does_not_stay(
    make_shop: MakeShop, engine: Engine, trusted: Registry, make_repo: Callable[..., Repo], flavour: ComposeInstall
) -> None:
    repo = make_repo("shop")
    shop = await make_shop(repo, flavour, stable="0s", compose={"source": "images"})
    (Path(shop.host.env["DOCKER_CONFIG"]) / "config.json").write_text(json.dumps(OTHERS))
    for text in ("one", "two"):
        push(engine, trusted, text, tag=text)
        repo.commit({"compose.yaml": PULLED.format(trusted.name("shop", text))})
        repo.tag(text)
    trusted.lock()
    assert (await shop.deploy("one")).state is State.FAILED

    shop.settings.registries["lab"] = login(trusted.address)
    await shop.good("one")
    assert (page(engine), left(shop)) == ("one", [])
    assert LOGIN[1] not in shop.host.said
    if flavour is ONE:
        return
    first = image_of(engine, "web")
    await shop.good("two")
    # An image that was deleted comes back by its digest.
    engine.docker("image", "rm", "--force", first)
    await shop.good("one", rollback=True)
    assert (page(engine), left(shop)) == ("one", [])


@pytest.mark.timeout(120)
async def test_a_build_gets_the_logins_of_registries_that_name_the_app(
    make_shop: MakeShop, engine: Engine, trusted: Registry, make_repo: Callable[..., Repo]
) -> None:
    repo = make_repo("shop")
    shop = await make_shop(repo, stable="0s")
    (Path(shop.host.env["DOCKER_CONFIG"]) / "config.json").write_text(json.dumps(OTHERS))
    push(engine, trusted, "base")
    repo.commit({"compose.yaml": BUILT, "Dockerfile": f"FROM {trusted.name('shop')}\n"})
    trusted.lock()
    shop.settings.registries["lab"] = login(trusted.address)
    assert (await shop.deploy("main")).state is State.FAILED
    shop.settings.registries["lab"] = login(trusted.address, apps=["shop"])
    await shop.good("main")
    assert (page(engine), left(shop)) == ("base", [])
