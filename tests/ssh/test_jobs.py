"""Detached jobs on real servers: each runs once, goes on whatever breaks, and never tells an end that was not."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest

from deploybot.domain import JobState, JobStatus
from deploybot.errors import ServerDown, StepFailed, Unreachable
from deploybot.ssh.ssh_host import SshHost
from tests.conftest import MakeSshd
from tests.lab import FullDisk, Lab, Proxy, Sshd
from tests.ssh.conftest import (
    RUN,
    Reach,
    chance,
    command,
    ended,
    finished,
    nothing_runs,
    server_of,
    through,
    until,
    whole_log,
    words,
)

RUNNING = JobStatus(JobState.RUNNING)


@pytest.fixture(params=["dash", "busybox"])
def server(request: pytest.FixtureRequest) -> Sshd:
    found = request.getfixturevalue({"dash": "sshd", "busybox": "busybox_server"}[request.param])
    assert isinstance(found, Sshd)
    return found


@pytest.fixture
def host(server: Sshd, reach: Reach) -> SshHost:
    return reach(server_of(server))


@pytest.fixture(autouse=True)
async def _nothing_is_left(request: pytest.FixtureRequest, pools: list[object]) -> AsyncIterator[None]:
    """No process of a job outlives its test; what a test before left behind a cut link is not counted."""
    del pools
    boxes = [request.getfixturevalue(name) for name in {"sshd", "busybox_server"} & {*request.fixturenames}]
    before = {pid for box in boxes for pid in box.processes()}
    yield

    def left() -> list[str]:
        return [words(pid) for box in boxes for pid in box.processes() if pid not in before]

    with contextlib.suppress(AssertionError):
        await until(lambda: not left(), within=15)
    assert left() == []


def files(server: Sshd, job: str) -> Path:
    return server.home / ".deploybot/jobs" / job


def runner(server: Sshd, job: str) -> int:
    """The runner's process id, as seen from outside the box."""
    (found,) = [pid for pid in server.processes() if "\0run\0" in words(pid) and job in words(pid) and is_main(pid)]
    return found


def waiters(server: Sshd, job: str) -> list[int]:
    """The processes on the server that wait for the job's end."""
    return [pid for pid in server.processes() if "wait" in words(pid) and job in words(pid)]


async def has_logged(server: Sshd, job: str, log: bytes) -> None:
    """Return once this is in the job's log: a job has only been taken, and not begun, when `start` returns."""
    await until(lambda: log in (files(server, job) / "log").read_bytes())


def release(server: Sshd) -> None:
    """Let a job go on that waits for a file."""
    (server.home / "go").touch()


