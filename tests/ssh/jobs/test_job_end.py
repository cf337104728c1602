"""A detached job ends by itself, if cancelled, at its deadline or with its server; no other end is reported."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time

import pytest

from deploybot.domain import JobState
from deploybot.errors import Unreachable
from deploybot.ssh.ssh_host import SshHost
from tests.conftest import MakeSshd
from tests.lab import Sshd
from tests.ssh.conftest import (
    RUN,
    Reach,
    command,
    ended,
    nothing_runs,
    server_of,
    until,
    whole_log,
    words,
)
from tests.ssh.jobs.conftest import files, has_logged, release, runner, waiters


async def test_a_cancelled_job_is_reported_first_and_then_killed(server: Sshd, host: SshHost, job: str) -> None:
    stubborn = 'trap "echo told" TERM; (trap "" TERM; echo ready; sleep 1000) & sleep 1000 & while :; do wait; done'
    await host.start(job, RUN, command(stubborn), deadline=60)
    waiting = asyncio.create_task(host.wait(job, timeout=30))
    await has_logged(server, job, b"ready\n")  # its traps are set
    began = time.monotonic()
    assert (await host.cancel(job, grace=1)).state is JobState.CANCELLED
    assert 1 <= time.monotonic() - began < 20
    assert (await waiting).state is JobState.CANCELLED
    assert b"told\n" in await whole_log(host, job)
    await nothing_runs(server)


async def test_a_job_that_heeds_the_signal_ends_at_once(host: SshHost, job: str) -> None:
    await host.start(job, RUN, command("sleep 1000 & sleep 1000"), deadline=60)
    began = time.monotonic()
    assert (await host.cancel(job, grace=10)).state is JobState.CANCELLED
    assert time.monotonic() - began < 9
    assert (await host.cancel(job, grace=10)).state is JobState.CANCELLED


async def test_cancelling_goes_on_when_the_bot_is_gone(server: Sshd, host: SshHost, reach: Reach, job: str) -> None:
    await host.start(job, RUN, command('trap "" TERM; echo ready; sleep 1000; sleep 1000'), deadline=60)
    await has_logged(server, job, b"ready\n")
    other = reach(server_of(server))
    cancelling = asyncio.create_task(other.cancel(job, grace=3))
    await until((files(server, job) / "cancel").exists)
    await other._pool.drop("web1")
    with pytest.raises(Unreachable):
        await cancelling
    assert (await ended(host, job)).state is JobState.CANCELLED


async def test_starting_and_cancelling_at_once_comes_to_one_end(server: Sshd, host: SshHost, job: str) -> None:
    for number in range(10):
        name = f"{job}-{number}"
        start = host.start(name, RUN, command("sleep 1000"), deadline=60)
        cancel = host.cancel(name, grace=1)
        started, cancelled = await asyncio.gather(start, cancel)
        assert cancelled.state is JobState.CANCELLED
        assert started.state in {JobState.RUNNING, JobState.CANCELLED}
        assert (await host.poll(name, 0)).status.state is JobState.CANCELLED
    await nothing_runs(server)


async def test_a_deadline_ends_a_job_also_without_a_bot(server: Sshd, reach: Reach, job: str) -> None:
    first = reach(server_of(server))
    await first.start(job, RUN, command("echo begun; sleep 1000 & sleep 1000"), deadline=3)
    await first._pool.close()
    second = reach(server_of(server))
    status = await ended(second, job)
    assert (status.state, status.code, status.detail) == (JobState.DONE, 124, "stopped when its time was over")
    assert (await whole_log(second, job)).startswith(b"begun\n\n[deploybot] stopped after its timeout of 3 s\n")


async def test_a_watchdog_dies_with_its_job(server: Sshd, host: SshHost, job: str) -> None:
    await host.start(job, RUN, command("echo done"), deadline=600)
    await nothing_runs(server, within=20)  # without its end it would look again after 30 s


def left_behind(server: Sshd) -> list[int]:
    return [pid for pid in server.processes() if "sleep\x001000" in words(pid)]


async def test_a_program_that_is_left_behind_does_not_hold_up_the_end(server: Sshd, host: SshHost, job: str) -> None:
    await host.start(job, RUN, command("sleep 1000 & echo done"), deadline=60)
    assert (await ended(host, job)).state is JobState.DONE
    assert await whole_log(host, job) == b"done\n"
    await until(lambda: left_behind(server))
    for pid in left_behind(server):
        os.kill(pid, signal.SIGKILL)


async def test_a_runner_that_was_killed_leaves_an_orphan(server: Sshd, host: SshHost, reach: Reach, job: str) -> None:
    await host.start(job, RUN, command("echo begun; sleep 1000"), deadline=60)
    other = reach(server_of(server))
    waiting = asyncio.create_task(other.wait(job, timeout=30))
    await has_logged(server, job, b"begun\n")
    await until(lambda: waiters(server, job))
    os.kill(runner(server, job), signal.SIGKILL)
    for found in (await waiting, await ended(host, job), (await host.poll(job, 0)).status):
        assert found.state is JobState.ORPHAN
        assert "process group" in found.detail
    again = await host.start(job, RUN, command("echo again"), deadline=60)
    assert again.state is JobState.ORPHAN
    await host.forget([job])
    assert (await host.poll(job, 0)).status.state is JobState.ORPHAN
    assert (await host.cancel(job, grace=2)).state is JobState.CANCELLED
    assert await whole_log(host, job) == b"begun\n"
    kill_watchdogs(server)


def kill_watchdogs(server: Sshd) -> None:
    """What a runner that was killed leaves; by itself it looks again after 30 s only."""
    for pid in server.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def test_an_orphan_that_ends_is_lost(server: Sshd, host: SshHost, job: str) -> None:
    await host.start(job, RUN, command("while [ ! -e $HOME/go ]; do sleep 0.01; done; rm $HOME/go"), deadline=60)
    # The name of the group is written before this text is run.
    await until(lambda: any("HOME/go" in words(pid) for pid in server.processes()))
    os.kill(runner(server, job), signal.SIGKILL)
    assert (await ended(host, job)).state is JobState.ORPHAN
    release(server)
    await until(lambda: not (server.home / "go").exists())
    await until(lambda: not any("HOME/go" in words(pid) for pid in server.processes()))
    status = (await host.poll(job, 0)).status
    assert (status.state, status.detail) == (JobState.LOST, "its runner was killed, and nothing of it is left")
    kill_watchdogs(server)


async def test_the_deadline_holds_for_an_orphan_too(server: Sshd, host: SshHost, job: str) -> None:
    await host.start(job, RUN, command("sleep 1000"), deadline=2)
    os.kill(runner(server, job), signal.SIGKILL)
    await until(lambda: not left_behind(server), within=10)


async def test_a_reboot_in_the_middle_is_reported_as_lost(make_sshd: MakeSshd, reach: Reach, job: str) -> None:
    server = make_sshd()
    host = reach(server_of(server))
    await host.start(job, RUN, command("echo begun; sleep 1000"), deadline=60)
    await has_logged(server, job, b"begun\n")
    server.reboot()
    status = await ended(host, job)
    assert (status.state, status.detail) == (JobState.LOST, "the server was restarted while it ran")
    assert await whole_log(host, job) == b"begun\n"
    assert (await host.start(job, RUN, command("echo again"), deadline=60)).state is JobState.LOST
