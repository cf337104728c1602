"""Start, follow and find detached jobs on a server. The server's side is `runner.sh`."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

from deploybot.bounded_memory import BoundedDict
from deploybot.domain import JobChunk, JobState, JobStatus
from deploybot.errors import StepFailed, Unreachable
from deploybot.ssh import remote_shell, ssh_errors
from deploybot.ssh.job_follower import JobFollower, NoAnswer
from deploybot.ssh.runner_answers import RunnerAnswer, parse
from deploybot.ssh.ssh_connection import LONGEST_ANSWER, SshConnection
from deploybot.untrusted_input import Unreadable

LOG_CAP = 67_108_864
FIRST_LOG = 65_536
"""Maximum bytes of log sent with the end of a followed job. `runner.sh` uses the same number."""
_JOB = re.compile(r"[a-z0-9_][a-z0-9._-]{0,79}", re.ASCII)
_REMEMBERED = 8
_LONGEST_PIECE = 2_097_152
_MOST_AT_ONCE = 50
_LONGEST_GRACE = 60
_LOOK_AGAIN = 1.0
Connect = Callable[[], Awaitable[SshConnection]]


class Jobs:
    """The detached jobs of one server. Every call may be repeated: a job id runs only once.

    The session that starts a job stays open until the job ends, so a short job takes one exchange of messages. The last
    results are cached until they are read, because a finished job no longer changes.
    """

    def __init__(self, server: str, connect: Connect, *, log_cap: int = LOG_CAP) -> None:
        """Use `connect` to get the open connection; `log_cap` limits a job's log on the server, in bytes."""
        self._server = server
        self._connect = connect
        self._log_cap = log_cap
        self._followers: dict[str, JobFollower] = {}
        self._ended: BoundedDict[str, RunnerAnswer] = BoundedDict(_REMEMBERED)

    async def start(self, job: str, script: str, env: Mapping[str, str], *, deadline: float) -> JobStatus:
        """Start a job, or return its status if it was already started. A short job has ended when this returns.

        Raises StepFailed with the server's message when it could not take the job. Nothing ran then.
        """
        frame = remote_shell.frame(remote_shell.script(script), env)
        words = (valid(job), len(frame.data), frame.sha256, max(1, math.ceil(deadline)), self._log_cap)
        follower = await self._begin(script, remote_shell.runner().command("start", *words), frame.data)
        if not follower.done:
            self._followers[job] = follower
            return JobStatus(JobState.RUNNING)
        if follower.answer is None:
            return (await self._there(job, 0, 0)).status
        if follower.answer.state == "refused":
            raise self._refused(script, follower.answer.words)
        return await self._status_of(job, follower.answer)

    async def wait(self, job: str, *, timeout: float) -> JobStatus:
        """Return the job's status when it ends or after `timeout` seconds; the log size is unknown while it runs."""
        end = asyncio.get_running_loop().time() + timeout
        follower = self._followers.get(job)
        if follower is not None and not await follower.wait(timeout):
            return JobStatus(JobState.RUNNING)
        ended = self._end(job)
        if ended is not None:
            return await self._status_of(job, ended)
        return await self._wait_there(valid(job), end)

    async def poll(self, job: str, offset: int, *, limit: int) -> JobChunk:
        """Return a job's status and up to `limit` bytes of its log, starting at `offset`."""
        answer = self._end(job)
        if answer is not None and len(answer.data) < FIRST_LOG:
            if offset + limit >= answer.size:
                self._ended.pop(job, None)
            return JobChunk(answer.status, answer.data[offset : offset + limit])
        answer = await self._there(job, offset, min(limit, _LONGEST_PIECE))
        return JobChunk(answer.status, answer.data)

    async def cancel(self, job: str, *, grace: float) -> JobStatus:
        """Stop a job and wait for its end. A job that has not started can't start afterwards."""
        ended = self._end(job)
        if ended is not None:
            return await self._status_of(job, ended)
        connection = await self._connect()
        answer = await connection.ask("cancel", valid(job), min(math.ceil(grace), _LONGEST_GRACE))
        if answer.state == "refused":
            raise self._refused("cancel", answer.words)
        return answer.status

    async def forget(self, jobs: Sequence[str]) -> None:
        """Delete the files of jobs that are not running."""
        for job in jobs:
            self._ended.pop(job, None)
            self._followers.pop(job, None)
        connection = await self._connect()
        for at in range(0, len(jobs), _MOST_AT_ONCE):
            await connection.ask("forget", *map(valid, jobs[at : at + _MOST_AT_ONCE]))

    def close(self) -> None:
        """Stop following all jobs. They keep running."""
        for follower in self._followers.values():
            follower.leave()
        self._followers.clear()

    async def _begin(self, script: str, command: str, data: bytes) -> JobFollower:
        """Return a follower of a job that the server took. Install the runner again if it is missing."""
        connection = await self._connect()
        reason = ""
        for _ in range(2):
            if refusal := await connection.refused():
                raise self._refused(script, refusal)
            follower = JobFollower(connection, command, data)
            try:
                await follower.begin()
            except NoAnswer as problem:
                reason = str(problem)
                connection.lost_runner(reason)
            else:
                return follower
        raise Unreachable(self._server, reason)

    async def _wait_there(self, job: str, end: float) -> JobStatus:
        """Wait for the job in a separate session. Poll every second when too few sessions are free."""
        while True:
            connection = await self._connect()
            left = end - asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(min(left, _LOOK_AGAIN) if connection.crowded else left):
                    async with connection.long_session(remote_shell.runner().command("wait", job)) as exchange:
                        answer = parse(await exchange.rest(LONGEST_ANSWER))
            except TimeoutError:
                answer = None
            status = answer.status if answer is not None else (await self._there(job, 0, 0)).status
            if status.state is not JobState.RUNNING or asyncio.get_running_loop().time() >= end:
                return status

    def _end(self, job: str) -> RunnerAnswer | None:
        """Return the answer that a follower received when the job ended, or None."""
        follower = self._followers.get(job)
        if follower is None or not follower.done:
            return self._ended.get(job)
        self._followers.pop(job)
        self._remember(job, follower.answer)
        return follower.answer

    def _remember(self, job: str, answer: RunnerAnswer | None) -> None:
        """Cache a finished job's answer for the next read, if it holds the whole log."""
        if answer is None or answer.state not in {JobState.DONE, JobState.CANCELLED}:
            return
        if len(answer.data) == answer.size < FIRST_LOG:
            self._ended[job] = answer

    async def _status_of(self, job: str, answer: RunnerAnswer) -> JobStatus:
        """Return an answer's status. Ask the server for the log size when the log is incomplete."""
        self._remember(job, answer)
        return answer.status if len(answer.data) < FIRST_LOG else (await self._there(job, 0, 0)).status

    async def _there(self, job: str, offset: int, limit: int) -> RunnerAnswer:
        connection = await self._connect()
        answer = await connection.ask("poll", valid(job), offset, limit)
        if len(answer.data) > limit:
            raise Unreadable(f"{len(answer.data):,} bytes of log came, but only {limit:,} were requested")
        return answer

    def _refused(self, script: str, words: str) -> StepFailed:
        return StepFailed(self._server, script, ssh_errors.CANNOT_CREATE, (f"Nothing was run: {words}",))


def valid(job: str) -> str:
    """Return a job id if it is safe in a path and an argument. Raises ValueError otherwise."""
    if not _JOB.fullmatch(job):
        raise ValueError(f"{job!r} is not a job id")
    return job
