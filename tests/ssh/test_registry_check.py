"""`deploybot check` asks registries from a server, with its own Docker."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from deploybot.check.check_results import CheckState, Row
from deploybot.check.registry_checks import try_logins
from deploybot.settings import Settings
from deploybot.ssh import remote_shell
from tests.kit.settings import bot_settings
from tests.lab import Engine, Registry
from tests.lab.registry import LOGIN
from tests.ssh.conftest import Reach, server_of


def settings(registry: Registry, password: str) -> Settings:
    tables = {
        "lab": {"host": registry.address, "user": LOGIN[0], "password": {"env": "P"}, "plain": True, "apps": "shop"},
        "other": {"host": "other.example.com", "user": "x", "password": {"env": "X"}},
    }
    shop = {"strategy": "compose", "images": {"web": {"image": f"{registry.address}/shop"}}}
    return bot_settings(apps={"shop": shop, "site": {}}, registries=tables, values={"P": password})


def files(engine: Engine) -> set[Path]:
    """What the user has there, without the names of jobs that are gone and the runner."""
    paths = engine.sshd.home.rglob("*")
    return {one for one in paths if one.is_file() and one.parent.name != "gone" and "runner-" not in one.name}


@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
async def test_a_login_is_tried_from_the_server_and_does_not_stay(
    engine: Engine,
    registry: Registry,
    reach: Reach,
    right: bool,
) -> None:
    engine.trust(registry)
    registry.lock()
    before = files(engine)
    host = reach(server_of(engine.sshd))
    known = settings(registry, LOGIN[1] if right else "a-wrong-one")
    rows = [row async for row in try_logins("server web1", known, known.apps.values(), host)]
    if right:
        words = f"lab-user can log in to {registry.address} from there"
        assert rows == [Row("server web1", "registry lab", CheckState.OK, words)]
    else:
        (row,) = rows
        assert (row.what, row.state) == ("registry lab", CheckState.FAILED)
        assert row.text.startswith(f"{registry.address}: ")
        assert "401" in row.text or "nauthorized" in row.text or "denied" in row.text
        assert row.fix.startswith(
            "Is it in `insecure-registries` of Docker there? Check user and password in [registries.lab]"
        )
    assert files(engine) == before


@pytest.mark.parametrize("shell", [["dash"], pytest.param(["busybox", "ash"], marks=pytest.mark.needs("busybox"))])
def test_a_registry_that_hangs_does_not_keep_the_others(tmp_path: Path, shell: list[str]) -> None:
    """Each of these two ends only if the other one is asked, too."""
    docker, fifo = tmp_path / "docker", tmp_path / "fifo"
    os.mkfifo(fifo)
    docker.write_text(f"#!/bin/sh\ncase $2 in slow) read -r x <{fifo} ;; *) echo x >{fifo}; exit 1 ;; esac\n")
    docker.chmod(0o755)
    done = subprocess.run(
        [*shell, "-c", remote_shell.script("registry_login")],
        env={"DEPLOYBOT_REGISTRIES": "slow\nquick", "PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert sorted(done.stdout.splitlines()) == ["quick ", "slow ok"]


async def test_without_a_login_nothing_is_asked(registry: Registry, engine: Engine, reach: Reach) -> None:
    host = reach(server_of(engine.sshd))
    known = settings(registry, LOGIN[1])
    rows = [row async for row in try_logins("server web1", known, [known.apps["site"]], host)]
    assert rows == []
