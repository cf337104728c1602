"""A detached job goes on whatever breaks, and the bot gets its whole log and its end."""

from __future__ import annotations

import asyncio
import hashlib
import time

from deploybot.domain import JobState, JobStatus
from deploybot.errors import Unreachable
from deploybot.ssh.ssh_host import SshHost
from tests.lab import Proxy, Sshd
from tests.ssh.conftest import (
    RUN,
    Reach,
    chance,
    command,
    ended,
    finished,
    server_of,
    through,
    until,
    whole_log,
)
from tests.ssh.jobs.conftest import RUNNING, release, waiters


async def test_a_job_goes_on_without_its_connection(sshd: Sshd, reach: Reach, job: str) -> None:
    async with Proxy(sshd.address, sshd.port) as proxy:
        host = reach(through(proxy, sshd))
        text = (
            "for n in 1 2 3 4 5 6 7 8 9 10; do echo line $n; done; while ! rm $HOME/go; do sleep 0.1; done 2>/dev/null"
        )
        assert await host.start(job, RUN, command(text), deadline=60) == RUNNING
        waiting = asyncio.create_task(host.wait(job, timeout=30))
        await asyncio.sleep(0.2)
        proxy.cut()
        release(sshd)
        assert (await waiting).state is JobState.DONE
        assert await whole_log(host, job) == b"".join(b"line %d\n" % n for n in range(1, 11))


async def test_a_job_goes_on_when_its_sessions_are_killed(sshd: Sshd, reach: Reach, job: str) -> None:
    host = reach(server_of(sshd))
    text = "while [ ! -e $HOME/go ]; do sleep 0.02; done; rm $HOME/go; echo survived"
    assert await host.start(job, RUN, command(text), deadline=60) == RUNNING
    sshd.kill_sessions()
    release(sshd)
    assert await ended(host, job) == JobStatus(JobState.DONE, 0, 9)


async def test_a_bot_that_was_killed_finds_its_job_again(server: Sshd, reach: Reach, job: str) -> None:
    first = reach(server_of(server))
    text = "while [ ! -e $HOME/go ]; do sleep 0.02; done; rm -f $HOME/go; echo there"
    await first.start(job, RUN, command(text), deadline=60)
    await first._pool.drop("web1")
    second = reach(server_of(server))
    assert (await second.poll(job, 0)).status == RUNNING
    release(server)
    assert await ended(second, job) == JobStatus(JobState.DONE, 0, 6)
    assert await whole_log(second, job) == b"there\n"


async def test_every_byte_of_a_log_comes_once_however_often_the_line_is_cut(sshd: Sshd, reach: Reach, job: str) -> None:
    dice, seed = chance()
    size = 5_000_000
    source = sshd.home / "bytes"
    source.write_bytes(dice.randbytes(size))
    source.chmod(0o644)
    log, cuts = b"", 0
    async with Proxy(sshd.address, sshd.port) as proxy:
        host = reach(through(proxy, sshd))
        await host.start(job, RUN, command(f"cat {source}"), deadline=60)
        while len(log) < size:
            most = 900_000 if cuts > 1 else 200_000  # a poll brings 262,144 bytes: the first two cuts are certain
            proxy.cut_after(dice.randrange(40_000, most))
            try:
                log += (await host.poll(job, len(log))).data
            except Unreachable:
                cuts += 1
    assert hashlib.sha256(log).digest() == hashlib.sha256(source.read_bytes()).digest(), seed
    assert cuts > 1, seed
    source.unlink()


async def test_bytes_that_are_no_text_come_as_they_are(host: SshHost, job: str) -> None:
    await finished(host, job, r"printf '\377\376\000\001\200 \033[31m\302\n'")
    assert await whole_log(host, job) == b"\xff\xfe\x00\x01\x80 \x1b[31m\xc2\n"
    assert (await host.facts()).server == "web1"


async def test_waiting_ends_with_the_job_and_not_at_the_next_look(
    server: Sshd, host: SshHost, reach: Reach, job: str
) -> None:
    other = reach(server_of(server))
    await other.facts()
    text = "while [ ! -e $HOME/go ]; do sleep 0.01; done; rm $HOME/go"
    for number in range(3):
        name = f"{job}-{number}"
        await host.start(name, RUN, command(text), deadline=60)
        waiting = [asyncio.create_task(one.wait(name, timeout=30)) for one in (host, other)]
        await asyncio.sleep(0.3)
        release(server)
        began = time.monotonic()
        assert [(await one).state for one in waiting] == [JobState.DONE, JobState.DONE]
        assert time.monotonic() - began < 20


async def test_waiting_leaves_nothing_on_the_server(server: Sshd, host: SshHost, reach: Reach, job: str) -> None:
    other = reach(server_of(server))
    await host.start(job, RUN, command("sleep 1000"), deadline=60)
    assert await other.wait(job, timeout=0.3) == RUNNING
    await until(lambda: not waiters(server, job))
    given_up = asyncio.create_task(other.wait(job, timeout=30))
    await until(lambda: waiters(server, job))
    given_up.cancel()
    await until(lambda: not waiters(server, job))
    left = asyncio.create_task(other.wait(job, timeout=30))
    await until(lambda: waiters(server, job))
    await other._pool.drop("web1")
    left.cancel()
    await until(lambda: not waiters(server, job))
    await host.cancel(job, grace=5)


async def test_a_flood_is_cut_and_the_job_goes_on(server: Sshd, reach: Reach, job: str) -> None:
    cap = 1_000_000
    host = reach(server_of(server), log_cap=cap)
    text = "head -c 20000000 /dev/zero | tr '\\000' x; echo x >$HOME/flooded; exit 4"
    await host.start(job, RUN, command(text), deadline=60)
    status = await ended(host, job)
    assert (status.state, status.code, status.detail) == (JobState.DONE, 4, "its log is cut")
    assert cap - 512 <= status.size < cap + 200
    log = await whole_log(host, job)
    assert log.startswith(b"x" * (cap // 512 * 512))
    assert log.endswith(b"[deploybot] the log is cut here: it is over 1000000 bytes, or the disk is full\n")
    (server.home / "flooded").unlink()
