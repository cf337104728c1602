"""A detached job starts once, or not at all, with its values and with nothing of it readable by others."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable

import pytest

from deploybot.domain import JobState, JobStatus
from deploybot.errors import ServerDown, StepFailed
from deploybot.ssh.ssh_host import SshHost
from tests.conftest import MakeSshd
from tests.lab import FullDisk, Lab, Proxy, Sshd
from tests.ssh.conftest import (
    RUN,
    Reach,
    command,
    ended,
    finished,
    server_of,
    through,
    until,
    whole_log,
    words,
)
from tests.ssh.jobs.conftest import RUNNING, files, release


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
    text = 'echo "$DEPLOYBOT_JOB $GREETING"; pwd; umask; cat; tty || :; ls -l /proc/$$/fd 2>/dev/null'
    await finished(host, job, text, GREETING="hi")
    log = (await host.poll(job, 0)).data.decode().splitlines()
    assert log[:4] == [f"{job} hi", "/", "0022", "not a tty"]
    # stdin, stdout, stderr, the directory that ls reads or the script that sh reads: nothing of the runner's.
    # (Not counted through a pipe: for a moment the shell itself holds both ends of it.)
    assert 3 <= len([line for line in log[4:] if " -> " in line]) <= 4
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
