"""A server in memory: detached jobs with outcomes that a test chooses, and a connection that can be cut."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from deploybot.domain import JobChunk, JobState, JobStatus, LocalTime, ServerFacts
from deploybot.errors import ServerDown, Unreachable
from deploybot.ports import Engine

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job runs: its log, and how it ends.

    With `hold` it runs until `FakeHost.finish` or a cancel. `state` is how it ends, so that a test can make an ORPHAN
    or LOST one. `effect` is called with the host and the job's values when the job starts.
    """

    code: int = 0
    log: bytes = b""
    hold: bool = False
    state: JobState = JobState.DONE
    effect: Callable[[FakeHost, Mapping[str, str]], None] | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A job that was really started, with its arguments."""

    job: str
    script: str
    env: Mapping[str, str]
    deadline: float


@dataclass(slots=True)
class _FakeJob:
    status: JobStatus
    log: bytearray = field(default_factory=bytearray)


class FakeHost:
    """`ports.Host`.

    Set `down` to a reason to make every call fail, and `broke` if what was sent may have arrived. `lose(n)` performs
    the next n calls but loses the answers. `started` lists the jobs that were really started, `asked` counts the calls
    of `start` for each id, `uploads` has the uploaded files by path, `http` and `closed` are what a health gate finds.
    """

    def __init__(self, name: str = "web1", facts: ServerFacts | None = None) -> None:
        """Take the server's name, and its facts if the usual ones do not fit."""
        self._name = name
        self.server_facts = facts or ServerFacts(
            home="/home/deploy",
            user="deploy",
            uid=1000,
            system="Linux",
            boot_id="boot-1",
            disk_free=50_000_000_000,
            disk_total=100_000_000_000,
            memory_available=2_000_000_000,
            git=True,
            local_time=LocalTime(zone="UTC", offset=0, short="UTC"),
        )
        self.down = ""
        self.broke = False
        self.started: list[Started] = []
        self.asked: Counter[str] = Counter()
        self.uploads: dict[str, bytes] = {}
        self.http: dict[str, tuple[int, str]] = {}
        self.closed: set[tuple[str, int]] = set()
        self.streams: dict[str, Sequence[bytes]] = {}
        self._outcomes: dict[str, list[Outcome]] = {}
        self._jobs: dict[str, _FakeJob] = {}
        self._lose = 0
        self._changed = asyncio.Event()

    def script(self, name: str, *outcomes: Outcome) -> None:
        """Set how the next jobs of a script run. The last outcome applies to all later jobs. By default all succeed."""
        self._outcomes[name] = list(outcomes)

    def lose(self, answers: int) -> None:
        """Perform the next calls, but raise Unreachable for each: the connection broke before the answer."""
        self._lose = answers

    def cut(self, why: str = "the connection was cut") -> None:
        """Go down, and end all waits for a job with Unreachable. Set `down` to "" to come back."""
        self.down = why
        self._notify()

    def write(self, job: str, log: bytes) -> None:
        """Add output to the log of a running job."""
        self._jobs[job].log += log
        self._notify()

    def finish(self, job: str, *, code: int = 0, state: JobState = JobState.DONE) -> None:
        """End a running job."""
        kept = self._jobs[job]
        if kept.status.state is JobState.RUNNING:
            kept.status = JobStatus(state, code if state is JobState.DONE else -1)
        self._notify()

    @property
    def name(self) -> str:
        """Return the server's name."""
        return self._name

    async def facts(self, directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
        """Return the facts as they are set."""
        del docker  # here all facts are known
        await self._reach(timeout)
        return self._answer(replace(self.server_facts, server=self._name, directory=directory))

    async def upload(self, source: Path, target: str, *, timeout: float = 600.0) -> None:
        """Store the file's content under its path."""
        await self._reach(timeout)
        self.uploads[target] = source.read_bytes()  # noqa: ASYNC240 - a test's small file
        self._answer(None)

    async def start(
        self, job: str, script: str, env: Mapping[str, str], *, deadline: float, timeout: float = 30.0
    ) -> JobStatus:
        """Start a job once, however often this is called with the same id."""
        await self._reach(timeout)
        self.asked[job] += 1
        if job not in self._jobs:
            self._begin(Started(job, script, dict(env), deadline))
        return self._answer(self._status(job))

    async def wait(self, job: str, *, timeout: float) -> JobStatus:
        """Return as soon as the job has ended, or its status after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._reach(timeout)
                while self._status(job).state is JobState.RUNNING:
                    await self._changed.wait()
                    await self._reach(timeout)
        except TimeoutError:
            await self._reach(timeout)
        return self._answer(self._status(job))

    async def poll(self, job: str, offset: int, *, limit: int = 262_144, timeout: float = 15.0) -> JobChunk:
        """Return a job's status, and up to `limit` bytes of its log from `offset`."""
        await self._reach(timeout)
        log = self._jobs[job].log if job in self._jobs else b""
        return self._answer(JobChunk(self._status(job), bytes(log[offset : offset + limit])))

    async def cancel(self, job: str, *, grace: float = 10.0) -> JobStatus:
        """Stop a running job. A job that was never started can never start afterwards."""
        await self._reach(grace)
        kept = self._jobs.setdefault(job, _FakeJob(JobStatus(JobState.CANCELLED)))
        if kept.status.state is JobState.RUNNING:
            kept.status = JobStatus(JobState.CANCELLED)
            self._notify()
        return self._answer(self._status(job))

    async def forget(self, jobs: Sequence[str]) -> None:
        """Forget jobs that have ended."""
        await self._reach(0)
        for job in jobs:
            if self._status(job).state is not JobState.RUNNING:
                self._jobs.pop(job, None)
        self._answer(None)

    async def http_status(self, url: str, *, timeout: float) -> tuple[int, str]:
        """Return the URL's status in `http`, by default 200. Raises Unreachable if it is 0."""
        await self._reach(timeout)
        status, text = self.http.get(url, (200, "ok"))
        if status == 0:
            raise Unreachable(url, text)
        return self._answer((status, text))

    async def tcp_open(self, host: str, port: int, *, timeout: float) -> None:
        """Raise Unreachable for an address in `closed`."""
        await self._reach(timeout)
        if (host, port) in self.closed:
            raise Unreachable(f"{host}:{port}", "the connection was refused")
        self._answer(None)

    async def stream(self, script: str, env: Mapping[str, str], *, timeout: float) -> AsyncIterator[bytes]:
        """Yield the chunks in `streams` for the script."""
        await self._reach(timeout)
        self.started.append(Started("", script, dict(env), timeout))
        for chunk in self.streams.get(script, ()):
            yield chunk

    def _begin(self, started: Started) -> None:
        self.started.append(started)
        outcomes = self._outcomes.get(started.script) or [Outcome()]
        outcome = outcomes.pop(0) if len(outcomes) > 1 else outcomes[0]
        kept = self._jobs[started.job] = _FakeJob(JobStatus(JobState.RUNNING), bytearray(outcome.log))
        if outcome.effect:
            outcome.effect(self, started.env)
        if not outcome.hold:
            kept.status = JobStatus(outcome.state, outcome.code if outcome.state is JobState.DONE else -1)

    def _status(self, job: str) -> JobStatus:
        kept = self._jobs.get(job)
        return replace(kept.status, size=len(kept.log)) if kept else JobStatus(JobState.NEVER)

    async def _reach(self, timeout: float) -> None:
        """Let other tasks run, as every call to a real server does. Raises Unreachable while the server is down."""
        del timeout  # a server in memory answers at once or not at all
        await asyncio.sleep(0)
        if self.down:
            raise ServerDown(self._name, self.down, broke=self.broke)

    def _answer(self, value: T) -> T:
        if self._lose:
            self._lose -= 1
            raise ServerDown(self._name, "the connection broke before the answer came", broke=True)
        return value

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class FakeServers:
    """`ports.Servers`. A test gets one of its hosts by `servers["web1"]`."""

    def __init__(self, hosts: Iterable[FakeHost] = (), engines: Mapping[str, Engine] | None = None) -> None:
        """Take the hosts, and the engines by the name of their server."""
        self._hosts = {host.name: host for host in hosts}
        self._engines = dict(engines or {})

    def __getitem__(self, name: str) -> FakeHost:
        return self._hosts[name]

    def __iter__(self) -> Iterator[FakeHost]:
        return iter(self._hosts.values())

    def host(self, name: str) -> FakeHost:
        """Return the server of that name. Raises KeyError if there is none."""
        return self._hosts[name]

    def engine(self, name: str) -> Engine | None:
        """Return its engine, if it has one."""
        return self._engines.get(name)
