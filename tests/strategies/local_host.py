"""A host without sshd: packaged scripts as processes of this machine, and the laboratory's Engine beside it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path

from deploybot.domain import JobChunk, JobState, JobStatus, ServerFacts
from deploybot.errors import StepFailed, Unreachable
from deploybot.ports import Engine
from deploybot.ssh.probe_facts import DockerFacts, parse
from deploybot.ssh.remote_shell import program

_CHUNK = 65_536


@dataclass
class LocalJob:
    """A script that was started as a process of its own session."""

    process: asyncio.subprocess.Process
    log: Path
    cancelled: bool = False

    @property
    def status(self) -> JobStatus:
        """How it stands."""
        code, size = self.process.returncode, self.log.stat().st_size
        if code is None:
            return JobStatus(JobState.RUNNING, size=size)
        if self.cancelled:
            return JobStatus(JobState.CANCELLED, size=size)
        return JobStatus(JobState.DONE, code if code >= 0 else 128 - code, size)


@dataclass
class LocalHost:
    """`ports.Host` on this machine. `folder` holds scripts and logs of jobs, `env` is what a session would have.

    `scripts` are the names of all scripts that ran, `said` is all that the jobs printed. `compose_version` takes the
    place of the one that the probe finds. `before` holds what happens once right before a script starts.
    """

    name: str
    folder: Path
    shell: str
    env: Mapping[str, str]
    compose_version: str = ""
    scripts: list[str] = field(default_factory=list)
    before: dict[str, Callable[[], None]] = field(default_factory=dict)
    _jobs: dict[str, LocalJob] = field(default_factory=dict)
    _docker: DockerFacts = field(default_factory=DockerFacts)

    @property
    def said(self) -> str:
        """What the jobs printed that were not forgotten."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    async def facts(self, directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
        """Run the probe; it asks for versions until they are known."""
        asked = {
            "PROBE_DIRECTORY": directory,
            "PROBE_DOCKER": self._docker.wanted if docker else "no",
            "PROBE_DOCKER_ROOT": self._docker.root,
        }
        async with asyncio.timeout(timeout):
            process = await self._process("-s", "deploybot", stdin=asyncio.subprocess.PIPE)
            output, _ = await process.communicate(program("probe", asked))
        facts = parse(output, server=self.name, directory=directory)
        if facts is None:
            raise Unreachable(self.name, output.decode(errors="replace"))
        self._docker = self._docker.learn(facts)
        known = self._docker.fill(facts)
        return replace(known, compose_version=self.compose_version or known.compose_version)

    async def upload(self, source: Path, target: str, *, timeout: float = 600.0) -> None:
        """Copy a file."""
        del timeout
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)

    async def start(
        self, job: str, script: str, env: Mapping[str, str], *, deadline: float, timeout: float = 30.0
    ) -> JobStatus:
        """Start a script once."""
        del timeout
        if job not in self._jobs:
            if script in self.before:
                await asyncio.to_thread(self.before.pop(script))
            log = self.folder / f"{job}.log"
            file = self._write(job, script, env)
            with log.open("wb") as output:
                process = await self._process(str(file), stdout=output.fileno())
            self._jobs[job] = LocalJob(process, log)
            asyncio.get_running_loop().call_later(deadline, self._signal, job, signal.SIGKILL)
        return self._jobs[job].status

    async def wait(self, job: str, *, timeout: float) -> JobStatus:
        """Wait for the end of a job, but not for long."""
        if job not in self._jobs:
            return JobStatus(JobState.NEVER)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._jobs[job].process.wait()
        return self._jobs[job].status

    async def poll(self, job: str, offset: int, *, limit: int = 262_144, timeout: float = 15.0) -> JobChunk:
        """Read the log of a job."""
        del timeout
        if job not in self._jobs:
            return JobChunk(JobStatus(JobState.NEVER))
        one = self._jobs[job]
        status = one.status
        return JobChunk(status, one.log.read_bytes()[offset : offset + limit])

    async def cancel(self, job: str, *, grace: float = 10.0) -> JobStatus:
        """End a job: TERM, later KILL."""
        one = self._jobs[job]
        one.cancelled = one.process.returncode is None
        self._signal(job, signal.SIGTERM)
        if (await self.wait(job, timeout=grace)).state is JobState.RUNNING:
            self._signal(job, signal.SIGKILL)
        return await self.wait(job, timeout=grace)

    async def forget(self, jobs: Sequence[str]) -> None:
        """Keep the logs, for tests to read."""

    async def http_status(self, url: str, *, timeout: float) -> tuple[int, str]:
        """Ask an address of this machine."""

        def get() -> tuple[int, str]:
            try:
                with urllib.request.urlopen(url, timeout=timeout) as reply:  # noqa: S310 - a test's own address
                    return reply.status, reply.read(200).decode(errors="replace")
            except urllib.error.HTTPError as problem:
                return problem.code, ""
            except (OSError, HTTPException) as problem:
                raise Unreachable(url, str(problem)) from problem

        return await asyncio.to_thread(get)

    async def tcp_open(self, host: str, port: int, *, timeout: float) -> None:
        """Connect to an address of this machine."""
        try:
            async with asyncio.timeout(timeout):
                _, writer = await asyncio.open_connection(host, port)
        except OSError as problem:
            raise Unreachable(f"{host}:{port}", str(problem)) from problem
        writer.close()

    async def stream(self, script: str, env: Mapping[str, str], *, timeout: float) -> AsyncIterator[bytes]:
        """Run a script attached."""
        file = self._write(f"attached-{len(self.scripts)}", script, env)
        last = b""
        async with asyncio.timeout(timeout):
            process = await self._process(str(file))
            assert process.stdout
            while data := await process.stdout.read(_CHUNK):
                last = (last + data)[-4096:]
                yield data
            code = await process.wait()
        if code:
            raise StepFailed(self.name, script, code, tuple(last.decode(errors="replace").splitlines()[-15:]))

    def close(self) -> None:
        """Kill what runs still."""
        for job in self._jobs:
            self._signal(job, signal.SIGKILL)

    def _write(self, job: str, script: str, env: Mapping[str, str]) -> Path:
        self.scripts.append(script)
        file = self.folder / f"{job}.sh"
        file.write_bytes(program(script, env))
        return file

    async def _process(
        self, *words: str, stdin: int = asyncio.subprocess.DEVNULL, stdout: int = asyncio.subprocess.PIPE
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            self.shell,
            *words,
            env=dict(self.env),
            cwd="/",
            stdin=stdin,
            stdout=stdout,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )

    def _signal(self, job: str, number: signal.Signals) -> None:
        process = self._jobs[job].process
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)


@dataclass
class LocalServers:
    """`ports.Servers` with one host and its Engine."""

    one: LocalHost
    docker: Engine

    def host(self, name: str) -> LocalHost:
        """The host."""
        assert name == self.one.name
        return self.one

    def engine(self, name: str) -> Engine | None:
        """Its Engine."""
        assert name == self.one.name
        return self.docker