def is_main(pid: int) -> bool:
    """Whether a process leads its session."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return stat[3] == str(pid)


async def test_a_short_job_has_ended_when_start_returns(host: SshHost, job: str) -> None:
    # On a busy machine even `echo` may take longer than a short job should: one of many is quick.
    names: list[str] = []
    told: list[JobStatus] = []
    while len(names) < 10 or (JobStatus(JobState.DONE, 0, 6) not in told and len(names) < 100):
        names.append(f"{job}-{len(names)}")
        told.append(await host.start(names[-1], RUN, command("echo hello"), deadline=60))
    assert JobStatus(JobState.DONE, 0, 6) in told
    for name in names:
        assert await ended(host, name) == JobStatus(JobState.DONE, 0, 6)
        assert (await host.poll(name, 2, limit=2)).data == b"ll"
        assert (await host.poll(name, 0)).data == b"hello\n"


async def test_a_log_longer_than_what_comes_at_once(host: SshHost, job: str) -> None:
    size = 200_000
    await host.start(job, RUN, command(f"head -c {size} /dev/zero | tr '\\000' x"), deadline=60)
    assert await ended(host, job) == JobStatus(JobState.DONE, 0, size)
    assert await whole_log(host, job) == b"x" * size


async def test_a_job_finds_its_values_and_its_own_name(host: SshHost, server: Sshd, job: str) -> None:
    text = 'echo "$DEPLOYBOT_JOB $GREETING"; pwd; umask; cat; tty || :; ls -l /proc/$$/fd 2>/dev/null | grep -c -e "->"'
    await finished(host, job, text, GREETING="hi")
    log = (await host.poll(job, 0)).data.decode().splitlines()
    assert log[:4] == [f"{job} hi", "/", "0022", "not a tty"]
    # stdin, stdout, stderr, the directory that ls reads or the script that sh reads: nothing of the runner's.
    assert int(log[4]) <= 4
    del server


async def test_a_job_has_a_session_and_signals_of_its_own(host: SshHost, job: str) -> None:
    await finished(host, job, "cut -d' ' -f5,6,7 /proc/self/stat; grep -E '^Sig(Blk|Ign)' /proc/self/status")
    log = (await host.poll(job, 0)).data.decode().splitlines()
    group, session, terminal = log[0].split()
    assert (group == session, terminal) == (True, "0")
    blocked, ignored = (int(line.split()[1], 16) for line in log[1:])
    # busybox ash has SIGQUIT ignored whoever starts it; 32 and 33 are the C library's own, that a shell cannot set.
    others = ~sum(1 << number - 1 for number in (signal.SIGQUIT, 32, 33))
    assert (blocked & others, ignored & others) == (0, 0)


async def test_racing_starters_run_it_once(host: SshHost, server: Sshd, reach: Reach, job: str) -> None:
    starters = [host, *(reach(server_of(server)) for _ in range(3))]
    await asyncio.gather(*(one.facts() for one in starters))
    started = await asyncio.gather(
        *(one.start(job, RUN, command("echo ran; sleep 0.3"), deadline=60) for one in starters * 5)
    )
    assert {status.state for status in started} <= {JobState.RUNNING, JobState.DONE}
    for one in starters:
        assert await ended(one, job) == JobStatus(JobState.DONE, 0, 4)
    assert await whole_log(host, job) == b"ran\n"


async def test_a_job_that_was_started_is_never_started_again(
    host: SshHost, server: Sshd, reach: Reach, job: str
) -> None:
    count = "echo x >>$HOME/count; exit 3"
    first = await finished(host, job, count)
    again = await reach(server_of(server)).start(job, RUN, command(count), deadline=60)
    await host.forget([job])
    late = await reach(server_of(server)).start(job, RUN, command(count), deadline=60)
    assert (first.state, first.code) == (again.state, again.code) == (JobState.DONE, 3)
    assert (late.state, late.detail) == (JobState.LOST, "it ended, and its files were deleted")
    assert (server.home / "count").read_text() == "x\n"
    (server.home / "count").unlink()


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


async def test_a_start_whose_answer_is_lost_with_the_server_may_have_arrived(
    sshd: Sshd, reach: Reach, job: str
) -> None:
    """The job runs, and the connection breaks before the bot knows; no other one can be made."""
    end: object = None
    for number in range(20):
        begun = sshd.home / f"begun-{number}"
        text = f"touch {begun}; while [ ! -e $HOME/go ]; do sleep 0.02; done"
        async with Proxy(sshd.address, sshd.port) as proxy:
            host = reach(through(proxy, sshd))
            await host.facts()
            starting = asyncio.create_task(host.start(f"{job}-{number}", RUN, command(text), deadline=60))
            while not begun.exists():  # noqa: ASYNC110 - a file of the job
                await asyncio.sleep(0.001)
            proxy.refuse()
            proxy.cut()
            (end,) = await asyncio.gather(starting, return_exceptions=True)
        if isinstance(end, ServerDown):
            break  # otherwise the bot was quicker
    assert isinstance(end, ServerDown)
    assert end.broke
    (sshd.home / "go").touch()
    (sshd.home / "go").chmod(0o666)
    await ended(reach(server_of(sshd)), f"{job}-{number}")
    (sshd.home / "go").unlink()


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


async def outcome_of(start: Awaitable[JobStatus]) -> JobStatus | str:
    """A start's status, or why nothing was run."""
    try:
        return await start
    except StepFailed as problem:
        return problem.tail[0]


@pytest.fixture
def small(lab: Lab, make_sshd: MakeSshd) -> tuple[Sshd, FullDisk]:
    """A server where all that deploybot has lies on a disk of one megabyte."""
    server = make_sshd()
    disk = lab.full_disk(sshd=server)
    (server.home / ".deploybot").symlink_to(disk.path)
    return server, disk


async def test_on_a_full_disk_nothing_is_run(small: tuple[Sshd, FullDisk], reach: Reach, job: str) -> None:
    server, disk = small
    server.home.chmod(0o777)
    host = reach(server_of(server))
    await host.facts()
    outcomes = set()
    for pages in range(8):
        disk.fill(leave=pages * 4096)
        ran = server.home / f"ran-{pages}"
        outcome = await outcome_of(finished(host, f"{job}-{pages}", f"touch {ran}"))
        if isinstance(outcome, JobStatus):
            assert (outcome.state, outcome.code, ran.exists()) == (JobState.DONE, 0, True)
        else:
            assert outcome.startswith("Nothing was run: ")
            assert outcome.endswith("is the disk full?")
            assert not ran.exists()
        outcomes.add(type(outcome))
        disk.empty()
    assert outcomes == {str, JobStatus}
    assert (await finished(host, f"{job}-0", "echo hi")).state is JobState.DONE


