"""A registry that needs a login, by the whole bot: the server has none, gets one for the pull, and keeps nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from deploybot.domain import State
from deploybot.domain.registry_access import RegistryAccess
from tests.e2e.conftest import RunningBot, ended, open_running_bot, served, server_toml
from tests.e2e.images import YAML, push
from tests.lab import Engine, Registry, Repo, until
from tests.lab.registry import LOGIN

APP = """
[registries.house]
host = "{registry}"
plain = true
user = "{user}"
password = {{ env = "HOUSE_PASSWORD" }}
apps = ["shop"]
[apps.shop]
repo = "{repo}"
strategy = "compose"
directory = "{home}/shop"
need_disk = "1MB"
stable = "0s"
[apps.shop.images.web]
image = "{registry}/acme/shop"
tag = "1.4.2"
[apps.shop.environments.live]
servers = ["web1"]
"""


@pytest.fixture
async def running(
    engine: Engine, registry: Registry, make_repo: Callable[..., Repo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningBot]:
    monkeypatch.setenv("HOUSE_PASSWORD", LOGIN[1])
    engine.trust(registry)
    push(engine, registry, "1.4.2")
    registry.lock()
    repo = make_repo("shop")
    repo.commit({"compose.yaml": YAML}, "The only one")
    server = engine.sshd
    toml = server_toml(server, more='docker = "/var/run/docker.sock"')
    home = f"{server.home}/{tmp_path.name}"
    app = APP.format(repo=repo.url, home=home, registry=registry.address, user=LOGIN[0])
    path = tmp_path / "bot.toml"
    path.write_text(f'[bot]\ndata = "{tmp_path / "data"}"\n{toml}\n{app}')
    async with open_running_bot(path) as made:
        yield made


def read(pid: int, what: str) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{what}").read_bytes().decode(errors="replace")
    return ""


def there(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.exists() else []


@contextmanager
def stalled(engine: Engine, registry: Registry) -> Iterator[None]:
    """Only the Engine waits for the registry's answers."""
    doors = [pid for pid in engine.box.pids() if f"tests.lab.proxy\0{registry.port}\0" in read(pid, "cmdline")]
    assert doors
    # nsenter, outside the box, stops with what it started, and passes on what continues it.
    starters = [int(read(pid, "stat").rpartition(")")[2].split()[1]) for pid in doors]
    for pid in doors:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in (*starters, *doors):
            os.kill(pid, signal.SIGCONT)


async def test_a_pull_gets_the_login_and_a_kill_in_the_middle_leaves_nothing(
    running: RunningBot, engine: Engine, registry: Registry, tmp_path: Path
) -> None:
    folder = engine.sshd.home / ".deploybot/logins"
    auth = RegistryAccess(registry.address, *LOGIN).auth
    own = there(engine.sshd.home / ".docker")

    with stalled(engine, registry):
        first = asyncio.ensure_future(running.deploy("deploy shop"))
        await asyncio.to_thread(until, lambda: there(folder), within=60, what="a pull with logins")
        (job,) = there(folder)
        for pid in engine.sshd.processes():
            if job in read(pid, "cmdline").split("\0") or f"DEPLOYBOT_JOB={job}\0" in read(pid, "environ"):
                os.kill(pid, signal.SIGKILL)
        assert (await first).state is State.FAILED
    ended(await running.deploy("deploy shop"), State.SUCCEEDED)
    assert served(engine.address) == "1.4.2"
    assert there(folder) == []
    assert there(engine.sshd.home / ".docker") == own
    kept = [*engine.sshd.home.rglob("*"), *(tmp_path / "data").rglob("*")]
    texts = {path: path.read_bytes() for path in kept if path.is_file() and not path.is_symlink()}
    assert [path for path, text in texts.items() if auth.encode() in text or LOGIN[1].encode() in text] == []
