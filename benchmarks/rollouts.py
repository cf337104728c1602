"""A roll-out in one batch, against `xargs -P` with one new `ssh` per server and against a loop over the servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.console import well
from benchmarks.ground import Ground
from benchmarks.rounds import compared, interleaved
from benchmarks.table import Row
from tests.lab import Sshd

ROUNDS = 5
FEW, MANY = 20, 50


def rows(ground: Ground) -> Iterator[Row]:
    """Twenty servers whose script takes a second, and fifty whose script is `true`, from the line to the final card."""
    servers = {f"web{number:02d}": ground.lab.sshd() for number in range(1, MANY + 1)}
    for server in servers.values():
        for name in ("slow", "quick"):
            server.box.run("install", "-d", "-o", server.user, f"/run/{name}")
    few = dict(list(servers.items())[:FEW])
    peers = ground.peers(servers)
    repo, _ = ground.repo({"slow.sh": "#!/bin/sh\nsleep 1\n", "quick.sh": "#!/bin/sh\ntrue\n"}, "v1")
    apps = _app("slow", repo.path, few) + _app("quick", repo.path, servers)
    with ground.bot(servers, apps) as bot, bot.console() as console:
        for name in ("slow", "quick"):
            well(console.ask(f"deploy {name}@v1"))
        slow, slow_peer = interleaved(
            lambda: well(console.ask("deploy slow@v1")),
            lambda: peers.at_once(list(few), "sleep 1"),
            rounds=ROUNDS,
        )
        quick, quick_peer = interleaved(
            lambda: well(console.ask("deploy quick@v1")),
            lambda: peers.at_once(list(servers), "true"),
            rounds=ROUNDS,
        )
    yield compared(f"roll-out to {FEW} servers, script of 1 s", slow, slow_peer, f"`xargs -P{FEW} ssh`", at_most=0.8)
    yield compared(f"roll-out to {MANY} servers, `true`", quick, quick_peer, f"`xargs -P{MANY} ssh`", at_most=0.8)


def _app(name: str, repo: object, servers: Mapping[str, Sshd]) -> str:
    """Bot.toml for an app whose deploy script is of that name, on all servers in one batch."""
    names = ", ".join(f'"{one}"' for one in servers)
    return f"""
[apps.{name}]
repo = "{repo}"
strategy = "script"
script = "{name}.sh"
directory = "/run/{name}"
need_disk = "1MB"
[apps.{name}.environments.live]
servers = [{names}]
rollout = {{ batch = "100%" }}
"""
