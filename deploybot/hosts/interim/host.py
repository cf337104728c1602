"""ports.Host over the pool: every verb is one command, `runner.sh`, whose arguments are ids and numbers only."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import asyncssh

from deploybot.domain import JobChunk, JobState, JobStatus, ServerFacts
from deploybot.errors import StepFailed, Unreachable
from deploybot.hosts.interim import facts as probe
from deploybot.hosts.interim import http
from deploybot.hosts.answers import Answer, has_started, parse
from deploybot.hosts.interim.problems import explained
from deploybot.hosts.shell import frame, script
from deploybot.hosts.interim.ssh import Pool
from deploybot.hosts.interim.upload import upload

LOG_CAP = 64 * 1024 * 1024
"""Bytes of a job's log kept on the server; the rest is dropped with a note."""
QUICK = 0.15
"""Seconds for which `start` waits: the end of a short job is told at once."""
_CHUNK = 131_072
_HEADERS = 4096
_FORGET_AT_ONCE = 50
_LATE = 5.0

_RUNNER = files("deploybot.hosts").joinpath("runner.sh").read_bytes()
_SUM = hashlib.sha256(_RUNNER).hexdigest()
_FILE = f".deploybot/runner-{_SUM[:12]}.sh"
_IS_THERE = f"cd && sha256sum {_FILE} 2>/dev/null; exit 0"
_INSTALL = (
    "umask 077; cd && mkdir -p .deploybot/jobs .deploybot/gone && cat >.deploybot/new.$$ && "
    f"s=$(sha256sum <.deploybot/new.$$) && [ \"${{s%% *}}\" = {_SUM} ] && mv -f .deploybot/new.$$ {_FILE} && "
    "echo installed; rm -f .deploybot/new.$$"
)


