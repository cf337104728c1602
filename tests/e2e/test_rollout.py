"""A roll-out over three real servers: tasks around it, one that fails, and one that is down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deploybot.domain import State
from tests.conftest import MakeSshd
from tests.e2e.conftest import ended, open_running_bot, server_toml
from tests.lab import Repo, Sshd

APP = """
[apps.shop]
repo = "{repo}"
strategy = "script"
script = "deploy.sh"
directory = "/run/shop"
need_disk = "1MB"
before_switch = ["migrate"]
after_switch = [{{ task = "warm", on = "each" }}]
[apps.shop.tasks]
migrate = 'echo "migrate $(cat version), current $(cat ../../current/version 2>/dev/null)" >>../../log'
warm = 'echo "warm $(cat version)" >>../../log'
[apps.shop.environments.live]
servers = ["web1", "web2", "web3"]
rollout = {{ canary = "web2", batch = 2, pause = "1s", on_down = "skip" }}
"""
DEPLOY = '[ ! -e ../../refuses ] || [ "$(cat version)" = v1 ] || exit 7\necho "switch $(cat version)" >>../../log\n'


def log(server: Sshd) -> list[str]:
    return server.box.run("cat", "/run/shop/log").splitlines()


async def test_a_canary_and_a_batch_with_tasks_a_failure_and_a_server_that_is_down(
    make_sshd: MakeSshd, make_repo: Callable[..., Repo], tmp_path: Path
) -> None:
    servers = {name: make_sshd() for name in ("web1", "web2", "web3")}
    repo = make_repo("shop")
    for name in ("v1", "v2", "v3"):
        repo.commit({"version": f"{name}\n", "deploy.sh": DEPLOY}, f"Release {name}")
        repo.tag(name)
    for server in servers.values():
        server.box.run("install", "-d", "-o", server.user, "/run/shop")
    path = tmp_path / "bot.toml"
    tables = "\n".join(server_toml(server, name) for name, server in servers.items())
    path.write_text(f'[bot]\ndata = "{tmp_path / "data"}"\n{tables}\n{APP.format(repo=repo.url)}')
    async with open_running_bot(path) as bot:
        ended(await bot.deploy("deploy shop@v1"), State.SUCCEEDED)
        assert log(servers["web2"]) == ["migrate v1, current ", "switch v1", "warm v1"]
        assert log(servers["web1"]) == log(servers["web3"]) == ["switch v1", "warm v1"]

        servers["web3"].box.run("touch", "/run/shop/refuses")
        outcome = ended(await bot.deploy("deploy shop@v2"), State.RESTORED)
        assert "Step `switch` failed on web3" in outcome
        assert "migrate and warm have run" in outcome
        assert log(servers["web2"])[3:] == ["migrate v2, current v1", "switch v2", "warm v2", "switch v1"]
        assert {log(server)[-1] for server in servers.values()} <= {"switch v1", "warm v1"}

        servers["web3"].box.run("rm", "/run/shop/refuses")
        servers["web3"].stop()
        servers["web3"].kill_sessions()
        done = await bot.deploy("deploy shop@v3")
        assert done.word == "succeeded, but not on web3"
        servers["web3"].start()
        assert [log(server)[-1] for server in servers.values()] == ["warm v3", "warm v3", "switch v1"]
        ended(await bot.deploy("deploy shop@v3 to live/web3"), State.SUCCEEDED)
        assert log(servers["web3"])[-3:] == ["migrate v3, current v1", "switch v3", "warm v3"]
