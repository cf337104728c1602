"""A deployment that changes nothing, against one new `ssh server true`."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.console import well
from benchmarks.ground import HEALTH, Ground
from benchmarks.peers import SHARED
from benchmarks.rounds import compared, interleaved
from benchmarks.table import Row
from tests.lab import Sshd

ROUNDS = 21
SCRIPT = "deploy.sh"
_STATE = "readlink current; df -kP .; cat /proc/meminfo"


def app(repo: object, server: Sshd) -> str:
    """Bot.toml for an app whose deploy script is `true`, with an HTTP health gate."""
    return f"""
[apps.shop]
repo = "{repo}"
strategy = "script"
script = "{SCRIPT}"
directory = "{server.home}/shop"
need_disk = "1MB"
health = {{ http = "{HEALTH}", within = "5s" }}
[apps.shop.environments.live]
servers = ["web"]
"""


def rows(ground: Ground) -> Iterator[Row]:
    """The release is on the server already; by full SHA and by branch, each from the typed line to the final card."""
    server = ground.lab.sshd()
    ground.website(server)
    repo, (_, commit) = ground.repo({SCRIPT: "#!/bin/sh\ntrue\n"}, "v1", "v2")
    peers = ground.peers({"web": server})
    with ground.bot({"web": server}, app(repo.path, server)) as bot, bot.console() as console:
        well(console.ask("deploy shop@v1"))

        def shared() -> None:
            peers.ssh(f"{SHARED}web", f"cd {server.home}/shop && {{ {_STATE}; }}")
            peers.ssh(f"{SHARED}web", "sh -s", f"cd {server.home}/shop/releases/{commit} && sh {SCRIPT}")
            peers.ssh(f"{SHARED}web", f"busybox wget -q -O /dev/null {HEALTH}")

        by_sha, by_branch, new, kept = interleaved(
            lambda: well(console.ask(f"deploy shop@{commit}")),
            lambda: well(console.ask("deploy shop@main")),
            lambda: peers.ssh("web", "true"),
            shared,
            rounds=ROUNDS,
        )
    yield compared("no-op deployment, full SHA", by_sha, new, "new `ssh true`", at_most=1.0)
    yield compared("no-op deployment, branch resolved in the repository", by_branch, new, "new `ssh true`", at_most=1.0)
    yield compared(
        "the same, compared with `ssh` on a shared connection", by_sha, kept, "3 shared `ssh` commands", at_most=None
    )