async def test_a_disk_that_is_full_from_the_start(small: tuple[Sshd, FullDisk], reach: Reach, job: str) -> None:
    server, disk = small
    disk.fill()
    host = reach(server_of(server))
    with pytest.raises(StepFailed) as caught:
        await host.start(job, RUN, command("true"), deadline=60)
    assert caught.value.tail[0].endswith("could not be written whole: is the disk full?")
    assert (await host.facts()).server == "web1"
    disk.empty()
    assert (await finished(host, job, "true")).state is JobState.DONE


async def test_a_disk_that_fills_while_a_job_runs_takes_its_log_and_not_its_end(
    small: tuple[Sshd, FullDisk], reach: Reach, job: str
) -> None:
    server, disk = small
    host = reach(server_of(server))
    text = "while [ ! -e $HOME/go ]; do sleep 0.02; done; echo lost; echo more; exit 7"
    assert await host.start(job, RUN, command(text), deadline=60) == RUNNING
    disk.fill()
    (server.home / "go").touch()
    status = await ended(host, job)
    assert (status.state, status.code, status.detail) == (JobState.DONE, 7, "its log is cut")
    other = reach(server_of(server))
    assert (await other.poll(job, 0)).status == status


async def test_a_runner_that_was_tampered_with_is_not_used(make_sshd: MakeSshd, reach: Reach, job: str) -> None:
    server = make_sshd()
    await finished(reach(server_of(server)), job, "true")
    (file,) = (server.home / ".deploybot").glob("runner-*.sh")
    good = file.read_bytes()
    for bad in (good[: len(good) // 2], good + b"touch $HOME/canary\n", b""):
        file.write_bytes(bad)
        status = await finished(reach(server_of(server)), f"{job}-{len(bad)}", "true")
        assert (status.state, status.code) == (JobState.DONE, 0)
        assert file.read_bytes() == good
    assert not (server.home / "canary").exists()


async def test_a_runner_that_is_deleted_is_put_back(make_sshd: MakeSshd, reach: Reach, job: str) -> None:
    server = make_sshd()
    host = reach(server_of(server))
    await finished(host, job, "true")
    for number, ask in enumerate((host.poll(f"{job}-x", 0), finished(host, f"{job}-y", "true"))):
        (file,) = (server.home / ".deploybot").glob("runner-*.sh")
        file.unlink()
        answer = await ask
        assert number or answer


async def test_what_lies_on_the_server_is_nobody_elses_to_read(make_sshd: MakeSshd, reach: Reach, job: str) -> None:
    server = make_sshd()
    host = reach(server_of(server))
    await finished(host, job, "echo hi")
    place = server.home / ".deploybot"
    for path in (place, *place.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
    await host.forget([job])
    assert sorted(path.name for path in place.rglob("*") if not path.name.startswith("runner-")) == sorted(
        ["jobs", "gone", job]
    )


async def test_only_ids_are_ids(host: SshHost) -> None:
    for bad in ("", ".", "..", "../x", "a/b", "-rf", "a b", "A", "a\n", "a;id", "$(id)", "x" * 81):
        with pytest.raises(ValueError, match="is not a job id"):
            await host.poll(bad, 0)
        with pytest.raises(ValueError, match="is not a job id"):
            await host.start(bad, RUN, command("true"), deadline=60)


async def test_secrets_are_in_the_environment_and_nowhere_else(
    server: Sshd, host: SshHost, reach: Reach, job: str
) -> None:
    canary = f"canary-{job}"
    text = 'test "$TOKEN" = "$EXPECTED$REST" && echo right; while [ ! -e $HOME/go ]; do sleep 0.02; done'
    env = command(text, TOKEN=canary, EXPECTED=canary[:8], REST=canary[8:])
    assert await host.start(job, RUN, env, deadline=60) == RUNNING
    other = reach(server_of(server))
    waiting = asyncio.create_task(other.wait(job, timeout=30))
    await until(lambda: b"right" in (files(server, job) / "log").read_bytes())
    for pid in server.box.pids():
        assert canary not in words(pid)
    for path in server.home.rglob("*"):
        if path.is_file():
            assert canary.encode() not in path.read_bytes(), path
    release(server)
    assert (await waiting).state is JobState.DONE
    (server.home / "go").unlink()
