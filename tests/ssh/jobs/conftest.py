"""Servers for detached jobs, where no process of a job outlives its test."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploybot.domain import JobState, JobStatus
from tests.lab import Sshd
from tests.ssh.conftest import until, words

RUNNING = JobStatus(JobState.RUNNING)


@pytest.fixture(params=["dash", "busybox"])
def server(request: pytest.FixtureRequest) -> Sshd:
    found = request.getfixturevalue({"dash": "sshd", "busybox": "busybox_server"}[request.param])
    assert isinstance(found, Sshd)
    return found


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
