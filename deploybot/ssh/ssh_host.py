"""Implement `ports.Host` over SSH: one server, reached through the pool."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from deploybot.domain import JobChunk, JobStatus, ServerFacts
from deploybot.errors import ServerDown, StepFailed, Unreachable
from deploybot.ssh import http_over_ssh, name_lookup, remote_shell, ssh_errors
from deploybot.ssh import probe_facts as facts_of
from deploybot.ssh.detached_jobs import LOG_CAP, Jobs, valid
from deploybot.ssh.ssh_connection import SshConnection
from deploybot.ssh.ssh_pool import Pool
from deploybot.ssh.ssh_upload import upload
from deploybot.untrusted_input import failure_of

T = TypeVar("T")
LONGEST_FACTS = 1_048_576
_CANCEL = 30.0
_FORGET = 30.0
_WAIT = 15.0
_MOMENT = 1.0
_SERVER_STOPS_AFTER = 2
"""Seconds after a stream's deadline when the server stops the script itself, because the bot may be gone."""
_TAIL = 15
_KEPT_OF_STREAM = 4_096


class SshHost:
    """One server of bot.toml."""

    def __init__(self, name: str, pool: Pool, *, log_cap: int = LOG_CAP, docker: str = "") -> None:
        """Create the host without connecting; `log_cap` limits the log of a job on the server, in bytes.

        `docker` is the Engine socket that all scripts on the server use. If empty, the server chooses it.
        """
        self._name = name
        self._pool = pool
        self._jobs = Jobs(name, self._connection, log_cap=log_cap)
        self._tls = http_over_ssh.TlsContext()
        self._docker = facts_of.DockerFacts()
        self._docker_of: SshConnection | None = None
        self._docker_host = {"DOCKER_HOST": f"unix://{docker}"} if docker else {}

    @property
    def name(self) -> str:
        """Return the server's name in bot.toml."""
        return self._name

    async def facts(self, directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
        """Probe the server in one round trip.

        Asking for Docker's and Compose's versions takes a tenth of a second. The probe asks until they are known, and
        again after a reconnect, but never if `docker` is False. Then it leaves out what only a plan needs, too, because
        each program that it starts counts on a busy server: the listening sockets and, for a directory, the time zone.
        """
        async with self._within(timeout):
            connection = await self._connection()
            if self._docker_of is not connection:
                self._docker, self._docker_of = facts_of.DockerFacts(), connection
            env = {
                "PROBE_DIRECTORY": directory,
                "PROBE_DOCKER": self._docker.wanted if docker else "no",
                "PROBE_DOCKER_ROOT": self._docker.root if docker else "",
                "PROBE_TIME": "yes" if docker or not directory else "no",
                "PROBE_PORTS": "yes" if docker else "no",
            } | self._docker_host
            async with connection.session(remote_shell.READ, remote_shell.program("probe", env)) as exchange:
                output = await exchange.rest(LONGEST_FACTS)
                facts = facts_of.parse(output, server=self._name, directory=directory)
                if facts is None:
                    await exchange.status()
                    raise Unreachable(self._name, ssh_errors.no_answer(output, exchange.errors))
        self._docker = self._docker.learn(facts)
        return self._docker.fill(facts)

    async def upload(self, source: Path, target: str, *, timeout: float = 600.0) -> None:
        """Upload a local file to an absolute path. Send nothing if the content there is the same."""
        async with self._within(timeout):
            await upload(await self._connection(), source, target)

    async def start(
        self, job: str, script: str, env: Mapping[str, str], *, deadline: float, timeout: float = 30.0
    ) -> JobStatus:
        """Start a detached job, only once for repeated calls. A short job has ended when this returns."""
        async with self._within(timeout, job):
            await self._connection()  # if that fails, nothing was sent
            try:
                return await self._jobs.start(job, script, {**env, **self._docker_host}, deadline=deadline)
            except ServerDown as problem:
                raise ServerDown(problem.what, problem.why, hint=problem.hint, broke=True) from problem

    async def wait(self, job: str, *, timeout: float) -> JobStatus:
        """Return the job's status when it ends, or after `timeout` seconds."""
        async with self._within(timeout + _WAIT, job):
            return await self._jobs.wait(job, timeout=timeout)

    async def poll(self, job: str, offset: int, *, limit: int = 262_144, timeout: float = 15.0) -> JobChunk:
        """Return a job's status and up to `limit` bytes of its log, starting at `offset`."""
        async with self._within(timeout, job):
            return await self._jobs.poll(job, offset, limit=limit)

    async def cancel(self, job: str, *, grace: float = 10.0) -> JobStatus:
        """Send TERM to the job's process group, and KILL after `grace` seconds. A job not started yet never starts."""
        async with self._within(grace + _CANCEL, job):
            return await self._jobs.cancel(job, grace=grace)

    async def forget(self, jobs: Sequence[str]) -> None:
        """Delete the files of jobs that have ended."""
        async with self._within(_FORGET, *jobs):
            await self._jobs.forget(jobs)

    async def http_status(self, url: str, *, timeout: float) -> tuple[int, str]:
        """GET an http(s) URL from the server. Return the status code and the first 200 characters."""
        async with self._within(timeout + _MOMENT):
            return await http_over_ssh.get(url, self._opener(timeout), timeout=timeout, tls=self._tls)

    async def tcp_open(self, host: str, port: int, *, timeout: float) -> None:
        """Connect to host:port from the server. Raises Unreachable if that fails."""
        try:
            async with asyncio.timeout(timeout):
                _, writer = await self._opener(timeout)(host, port)
        except TimeoutError as problem:
            raise Unreachable(f"{host}:{port} on {self._name}", f"no answer within {timeout:g} s") from problem
        writer.channel.abort()

    async def stream(self, script: str, env: Mapping[str, str], *, timeout: float) -> AsyncGenerator[bytes, None]:
        """Run a packaged script attached and yield its output, including stderr, as it arrives.

        Closing the iterator stops the script. So does reaching `timeout` seconds, which also ends the output. Raises
        StepFailed if its exit code is not 0, Unreachable if the connection breaks.
        """
        end = asyncio.get_running_loop().time() + timeout
        frame = remote_shell.frame(remote_shell.script(script), {**env, **self._docker_host})
        # If the server were the first to stop it, that would look like a script that failed.
        latest = math.ceil(timeout) + _SERVER_STOPS_AFTER
        command = remote_shell.runner().command("stream", len(frame.data), latest)
        last = b""
        async with AsyncExitStack() as stack:
            async with self._within(timeout):
                connection = await self._connection()
                if refusal := await connection.refused():
                    raise StepFailed(self._name, script, ssh_errors.CANNOT_CREATE, (refusal,))
                exchange = await stack.enter_async_context(connection.long_session(command, frame.data))
            while data := await _before(end, exchange.read()):
                last = (last + data)[-_KEPT_OF_STREAM:]
                yield data
            code = await _before(end, exchange.status())
        if code:
            lines = last.decode("utf-8", "replace").splitlines()[-_TAIL:]
            raise StepFailed(self._name, script, code, tuple(lines))

    def close(self) -> None:
        """Stop following jobs. They keep running."""
        self._jobs.close()

    async def _connection(self) -> SshConnection:
        return await self._pool.connection(self._name)

    def _opener(self, timeout: float) -> http_over_ssh.Open:
        """Return a function that connects from the server. Like sshd, it tries the addresses of a name in order."""

        async def open_(host: str, port: int) -> http_over_ssh.Way:
            *others, last = await name_lookup.addresses(await self._connection(), host)
            each = timeout / (len(others) + 1)
            for address in others:
                with contextlib.suppress(Unreachable):
                    return await self._pool.open_tcp(self._name, address, port, timeout=each)
            return await self._pool.open_tcp(self._name, last, port, timeout=timeout)

        return open_

    @asynccontextmanager
    async def _within(self, seconds: float, *jobs: str) -> AsyncIterator[None]:
        """Limit the time of calls about these jobs. Convert any failure of the server to an error that names it."""
        for job in jobs:
            valid(job)
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as problem:
            if self._pool.silent(self._name):
                raise ssh_errors.silent(self._name, seconds) from problem
            why = f"no answer within {seconds:g} s"
            raise ServerDown(self._name, why, hint="Is it overloaded?", broke=True) from problem
        except Exception as problem:
            raise failure_of(self._name, problem) from problem


async def _before(end: float, waiting: Awaitable[T]) -> T | None:
    """Return the awaited value, or None if the loop's clock reaches `end` first.

    It limits single waits, because a timeout around a generator's body would also interrupt the code that iterates.
    """
    try:
        async with asyncio.timeout_at(end):
            return await waiting
    except TimeoutError:
        return None
