"""Logs from real servers, through the bot's own SSH pool."""

from __future__ import annotations

import asyncio
import gzip
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from deploybot.applogs.deployment_logs import DeploymentLogs
from deploybot.applogs.log_reader import AppLogs
from deploybot.card import Card, Tone
from deploybot.errors import Unreachable, UserError
from deploybot.masking import MASK, Redactor
from deploybot.testing import FakeClock
from tests.conftest import MakeSshd
from tests.lab import Access, Engine, Sshd, until
from tests.status.log_bot import SECRET, KeptLogs, LogReader, always
from tests.status.log_formats import FORMATS
from tests.status.real_servers import RealServers, open_real_servers

SOCKET = "/var/run/docker.sock"
LABELS = ("--label", "com.docker.compose.project=shop-production", "--label", "com.docker.compose.service=web")


@asynccontextmanager
async def reader(
    data: Path, *machines: Sshd, socket: str = "", **app: object
) -> AsyncIterator[tuple[LogReader, RealServers]]:
    async with open_real_servers(data, machines, socket=socket, **app) as made:
        logs = AppLogs(
            made.settings,
            made.servers,
            FakeClock(time.time()),
            Redactor((SECRET,)),
            DeploymentLogs(KeptLogs()),
            may_read=always,
        )
        yield LogReader(logs, made.app, made.environment), made


def log_on(machine: Sshd, *lines: str, name: str = "shop.log") -> Path:
    """Write a log that the server's user may read."""
    path = machine.home / name
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o644)
    return path


def unpacked(card: Card) -> str:
    return gzip.decompress(Path(card.files[0].path).read_bytes()).decode()


def start(engine: Engine, *words: str, name: str = "web") -> str:
    return engine.docker("run", "-d", *LABELS, "--name", name, "lab/busybox:latest", *words).strip()


async def test_the_logs_of_two_servers_are_one_by_time(sshds: Callable[[int], list[Sshd]], tmp_path: Path) -> None:
    first, second = sshds(2)
    log_on(first, "2026-11-21 01:00:01 one", "2026-11-21 01:00:04 four")
    log_on(second, "2026-11-21 01:00:02 two", "  more of two", "2026-11-21 01:00:03 three")
    async with reader(tmp_path, first, second, logs={"command": 'cat "$HOME/shop.log"'}) as (person, _):
        card = await person.show()
    assert card.code == (
        "web1 | 2026-11-21 01:00:01 one",
        "web2 | 2026-11-21 01:00:02 two",
        "web2 |   more of two",
        "web2 | 2026-11-21 01:00:03 three",
        "web1 | 2026-11-21 01:00:04 four",
    )


async def test_since_counts_by_the_clock_of_the_server(make_sshd: MakeSshd, tmp_path: Path) -> None:
    """Two servers in other zones than the bot's, and a log in each of some formats."""
    now = time.time()
    names = ("Asia/Tokyo", "America/New_York")
    machines = [make_sshd(f"zone{number}", access=Access(time_zone=name)) for number, name in enumerate(names)]
    for machine, name in zip(machines, names, strict=True):
        for kind in ("nginx, error", "syslog", "Python", "Apache, error"):
            old, new = (FORMATS[kind].write(datetime.fromtimestamp(now - ago, ZoneInfo(name))) for ago in (1_200, 600))
            log_on(machine, f"{old} old", f"{new} new", name=f"{kind}.log")
            log_on(machine, "one", "two", name="no times.log")
    for kind in ("nginx, error", "syslog", "Python", "Apache, error"):
        async with reader(tmp_path, *machines, logs={"command": f'cat "$HOME/{kind}.log"'}) as (person, _):
            card = await person.show(since=900.0)
            assert [line.rpartition(" ")[2] for line in card.code] == ["new", "new"], (kind, card)
            assert card.lines == ()
    async with reader(tmp_path, *machines, logs={"command": 'cat "$HOME/no times.log"'}) as (person, _):
        card = await person.show(since=900.0)
    assert card.code == ("web1 | one", "web1 | two", "web2 | one", "web2 | two")
    assert [line.name for line in card.lines] == ["web1", "web2"]


async def test_a_file_that_is_not_there_or_not_to_be_read(sshd: Sshd, tmp_path: Path) -> None:
    async with reader(tmp_path, sshd, logs={"file": "/nope"}) as (person, _):
        with pytest.raises(UserError, match="web1: there is no file /nope that the user deploy can see"):
            await person.show()
    async with reader(tmp_path, sshd, logs={"file": "/etc/shadow"}) as (person, _):
        with pytest.raises(UserError, match="web1: the user deploy may not read /etc/shadow"):
            await person.show()


