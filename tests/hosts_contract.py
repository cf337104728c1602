"""What every `ports.Host` does, the fake and the real one: a subclass gives the fixtures `host` and `work`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from deploybot.domain import JobState, JobStatus
from deploybot.ports import Host

PRINTED = b"one\ntwo\n"


@dataclass(frozen=True, slots=True)
class Task:
    """A script and the values that make it do what the contract needs."""

    script: str
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Work:
    """`prints` prints PRINTED and ends well, `fails` ends with code 3, `slow` runs until it is stopped."""

    prints: Task
    fails: Task
    slow: Task


class HostContract:
    """Detached jobs: each starts once, keeps its log, and ends once."""

    @pytest.fixture
    def job(self) -> str:
        return f"1-f-web1-0-{uuid.uuid4().hex[:8]}"

    async def test_facts_name_the_server(self, host: Host) -> None:
        facts = await host.facts()
        assert facts.server == host.name
        assert facts.home.startswith("/")

    async def test_a_job_that_was_never_started_is_reported_at_once(self, host: Host, job: str) -> None:
        assert await host.wait(job, timeout=20) == JobStatus(JobState.NEVER)
        assert (await host.poll(job, 0)).status == JobStatus(JobState.NEVER)

    async def test_a_job_ends_with_its_code_and_log(self, host: Host, work: Work, job: str) -> None:
        await _start(host, job, work.prints)
        assert await host.wait(job, timeout=20) == JobStatus(JobState.DONE, 0, len(PRINTED))
        chunk = await host.poll(job, 0)
        assert (chunk.status.state, chunk.data) == (JobState.DONE, PRINTED)

    async def test_a_job_that_fails_reports_its_code(self, host: Host, work: Work, job: str) -> None:
        await _start(host, job, work.fails)
        status = await host.wait(job, timeout=20)
        assert (status.state, status.code) == (JobState.DONE, 3)

    async def test_however_often_a_job_is_started_it_runs_once(self, host: Host, work: Work, job: str) -> None:
        await asyncio.gather(*(_start(host, job, work.prints) for _ in range(5)))
        await host.wait(job, timeout=20)
        again = await _start(host, job, work.prints)
        assert again == JobStatus(JobState.DONE, 0, len(PRINTED))
        assert (await host.poll(job, 0)).data == PRINTED

    @pytest.mark.parametrize("limit", [1, 3, 100])
    async def test_a_log_is_read_in_pieces(self, host: Host, work: Work, job: str, limit: int) -> None:
        await _start(host, job, work.prints)
        await host.wait(job, timeout=20)
        data = b""
        while piece := (await host.poll(job, len(data), limit=limit)).data:
            assert len(piece) <= limit
            data += piece
        assert data == PRINTED

    async def test_waiting_is_bounded(self, host: Host, work: Work, job: str) -> None:
        await _start(host, job, work.slow)
        assert (await host.wait(job, timeout=0.2)).state is JobState.RUNNING
        await host.cancel(job, grace=1)

    async def test_a_running_job_can_be_stopped(self, host: Host, work: Work, job: str) -> None:
        await _start(host, job, work.slow)
        waiting = asyncio.create_task(host.wait(job, timeout=20))
        assert (await host.cancel(job, grace=1)).state is JobState.CANCELLED
        assert (await waiting).state is JobState.CANCELLED

    async def test_a_job_stopped_before_it_started_never_starts(self, host: Host, work: Work, job: str) -> None:
        assert (await host.cancel(job, grace=1)).state is JobState.CANCELLED
        assert (await _start(host, job, work.prints)).state is JobState.CANCELLED
        chunk = await host.poll(job, 0)
        assert (chunk.status.state, chunk.data) == (JobState.CANCELLED, b"")

    async def test_stopping_what_has_ended_changes_nothing(self, host: Host, work: Work, job: str) -> None:
        await _start(host, job, work.fails)
        ended = await host.wait(job, timeout=20)
        assert await host.cancel(job, grace=1) == ended

    async def test_jobs_that_have_ended_can_be_forgotten(self, host: Host, work: Work, job: str) -> None:
        slow = job + "-slow"
        await _start(host, job, work.prints)
        await _start(host, slow, work.slow)
        await host.wait(job, timeout=20)
        await host.forget([job, slow, job + "-never"])
        assert (await host.poll(job, 0)).status.state is JobState.NEVER
        assert (await host.poll(slow, 0)).status.state is JobState.RUNNING
        await host.cancel(slow, grace=1)


async def _start(host: Host, job: str, task: Task) -> JobStatus:
    return await host.start(job, task.script, task.env, deadline=60)
