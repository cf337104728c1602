"""Webhooks a second, against Debian's `webhook` (adnanh/webhook) that checks the same signature and runs `true`.

Both get the same requests over the same number of connections, in turns, and both run as whole processes. The bot
answers after a commit with `synchronous=FULL`; `webhook` keeps nothing, and answers when its program has run, or before
that begins. Both are measured, and a webhook counts as taken when its program has run, whoever was answered before.
"""

from __future__ import annotations

import json
import math
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.gauged import WORTH_TELLING
from benchmarks.ground import Ground
from benchmarks.table import Row, seconds
from tests.lab import LabError, until
from tests.webhooks.hammer import Hammered, hammer, requests

COUNT = 3_000
ROUNDS = 3
CONNECTIONS = 400
_SECRET = "d41f0e8c55a94f7f8f7e0f0cb9b6dc10d41f0e8c55a94f7f8f7e0f0cb9b6dc10"  # noqa: S105  opens only the bench
_TIMES_AS_MANY = 1.5
_STARTS_WITHIN = 15.0
_RESTS_WITHIN = 120.0
_MOMENT = 0.2
_NO_LIMIT = 1_000_000
_EARLY = "webhook, answering first"
_BARE = "webhook's bare answers"
_BLOCKED = 0.1
_PATHS = {"deploybot": "/hooks/shop/github", "webhook": "/hooks/bench", _EARLY: "/hooks/early"}
Round = dict[str, Hammered]

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

            def rest() -> None:
                until(lambda: _rests(peer.pid), within=_RESTS_WITHIN, what="webhook's rest")

            def settle() -> None:
                bot.idle(_RESTS_WITHIN)
                rest()

            taken = [_round(number, port, peer_port, settle, rest) for number in range(ROUNDS + 1)][1:]
    finally:
        peer.kill()
        peer.wait()
    yield from _compared(taken)
    yield from _worked_off(ground, secret)


def _round(number: int, port: int, peer_port: int, settle: Callable[[], None], rest: Callable[[], None]) -> Round:
    """One round of each side, every other one backwards. All are at rest before one begins; `rest` is the peer's."""
    found: Round = {}
    for name in [*_PATHS][:: 1 if number % 2 else -1]:
        made = requests(_PATHS[name], _SECRET, COUNT, f"round {number}")
        settle()
        began = time.monotonic()
        found[name] = hammer(port if name == "deploybot" else peer_port, made, CONNECTIONS)
        if name == _EARLY:
            rest()
            found[_BARE] = found[name]
            handled = COUNT / (time.monotonic() - began - _MOMENT)
            found[name] = replace(found[name], rate=handled)
        if found[name].count(200) != COUNT:
            raise LabError(f"{name} did not take all: {found[name].answers}")
    return found


def _worked_off(ground: Ground, secret: Path) -> Iterator[Row]:
    """A rush of events, from its last answer until all were told, and how long the loop was blocked meanwhile."""
    port = _free_port()
    bot = ground.bot({}, _APPS.format(port=port, secret=secret, rate=_NO_LIMIT), program="benchmarks.gauged")
    with bot:
        made = requests(_PATHS["deploybot"], _SECRET, COUNT, "rush")
        bot.idle(_RESTS_WITHIN)
        begun = time.monotonic()
        hammer(port, made, CONNECTIONS)
        answered = time.monotonic()
        bot.idle(_RESTS_WITHIN)
        took = time.monotonic() - answered - _MOMENT
    late = [line.split() for line in (bot.folder / "lag").read_text().splitlines()]
    most = max((float(lag) for at, lag in late if float(at) > begun), default=0.0)
    yield Row(what="events processed a second after a rush", ours=f"{COUNT / took:,.0f}", count=COUNT)
    yield Row(
        what="longest block of the event loop until all are processed",
        ours=seconds(most) if most else f"under {seconds(WORTH_TELLING)}",
        target=f"≤ {seconds(_BLOCKED)}",
        met=most <= _BLOCKED,
        count=COUNT,
    )


def _compared(taken: list[Round]) -> Iterator[Row]:
    """Beside `webhook` when it answers what is done, as the bot does, and when it answers before its program runs."""
    for peer in ("webhook", _EARLY, _BARE):
        ratio = statistics.median(one["deploybot"].rate / one[peer].rate for one in taken)
        yield Row(
            what=f"webhooks a second, each committed, {CONNECTIONS} at once",
            ours=f"{statistics.median(one['deploybot'].rate for one in taken):,.0f}",
            peer=f"{statistics.median(one[peer].rate for one in taken):,.0f} {peer}",
            ratio=f"{ratio:.2f}",
            target=f"≥ {_TIMES_AS_MANY:g}",
            met=ratio >= _TIMES_AS_MANY,
            count=COUNT * len(taken),
        )
    for peer, at_most in (("webhook", 1.0), (_EARLY, 1.0)):
        late, peer_late = (_p99([each for one in taken for each in one[side].times]) for side in ("deploybot", peer))
        yield Row(
            what="a webhook's answer, p99",
            ours=seconds(late),
            peer=f"{seconds(peer_late)} {peer}",
            ratio=f"{late / peer_late:.2f}",
            target=f"≤ {at_most:g}",
            met=late / peer_late <= at_most,
            count=COUNT * len(taken),
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
    # Without this it answers before it starts the program, which is then still to be done.
    done = {**hook, "include-command-output-in-response": True}
    (folder / "hooks.json").write_text(json.dumps([done, {**hook, "id": "early"}]))
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
    time.sleep(_MOMENT)  # rest is that no processor time goes by in an interval
    return ticks() == before


def _listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