@pytest.mark.parametrize("kind", ["sshd", "busybox_server"])
async def test_a_file_is_followed_and_nothing_stays_behind(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    machine: Sshd = request.getfixturevalue(kind)
    path = log_on(machine, "one", f"two {SECRET}")
    home = Path("/home/deploy") if kind == "busybox_server" else machine.home
    async with reader(tmp_path, machine, logs={"file": str(home / path.name)}) as (person, _):
        task = person.follow()
        await person.until(lambda: f"two {MASK}" in person.lines)
        with path.open("a") as file:
            file.write("three\n")
        await person.until(lambda: "three" in person.lines)
        assert machine.processes()
        person.logs.stop("log-1")
        await task
        await asyncio.to_thread(until, lambda: not machine.processes(), within=10, what="end of tail")


async def test_a_command_of_bot_toml_is_a_log_too(sshd: Sshd, tmp_path: Path) -> None:
    command = 'echo "lines $DEPLOYBOT_LINES"; echo oops >&2; printf "\\377\\000\\033[1mjunk\\n"; exit 3'
    async with reader(tmp_path, sshd, logs={"command": command}) as (person, _):
        card = await person.show(lines=7)
    assert card.code == ("lines 7", "oops", "\ufffdjunk")
    assert card.lines[0].text == "the command that reads the log exited with code 3."


async def test_containers_are_read_through_ssh(engine: Engine, tmp_path: Path) -> None:
    engine.docker("wait", start(engine, "sh", "-c", f"echo one; echo 'two {SECRET}' >&2; exit 1"))
    async with reader(tmp_path, engine.sshd, socket=SOCKET) as (person, _):
        assert sorted((await person.show()).code) == ["one", f"two {MASK}"]
        card = await person.show(file=True)
    text = unpacked(card)
    assert MASK in text
    assert SECRET not in text


async def test_a_container_that_takes_the_place_of_another_is_followed(engine: Engine, tmp_path: Path) -> None:
    old = start(engine, "sh", "-c", "echo old; exec sleep 1000", name="old")
    async with reader(tmp_path, engine.sshd, socket=SOCKET) as (person, _):
        task = person.follow()
        await person.until(lambda: any("old" in line for line in person.lines))
        engine.docker("rm", "-f", old)
        start(engine, "sh", "-c", "echo new; exec sleep 1000", name="new")
        await person.until(lambda: any(line.endswith("new") for line in person.lines))
        person.logs.stop("log-1")
        await task
    assert sum(line.endswith("new") for line in person.lines) == 1


async def test_a_container_that_is_started_again_is_followed_on(engine: Engine, tmp_path: Path) -> None:
    start(engine, "sh", "-c", "echo started; exec sleep 1000")
    async with reader(tmp_path, engine.sshd, socket=SOCKET) as (person, _):
        task = person.follow()
        await person.until(lambda: "started" in person.lines)
        engine.docker("restart", "-t", "0", "web")
        await person.until(lambda: person.lines.count("started") == 2)
        person.logs.stop("log-1")
        await task
    assert person.lines.count("started") == 2


async def test_a_flood_is_survived(engine: Engine, tmp_path: Path) -> None:
    start(engine, "sh", "-c", "yes 'a line of a container that cannot stop'")
    async with reader(tmp_path, engine.sshd, socket=SOCKET) as (person, _):
        task = person.follow()
        await person.until(lambda: any("lines left out" in line for line in person.lines))
        before, worst = resident(), 0.0
        end = time.monotonic() + 4
        while time.monotonic() < end:
            began = time.thread_time()
            await asyncio.sleep(0.01)
            worst = max(worst, time.thread_time() - began)
        person.logs.stop("log-1")
        await task
    engine.docker("kill", "web")
    assert len(person.lines) < 5_000
    assert worst < 0.5
    assert resident() - before < 40e6


async def test_a_script_that_floods_is_held_back_on_its_server(sshd: Sshd, tmp_path: Path) -> None:
    async with reader(tmp_path, sshd, logs={"command": "yes 'a line without end'"}) as (_, made):
        host = made.servers.host("web1")
        await host.facts(docker=False)
        values = {"DEPLOYBOT_COMMAND": "yes 'a line without end'", "DEPLOYBOT_DIRECTORY": "/"}
        before, size = resident(), 0
        async with aclosing(host.stream("logs_command", values, timeout=60)) as chunks:
            async for chunk in chunks:
                size += len(chunk)
                if size > 20_000_000:
                    break
                await asyncio.sleep(0.02)
        assert resident() - before < 20e6


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


async def test_a_connection_that_breaks_is_reported_and_taken_up_again(engine: Engine, tmp_path: Path) -> None:
    start(engine, "sh", "-c", "n=0; while :; do echo line $n; n=$((n+1)); sleep 0.1; done")
    async with reader(tmp_path, engine.sshd, socket=SOCKET) as (person, _):
        task = person.follow()
        await person.until(lambda: "line 0" in person.lines)
        engine.sshd.kill_sessions()
        await person.until(lambda: any(line.startswith("-- web1") for line in person.lines))
        seen = len(person.lines)
        await person.until(lambda: len(person.lines) > seen + 5)
        person.logs.stop("log-1")
        await task
    numbers = [line for line in person.lines if line.startswith("line ")]
    assert numbers == [f"line {number}" for number in range(len(numbers))]


async def test_a_server_that_hangs_costs_only_its_own_lines(engine: Engine, engine2: Engine, tmp_path: Path) -> None:
    for one in (engine, engine2):
        start(one, "sh", "-c", "echo hello; exec sleep 1000")
    async with reader(tmp_path, engine.sshd, engine2.sshd, socket=SOCKET) as (person, _):
        assert (await person.show()).code == ("web1 | hello", "web2 | hello")
        engine2.sshd.pause()
        began = time.monotonic()
        card: Card = await person.show()
        assert time.monotonic() - began < 20
        engine2.sshd.resume()
    assert card.code == ("web1 | hello",)
    assert [(line.name, line.tone) for line in card.lines] == [("web2", Tone.BAD)]


async def test_why_docker_does_not_answer_is_reported_through_ssh(engine: Engine, tmp_path: Path) -> None:
    async with reader(tmp_path, engine.sshd, socket=SOCKET) as (person, _):
        engine.box.run("chmod", "600", "/run/docker.sock")
        with pytest.raises(Unreachable, match="no permission for the socket") as caught:
            await person.show()
        assert "group docker" in caught.value.hint
        engine.box.run("chmod", "660", "/run/docker.sock")
        engine.kill()
        with pytest.raises(Unreachable, match=r"nothing listens at /var/run/docker\.sock"):
            await person.show()
    async with reader(tmp_path, engine.sshd, socket="/nope.sock") as (person, _):
        with pytest.raises(Unreachable, match=r"there is no socket at /nope\.sock"):
            await person.show()


async def test_a_container_without_a_log_is_reported_once_and_left_alone(engine: Engine, tmp_path: Path) -> None:
    engine.docker("run", "-d", *LABELS, "--name", "quiet", "--log-driver", "none", "lab/busybox:latest", "sleep", "100")
    start(engine, "sh", "-c", "i=0; while sleep 0.2; do i=$((i+1)); echo line $i; done", name="loud")
    async with reader(tmp_path, engine.sshd, socket=SOCKET) as (person, _):
        following = person.follow(lines=5)
        began = time.process_time()
        await person.until(lambda: any("line 40" in line for line in person.lines))
        spent = time.process_time() - began
        person.logs.stop("log-1")
        await following
    about = [line for line in person.lines if "quiet" in line]
    assert len(about) == 1, about
    assert "logging driver does not support reading" in about[0]
    assert spent < 4


async def test_a_person_does_not_take_all_sessions_of_a_server(sshd: Sshd, tmp_path: Path) -> None:
    path = log_on(sshd, "one")
    async with reader(tmp_path, sshd, logs={"file": str(sshd.box.account.home / path.name)}) as (viewer, made):
        admin = LogReader(viewer.logs, made.app, made.environment, user="1")
        tasks = [viewer.follow() for _ in range(30)]
        await viewer.until(lambda: "one" in viewer.lines)
        began = time.monotonic()
        assert (await admin.show()).code == ("one",)
        others = admin.follow()
        await admin.until(lambda: "one" in admin.lines)
        assert time.monotonic() - began < 20
        refused = [task.exception() for task in tasks if task.done()]
        assert len(refused) == 29
        assert {str(problem) for problem in refused} == {
            "You are already reading a log on web1. The limit is one per person and server."
        }
        assert {getattr(problem, "hint", "") for problem in refused} == {"`cancel log-1` ends one."}
        for name in ("log-1", "log-31"):
            assert viewer.logs.stop(name)
        await asyncio.gather(*tasks, others, return_exceptions=True)
        again = viewer.follow()
        await viewer.until(lambda: viewer.lines.count("one") > 1)
        viewer.logs.stop("log-32")
        await again
