"""The board of twenty servers, against `ssh` in a loop."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.bot import Bot
from benchmarks.console import Console, Message, well
from benchmarks.ground import HEALTH, Ground
from benchmarks.peers import Peers
from benchmarks.rounds import Times, compared, timed
from benchmarks.table import Row, seconds
from tests.lab import LabError, Sshd

SERVERS = 20
ROUNDS = 5
_WARM = 1 / 30
_COLD = 1 / 10
HANGS = 3
_OTHERS_WITHIN = 1.0
_WHOLE_WITHIN = 5.5
_DIRECTORY = "/run/site"
"""Below `/run`, which each of the laboratory's servers has of its own."""
_PEER = "`ssh` in a loop"


def rows(ground: Ground) -> Iterator[Row]:
    """Cold: a bot just started, no connection open. Warm: asked again. Then with one server that hangs."""
    servers = {f"web{number:02d}": ground.lab.sshd() for number in range(1, SERVERS + 1)}
    for server in servers.values():
        ground.website(server)
        server.box.run("install", "-d", "-o", server.user, _DIRECTORY)
    repo, _ = ground.repo({"index.html": "hello\n"}, "v1")
    bot = ground.bot(servers, _app(repo.path, servers))
    peers = ground.peers(servers)
    with bot, bot.console() as console:
        well(console.ask("deploy site@v1"))
    command = (
        f"cd {_DIRECTORY} 2>/dev/null; readlink current; df -kP .; cat /proc/meminfo; busybox wget -q -O - {HEALTH}"
    )
    names = list(servers)
    cold, warm, loops = _timed(bot, lambda: _loop(peers, names, command))
    yield compared(f"status of {SERVERS} servers, cold", cold, loops, _PEER, at_most=_COLD)
    yield compared(f"status of {SERVERS} servers, warm", warm, loops, _PEER, at_most=_WARM)
    with bot, bot.console() as console:
        yield from _hanging(console, servers["web07"])


def _app(repo: object, servers: dict[str, Sshd]) -> str:
    names = ", ".join(f'"{name}"' for name in servers)
    return f"""
[apps.site]
repo = "{repo}"
strategy = "files"
directory = "{_DIRECTORY}"
need_disk = "1MB"
health = {{ http = "{HEALTH}", within = "5s" }}
[apps.site.environments.live]
servers = [{names}]
"""


def _timed(bot: Bot, loop: Callable[[], None]) -> tuple[Times, Times, Times]:
    """Each round a bot that has connected to nobody yet is asked, then asked again, then comes the loop."""
    cold, warm, loops = [], [], []
    for _ in range(ROUNDS):
        with bot, bot.console() as console:
            bot.idle()
            cold.append(timed(partial(_ask, console)))
            bot.idle()
            warm.append(timed(partial(_ask, console)))
        loops.append(timed(loop))
    return Times(tuple(cold)), Times(tuple(warm)), Times(tuple(loops))


def _loop(peers: Peers, names: list[str], command: str) -> None:
    for name in names:
        peers.ssh(name, command)


def _ask(console: Console) -> Message:
    card = well(console.ask("status"))
    if len(card["lines"]) != SERVERS:
        raise LabError(f"the board has {len(card['lines'])} lines")
    return card


def _hanging(console: Console, server: Sshd) -> Iterator[Row]:
    """Stop one server as a process is stopped: its connection stays open, and nothing answers."""
    _ask(console)
    before = statistics.median(timed(partial(_ask, console)) for _ in range(ROUNDS))
    server.pause()
    try:
        others, whole = zip(*(_timed_cards(console) for _ in range(HANGS)), strict=True)
    finally:
        server.resume()
    peer = f"{seconds(before)} when none hangs"
    yield Row(
        what=f"status, one of {SERVERS} servers hangs: the others' lines",
        ours=seconds(statistics.median(others)),
        peer=peer,
        target=f"≤ {seconds(_OTHERS_WITHIN)}",
        met=statistics.median(others) <= _OTHERS_WITHIN,
        count=HANGS,
    )
    yield Row(
        what="the same: its own line, too",
        ours=seconds(statistics.median(whole)),
        peer=peer,
        target=f"≤ {seconds(_WHOLE_WITHIN)}",
        met=max(whole) <= _WHOLE_WITHIN,
        count=HANGS,
    )


def _timed_cards(console: Console) -> tuple[float, float]:
    """The seconds until the first card, which holds everybody else, and until the last."""
    began = time.perf_counter()
    after = [time.perf_counter() - began for card in console.cards("status") if len(card["lines"]) == SERVERS]
    return after[0], after[-1]
