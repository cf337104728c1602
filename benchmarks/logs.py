"""The log of a container as a file, against `docker -H ssh://… logs`."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bot import Bot
from benchmarks.console import Console, well
from benchmarks.ground import Ground
from benchmarks.rounds import interleaved
from benchmarks.table import Row, mebibytes, seconds
from tests.lab import Engine, LabError

ROUNDS = 5
LINES = 200_000
PARTS = 4
_FASTER = 1.2
_MORE = 20 << 20
_PRINT = (
    'BEGIN { for (n = 1; n <= %d; n++) printf "10.0.%%d.%%d GET /products/%%d?page=%%d 200 %%d bytes in %%d ms, '
    'request 7f3a%%08d of the shop\\n", n %% 256, n %% 199, n %% 9973, n %% 31, n * 7 %% 65536, n %% 977, n }'
)
_APP = """
[apps.{name}]
repo = "/srv/none.git"
strategy = "compose"
directory = "/srv/{name}"
[apps.{name}.environments.live]
servers = ["web"]
"""


def rows(ground: Ground) -> Iterator[Row]:
    """200,000 lines of one container for speed and memory; four such containers in one file for memory."""
    engine = ground.lab.engine()
    _print(engine, "one", "web")
    for number in range(PARTS):
        _print(engine, "four", f"part{number}")
    apps = _APP.format(name="one") + _APP.format(name="four")
    bot = ground.bot({"web": engine.sshd}, apps, docker=["web"])
    peers = ground.peers({"web": engine.sshd})
    with bot, bot.console() as console:
        ours, plain, stamped = interleaved(
            lambda: _fetch(console, "one", LINES),
            lambda: peers.docker("web", "logs", "one-web"),
            lambda: peers.docker("web", "logs", "--timestamps", "one-web"),
            rounds=ROUNDS,
        )
    faster = 1 / ours.to(plain)
    yield Row(
        what=f"`logs … {LINES} file`, one container",
        ours=seconds(ours.median),
        peer=f"{seconds(plain.median)} `docker -H ssh:// logs`",
        ratio=f"{faster:.2f} times as fast",
        target=f"≥ {_FASTER} times",
        met=faster >= _FASTER,
        count=ROUNDS,
    )
    yield Row(
        what="the same, with timestamps like ours",
        ours=seconds(ours.median),
        peer=f"{seconds(stamped.median)} `… logs --timestamps`",
        ratio=f"{1 / ours.to(stamped):.2f} times as fast",
        count=ROUNDS,
    )
    yield _memory(bot, "one", LINES)
    yield _memory(bot, "four", PARTS * LINES)


def _memory(bot: Bot, app: str, lines: int) -> Row:
    """The peak while a log is fetched, above a bot that is connected and has shown a log's last lines before."""
    with bot, bot.console() as console:
        well(console.ask(f"logs {app} 10"))
        bot.idle()
        before = bot.resident
        bot.forget_peak()
        _fetch(console, app, lines)
        more = bot.peak - before
    return Row(
        what=f"peak memory for {lines:,} lines",
        ours=f"{mebibytes(more)} more",
        target=f"< {mebibytes(_MORE)}",
        met=more < _MORE,
        count=1,
    )


def _fetch(console: Console, app: str, lines: int) -> None:
    title = well(console.ask(f"logs {app} {LINES} file"))["title"]
    if f"{lines:,} lines" not in title:
        raise LabError(f"the log is not whole: {title}")


def _print(engine: Engine, app: str, service: str) -> None:
    """A container of an app's Compose project that prints the lines and ends."""
    labels = {
        "com.docker.compose.project": f"{app}-live",
        "com.docker.compose.service": service,
        "com.docker.compose.oneoff": "False",
    }
    words = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    name = f"{app}-{service}"
    engine.docker("run", "--name", name, *words, "--detach", "lab/busybox", "awk", _PRINT % LINES)
    engine.docker("wait", name)