class SshHost:
    """One server."""

    def __init__(self, name: str, pool: Pool) -> None:
        """Take its name in bot.toml and the pool."""
        self._name = name
        self._pool = pool
        self._ready = -1
        self._readying = asyncio.Lock()
        self._tools: dict[str, list[str]] = {}
        self._tools_of = -1

    @property
    def name(self) -> str:
        """The server's name in bot.toml."""
        return self._name

    async def facts(self, directory: str = "", *, timeout: float = 15.0) -> ServerFacts:
        """Probe the server; versions of Docker and Compose are asked once a connection, for they take a while."""
        async with _deadline(self._name, timeout):
            await self._prepare()
            ask = self._tools_of != self._pool.generation(self._name)
            values = {"DEPLOYBOT_DIRECTORY": directory, "DEPLOYBOT_TOOLS": "yes" if ask else "no"}
            output = await self._call("interim_probe", values, timeout=timeout)
        found = probe.parse(output)
        if found is None:
            raise Unreachable(self._name, "its shell did not finish looking around")
        if ask:
            self._tools = {key: found[key] for key in ("docker", "compose", "compose_version") if key in found}
            self._tools_of = self._pool.generation(self._name)
        return probe.facts(self._name, directory, {**found, **self._tools})

    async def upload(self, source: Path, target: str, *, timeout: float = 600.0) -> None:
        """Put a local file at an absolute path over there, whole or not at all."""
        async with _deadline(self._name, timeout):
            connection = await self._pool.connection(self._name)
            try:
                await upload(self._name, connection, source, target)
            except (asyncssh.ConnectionLost, asyncssh.DisconnectError, asyncssh.ChannelOpenError, OSError) as problem:
                raise explained(self._pool.server(self._name), problem) from problem

    async def start(
        self, job: str, script: str, env: Mapping[str, str], *, deadline: float, timeout: float = 30.0
    ) -> JobStatus:
        """Start a detached job once; DONE right away where it ends within 0.15 s."""
        text = _script(script)
        framed = frame(text, env)
        verb = f"start {job} {len(framed.data)} {framed.sha256} {max(1, round(deadline))} {LOG_CAP}"
        async with _deadline(self._name, timeout):
            await self._prepare()
            async with self._pool.process(self._name, _command(verb)) as process:
                process.stdin.write(framed.data)
                process.stdin.write_eof()
                return self._started(await _first_words(process))

    def _started(self, output: bytes) -> JobStatus:
        answer = parse(output)
        if answer is None and has_started(output):
            return JobStatus(JobState.RUNNING)
        return self._checked(answer).status

    async def wait(self, job: str, *, timeout: float) -> JobStatus:
        """Return as soon as the job has ended, or its status after `timeout` seconds."""
        await self._prepare()
        try:
            async with asyncio.timeout(timeout), self._pool.process(self._name, _command(f"wait {job}")) as process:
                return self._checked(parse(await process.stdout.read())).status
        except TimeoutError:
            return (await self.poll(job, 0, limit=0)).status

    async def poll(self, job: str, offset: int, *, limit: int = 262_144, timeout: float = 15.0) -> JobChunk:
        """A job's status, and up to `limit` bytes of its log from `offset`."""
        answer = await self._verb(f"poll {job} {offset} {limit}", timeout=timeout)
        return JobChunk(answer.status, answer.data)

    async def cancel(self, job: str, *, grace: float = 10.0) -> JobStatus:
        """TERM the job's process group, KILL it after `grace` seconds; a job never started can never start."""
        answer = await self._verb(f"cancel {job} {max(1, round(grace))}", timeout=grace * 2 + 30.0)
        return answer.status

    async def forget(self, jobs: Sequence[str]) -> None:
        """Delete the files of jobs that have ended."""
        for start in range(0, len(jobs), _FORGET_AT_ONCE):
            await self._verb("forget " + " ".join(jobs[start : start + _FORGET_AT_ONCE]), timeout=30.0)

    async def http_status(self, url: str, *, timeout: float) -> tuple[int, str]:
        """GET a URL as seen from the server."""
        async with _deadline(url, timeout):
            connection = await self._pool.connection(self._name)
            try:
                return await http.get(connection, url)
            except (OSError, asyncssh.Error) as problem:
                raise explained(self._pool.server(self._name), problem) from problem

    async def tcp_open(self, host: str, port: int, *, timeout: float) -> None:
        """Connect to host:port as seen from the server; Unreachable when refused."""
        async with _deadline(f"{host}:{port}", timeout):
            connection = await self._pool.connection(self._name)
            try:
                _, writer = await connection.open_connection(host, port)
            except asyncssh.ChannelOpenError as problem:
                raise Unreachable(f"{host}:{port}", f"nothing listens on port {port} there") from problem
            except (OSError, asyncssh.Error) as problem:
                raise explained(self._pool.server(self._name), problem) from problem
            writer.close()

    async def stream(self, script: str, env: Mapping[str, str], *, timeout: float) -> AsyncIterator[bytes]:
        """Run a packaged script attached; what it started ends with it when nobody listens any more."""
        framed = frame(_script(script), env)
        await self._prepare()
        verb = f"stream {len(framed.data)} {max(1, round(timeout))}"
        try:
            async with asyncio.timeout(timeout + _LATE), self._pool.process(self._name, _command(verb)) as process:
                process.stdin.write(framed.data)
                while chunk := await process.stdout.read(_CHUNK):
                    yield chunk
                await process.wait_closed()
                if process.exit_status is None:
                    raise Unreachable(self._name, "the connection was lost")
        except TimeoutError as problem:
            raise Unreachable(self._name, f"it did not come to an end within {timeout:.0f} s") from problem

    async def _call(self, name: str, values: Mapping[str, str], *, timeout: float) -> bytes:
        framed = frame(_script(name), values)
        return await self._pool.run(self._name, _command(f"call {len(framed.data)}"), framed.data, timeout=timeout)

    async def _verb(self, verb: str, *, timeout: float) -> Answer:
        async with _deadline(self._name, timeout):
            await self._prepare()
            return self._checked(parse(await self._pool.run(self._name, _command(verb), timeout=timeout)))

    def _checked(self, answer: Answer | None) -> Answer:
        if answer is None:
            raise Unreachable(self._name, "the connection broke before the answer was whole")
        if answer.state == "refused":
            raise StepFailed(self._name, "start", answer.code, (answer.words,))
        return answer

    async def _prepare(self) -> None:
        """Connect, and see that the runner is there, once a connection."""
        await self._pool.connection(self._name)
        if self._ready == self._pool.generation(self._name):
            return
        async with self._readying:
            generation = self._pool.generation(self._name)
            if self._ready == generation:
                return
            there = await self._pool.run(self._name, _IS_THERE, timeout=15.0)
            if there.split()[:1] != [_SUM.encode()]:
                said = await self._pool.run(self._name, _INSTALL, _RUNNER, timeout=15.0)
                if b"installed" not in said:
                    raise StepFailed(self._name, "prepare", 1, ("~/.deploybot cannot be written: is the disk full?",))
            self._ready = generation


def _command(verb: str) -> str:
    return f'exec sh "$HOME/{_FILE}" {verb}'


def _script(name: str) -> str:
    return script(name)


async def _first_words(process: asyncssh.SSHClientProcess[bytes]) -> bytes:
    """What `start` says: until it is over, or has said that the job runs and a moment has passed."""
    output = b""
    while not has_started(output):
        chunk = await process.stdout.read(_HEADERS)
        if not chunk:
            return output
        output += chunk
    try:
        async with asyncio.timeout(QUICK):
            while chunk := await process.stdout.read(_CHUNK):
                output += chunk
    except TimeoutError:
        return output
    return output


class _deadline:  # noqa: N801  it is used as a word
    """A block that ends as Unreachable when its seconds are over."""

    def __init__(self, what: str, seconds: float) -> None:
        self._what = what
        self._seconds = seconds
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)  # type: ignore[arg-type]
        except TimeoutError as problem:
            raise Unreachable(self._what, f"it did not answer within {self._seconds:.0f} s") from problem
