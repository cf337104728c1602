"""A registry that needs a login, on a server that has none: the one of bot.toml is used, and does not stay."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.domain import State
from deploybot.domain.registry_access import LOGINS, RegistryAccess, logins_text
from deploybot.settings import RegistryLogin
from deploybot.ssh import remote_shell
from tests.kit.settings import bot_settings
from tests.lab import Engine, Registry, Repo
from tests.lab.registry import LOGIN
from tests.strategies.compose_shop import (
    FIVE,
    ONE,
    PLUGIN,
    ComposeInstall,
    ComposeShop,
    MakeShop,
    make_shop,
    page,
    push,
    session,
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


@pytest.mark.parametrize("install", [PLUGIN, ONE, FIVE], ids=["2", "1", "5"])
def test_every_version_of_compose_pulls_with_it(
    engine: Engine, trusted: Registry, tmp_path: Path, install: ComposeInstall
) -> None:
    shell, env = session(tmp_path, install, engine)
    # The server keeps its logins in a program, which has none for this registry.
    helper = tmp_path / "helpers/docker-credential-lab"
    helper.parent.mkdir()
    none = "echo credentials not found in native keychain\nexit 1\n"
    helper.write_text(f'#!/bin/sh\ncat >>{tmp_path}/asked\n[ "$1" != list ] || {{ echo {{}}; exit; }}\n{none}')
    helper.chmod(0o755)
    env["PATH"] = f"{helper.parent}:{env['PATH']}"
    (Path(env["DOCKER_CONFIG"]) / "config.json").write_text(json.dumps(OTHERS | {"credsStore": "lab"}))
    digest = push(engine, trusted, "one")
    trusted.lock()
    made = f"{PULLED.format(trusted.name('shop'))}  made:\n    build: .\n    image: deploybot-lab/made\n"
    (tmp_path / "compose.yaml").write_text(made)
    (tmp_path / "Dockerfile").write_text(f"FROM {trusted.name('shop')}\n")
    env["COMPOSE_DOCKER_CLI_BUILD"] = "0"  # Compose 1 with its own builder
    compose = "docker-compose" if install.alone else "docker compose"
    pull = f"cd '{tmp_path}' && {compose} -f compose.yaml -p shop pull web && docker pull {digest}"
    pull += f" && {compose} -f compose.yaml -p shop build --pull made"
    for logins, works in ({}, False), ({LOGINS: logins_text([RegistryAccess(trusted.address, *LOGIN)])}, True):
        done = subprocess.run(
            [shell, "-c", remote_shell._environment(logins) + pull],
            env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode == 0) == works, done.stderr
    assert [*Path(env["HOME"]).glob(".deploybot/logins/*")] == []


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
