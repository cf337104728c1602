"""Webhooks a second, against Debian's `webhook` (adnanh/webhook) that checks the same signature and runs `true`.

Both get the same requests over the same number of connections, in turns, and both run as whole processes. The bot
answers after a commit with `synchronous=FULL`; `webhook` keeps nothing.
"""

from __future__ import annotations

import json
import math
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.ground import Ground
from benchmarks.table import Row, seconds
from tests.lab import LabError, until
from tests.webhooks.hammer import Hammered, hammer, requests

COUNT = 4_000
ROUNDS = 5
CONNECTIONS = 400
_SECRET = "d41f0e8c55a94f7f8f7e0f0cb9b6dc10d41f0e8c55a94f7f8f7e0f0cb9b6dc10"  # noqa: S105  opens only the bench
_TIMES_AS_MANY = 1.5
_STARTS_WITHIN = 15.0
_RESTS_WITHIN = 60.0
_MOMENT = 0.2
_NO_LIMIT = 1_000_000
_PATHS = {"deploybot": "/hooks/shop/github", "webhook": "/hooks/bench"}

_APPS = """
[http]
listen = "127.0.0.1:{port}"
rate = {rate}

[servers.web1]
ssh = "deploy@127.0.0.1:22"
agent = true

[apps.shop]
repo = "git@github.com:acme/shop.git"
strategy = "script"
script = "deploy.sh"
directory = "/srv/shop"

[apps.shop.hooks.github]
secret = {{ file = "{secret}" }}

[apps.shop.environments.staging]
servers = ["web1"]
"""


def rows(ground: Ground) -> Iterator[Row]:
    """Both rows, from the same rounds."""
    secret = ground.folder("secret")
    secret.write_text(_SECRET)
    secret.chmod(0o600)
    port, peer_port = _free_port(), _free_port()
    bot = ground.bot({}, _APPS.format(port=port, secret=secret, rate=_NO_LIMIT))
    peer = _start_peer(ground.folder("webhook"), peer_port)
    try:
        with bot:

            def settle() -> None:
                bot.idle()
                until(lambda: _rests(peer.pid), within=_RESTS_WITHIN, what="webhook's rest")

            taken = [_round(number, port, peer_port, settle) for number in range(ROUNDS + 1)][1:]
    finally:
        peer.kill()
        peer.wait()
    yield from _compared([ours for ours, _ in taken], [theirs for _, theirs in taken])


def _round(number: int, port: int, peer_port: int, settle: Callable[[], None]) -> tuple[Hammered, Hammered]:
    """One round of each, every other one the peer first. Both are at rest before either begins.

    Both answer first and work afterwards: the bot hears what it has kept, `webhook` starts its program.
    """
    found: dict[str, Hammered] = {}
    for name in ["deploybot", "webhook"][:: 1 if number % 2 else -1]:
        made = requests(_PATHS[name], _SECRET, COUNT, f"round {number}")
        settle()
        found[name] = hammer(port if name == "deploybot" else peer_port, made, CONNECTIONS)
        if found[name].count(200) != COUNT:
            raise LabError(f"{name} did not take all: {found[name].answers}")
    return found["deploybot"], found["webhook"]


def _compared(ours: list[Hammered], theirs: list[Hammered]) -> Iterator[Row]:
    rate = statistics.median(mine.rate / peer.rate for mine, peer in zip(ours, theirs, strict=True))
    yield Row(
        what=f"webhooks a second, each committed, {CONNECTIONS} at once",
        ours=f"{statistics.median(one.rate for one in ours):,.0f}",
        peer=f"{statistics.median(one.rate for one in theirs):,.0f} webhook, keeps none",
        ratio=f"{rate:.2f}",
        target=f"≥ {_TIMES_AS_MANY:g}",
        met=rate >= _TIMES_AS_MANY,
        count=COUNT * len(ours),
    )
    late, peer_late = (_p99([each for one in side for each in one.times]) for side in (ours, theirs))
    yield Row(
        what="a webhook's answer, p99",
        ours=seconds(late),
        peer=f"{seconds(peer_late)} webhook",
        ratio=f"{late / peer_late:.2f}",
        target="≤ 1",
        met=late <= peer_late,
        count=COUNT * len(ours),
    )


def _p99(times: list[float]) -> float:
    return sorted(times)[math.ceil(len(times) * 0.99) - 1]


def _start_peer(folder: Path, port: int) -> subprocess.Popen[bytes]:
    folder.mkdir()
    hook = {
        "id": "bench",
        "execute-command": "/bin/true",
        "trigger-rule": {
            "match": {
                "type": "payload-hmac-sha256",
                "secret": _SECRET,
                "parameter": {"source": "header", "name": "X-Hub-Signature-256"},
            }
        },
        "trigger-rule-mismatch-http-response-code": 403,
    }
    (folder / "hooks.json").write_text(json.dumps([hook]))
    with (folder / "log").open("wb") as log:
        peer = subprocess.Popen(
            ("webhook", "-hooks", str(folder / "hooks.json"), "-ip", "127.0.0.1", "-port", str(port)),
            stdout=log,
            stderr=log,
        )
    until(lambda: _listens(port), within=_STARTS_WITHIN, what="webhook's start")
    return peer


def _rests(pid: int) -> bool:
    """Whether a process and those it started took no processor time for a moment."""

    def ticks() -> list[str]:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]

    before = ticks()
    time.sleep(_MOMENT)
    return ticks() == before


def _listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
