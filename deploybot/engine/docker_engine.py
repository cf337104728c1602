"""Implement the port `Engine` for Docker: docker-py in worker threads, streams on the event loop.

An Engine is reached in one of three ways. One is its socket on the server, through the pooled SSH connection (forwarded
for docker-py, with a separate channel for each stream). The others are a Unix socket on the bot's machine, and TCP with
TLS. The API is the Docker Engine API at the newest version both sides know, for Docker 20.10 and later. Podman's
service (`podman system service`; tested: 4.3.1, API 1.41) supports all of it. Its log times have only whole seconds,
every event has an exit code, and image events have no id.

The bot sends only GET requests to an Engine. It creates, starts and removes nothing through it.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlencode

from deploybot.bounded_memory import BoundedDict
from deploybot.domain import Container, EngineEvent, EngineFacts, Image, Usage
from deploybot.engine.docker_errors import explain, unexplained
from deploybot.engine.docker_json import UsageSample, event
from deploybot.engine.docker_socket import EngineSocket, Ssh
from deploybot.engine.log_frames import Frames
from deploybot.engine.stream_connection import EngineAddress, SocketWire, Wire
from deploybot.engine.stream_request import Dial, EngineRefused, get
from deploybot.errors import DeploybotError, EngineError
from deploybot.metrics import METRICS
from deploybot.ports import Host
from deploybot.settings import DockerTls, Server
from deploybot.untrusted_input import Unreadable, json_of, object_of

if TYPE_CHECKING:
    from deploybot.engine.docker_client import Client

T = TypeVar("T")

WITHIN = 8.0
_FAILURES = (OSError, EngineRefused, ValueError)
_THREADS = 8
_APART = 0.5
_RECENT = 15.0
_STALE = 600.0
_REMEMBERED = 500
_LONGEST_EVENT = 65_536
_ASK_WITHIN = 5.0
_LONGEST_WORD = 100
_CALLS_IN_ALL = 3
"""A call that sends several requests gets this many times the timeout of one request."""
_WHY: dict[str, type[OSError]] = {
    "missing": FileNotFoundError,
    "denied": PermissionError,
    "stopped": ConnectionRefusedError,
}

Connect = Callable[[EngineAddress, float, str], "Client"]
"""Makes a client: of an address, with a timeout in seconds, and what to call it in errors."""


def engine(server: Server, ssh: Ssh, host: Host | None = None, *, timeout: float = WITHIN) -> DockerEngine | None:
    """Create the Engine that bot.toml sets for a server, or the one that the server's own `docker` uses.

    `host` is the same server. It finds the Engine's socket, and explains why an Engine does not answer. Without it the
    result may be None. `timeout` limits every answer, in seconds.
    """
    if server.docker is None and host is None:
        return None
    if server.docker and not server.docker.startswith("/"):
        return DockerEngine(server.name, server.docker, tls=server.docker_tls, timeout=timeout)
    remote = EngineSocket(server, ssh, host)
    return DockerEngine(
        server.name, remote.forward, dial=remote.dial, shown=lambda: remote.path, why=remote.why, timeout=timeout
    )


class DockerEngine:
    """One Docker Engine. It connects on first use, and reconnects when its address changes."""

    def __init__(
        self,
        server: str,
        way: str | Callable[[], Awaitable[Path]],
        *,
        dial: Dial | None = None,
        tls: DockerTls | None = None,
        shown: Callable[[], str] | None = None,
        why: Callable[[], Awaitable[str]] | None = None,
        timeout: float = WITHIN,
        connect: Connect | None = None,
    ) -> None:
        """Describe the Engine of `server`.

        `way` is `unix:///path`, `tcp://host:port`, or a function that returns the path of a forwarded socket each time.
        `dial` is an optional shorter way for streams.
        `shown` returns the name of the socket for errors. `why` explains why it does not answer: `missing`, `denied`,
        `stopped` or empty. `timeout` limits every call, and every wait of a stream, in seconds.
        `connect` makes the client, by default the real one.
        """
        self._server = server
        self._what = f"Docker on {server}"
        self._way = way
        self._dial = dial
        self._tls = tls
        self._shown = shown or (lambda: str(way).removeprefix("unix://"))
        self._why = why
        self._timeout = timeout
        self._connect = connect or _connect
        self._lock = asyncio.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"docker-{server}")
        self._address = EngineAddress("")
        self._client: Client | None = None
        self._calls: Counter[Client] = Counter()
        self._samples: BoundedDict[str, UsageSample] = BoundedDict(_REMEMBERED)

    async def close(self) -> None:
        """Drop the connection. Waiting threads end at their own deadline."""
        self._drop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def version(self) -> str:
        """Return the Engine's version, such as `20.10.24`."""
        return await self._call(lambda client: client.version())

    async def info(self) -> EngineFacts:
        """Return the Engine's id, version and data folder."""
        return await self._call(lambda client: client.info())

    async def containers(self, project: str) -> tuple[Container, ...]:
        """Return all containers of a Compose project, including stopped ones, sorted by service and name.

        It lists them in one round trip, then inspects all at the same time: a list shows neither restarts nor times.
        """
        try:
            async with asyncio.timeout(_CALLS_IN_ALL * self._timeout):
                ids = await self._call(lambda client: client.containers(project))
                found = await asyncio.gather(*(self._container(which) for which in ids))
        except TimeoutError as problem:
            raise explain(self._what, self._shown(), problem) from problem
        return tuple(sorted((one for one in found if one), key=lambda one: (one.service, one.name)))

    async def all_containers(self) -> tuple[Container, ...]:
        """Return all containers, sorted by name, in one round trip: without health, restarts and exit codes."""
        found = await self._call(lambda client: client.all_containers())
        return tuple(sorted(found, key=lambda one: one.name))

    async def _container(self, which: str) -> Container | None:
        return await self._call(lambda client: client.container(which))

    async def images(self) -> tuple[Image, ...]:
        """Return all images except intermediate ones."""
        return await self._call(lambda client: client.images())

    async def image(self, reference: str) -> Image | None:
        """Return one image by its id, `name:tag` or `name@sha256:…`, or None if the Engine does not have it."""
        return await self._call(lambda client: client.image(reference))

    async def networks(self) -> tuple[str, ...]:
        """Return the names of all networks."""
        return await self._call(lambda client: client.networks())

    async def volumes(self) -> tuple[str, ...]:
        """Return the names of all volumes."""
        return await self._call(lambda client: client.volumes())

    async def usage(self, container: str, *, quick: bool = False) -> Usage:
        """Return a container's current usage; CPU in per cent of one core.

        CPU is the average between two samples. With `quick` one sample is taken and compared with one of the last ten
        minutes; without such a sample CPU is unknown. Otherwise, if the last sample is too old or too recent, another
        follows half a second later. Docker 20.10 samples at most once a second, so concurrent callers wait.
        """
        before = self._samples.get(container)
        now = await self._sample(container)
        if now.cpu < 0:
            return now.usage(None)
        if before and now.at - before.at > (_STALE if quick else _RECENT):
            before = None
        if not quick and (before is None or now.at - before.at < _APART):
            await asyncio.sleep(_APART)
            before, now = now, await self._sample(container)
        return now.usage(before)

    async def _sample(self, container: str) -> UsageSample:
        sample = self._samples[container] = await self._call(lambda client: client.sample(container))
        return sample

    async def logs(
        self,
        container: str,
        *,
        tail: int | None,
        since: float = 0.0,
        follow: bool = False,
        times: bool = True,
        timeout: float = 600.0,
    ) -> AsyncGenerator[bytes, None]:
        """Yield a container's log as raw chunks of lines, stdout and stderr together.

        It reads only as much as the caller consumes: the rest waits in the Engine. See the port for the arguments.
        """
        query = {"stdout": 1, "stderr": 1, "timestamps": int(times), "tail": "all" if tail is None else tail}
        query |= {"since": f"{since:.9f}"} if since > 0 else {}
        query |= {"follow": 1} if follow else {}
        # With times, the first byte shows whether there are frames. Without, the container must be asked.
        frames = Frames() if times else Frames(framed=not await self._call(lambda client: client.tty(container)))
        target = f"/containers/{quote(container, safe='')}/logs?{urlencode(query)}"
        async with aclosing(self._stream(target, timeout=timeout, endless=follow)) as pieces:
            async for piece in pieces:
                if text := frames.feed(piece):
                    yield text

    async def events(self, *, since: float = 0.0, timeout: float = 3600.0) -> AsyncGenerator[EngineEvent, None]:
        """Yield container and image events from `since` (seconds since the epoch) on, for `timeout` seconds."""
        query = {"filters": json.dumps({"type": ["container", "image"]})}
        query |= {"since": f"{since:.9f}"} if since > 0 else {}
        waiting = b""
        async with aclosing(self._stream(f"/events?{urlencode(query)}", timeout=timeout, endless=True)) as pieces:
            async for piece in pieces:
                *lines, waiting = (waiting + piece).split(b"\n")
                if len(waiting) > _LONGEST_EVENT:
                    raise explain(self._what, self._shown(), Unreadable("an event without end"))
                for line in lines:
                    if line.strip():
                        yield self._event(line)

    def _event(self, line: bytes) -> EngineEvent:
        try:
            return event(object_of(json_of(line)))
        except Unreadable as problem:
            raise explain(self._what, self._shown(), problem) from problem

    async def _stream(self, target: str, *, timeout: float, endless: bool) -> AsyncGenerator[bytes, None]:
        """Yield the body of an answer. An `endless` one may be silent, and ends after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        client = await self._connected()
        try:
            async with get(self._dialled, f"/v{client.api}{target}", timeout=self._timeout) as answer:
                while (left := deadline - loop.time()) > 0:
                    try:
                        async with asyncio.timeout(min(left, self._timeout)):
                            piece = await answer.body()
                    except TimeoutError:
                        if not endless:
                            raise
                        continue
                    if not piece:
                        return
                    yield piece
            if not endless:
                raise TimeoutError
        except _FAILURES as problem:
            raise await self._explained(problem) from problem

    async def _dialled(self) -> Wire:
        return await (self._dial() if self._dial else SocketWire.dial(self._address))

    async def _call(self, work: Callable[[Client], T]) -> T:
        result = "failed"
        try:
            value = await self._called(await self._connected(), work)
            result = "ok"
        except EngineError:
            result = "refused"
            raise
        finally:
            METRICS.docker_calls.add(self._server, result)
        return value

    async def _called(self, client: Client, work: Callable[[Client], T]) -> T:
        """Call `work` with a client. After a failure the next call gets a new one; other running calls keep theirs."""
        self._calls[client] += 1
        try:
            return await self._run(lambda: client.call(work, self._what))
        except _FAILURES as problem:
            if self._client is client:
                self._client = None
            raise await self._explained(problem) from problem
        finally:
            self._calls[client] -= 1
            self._close(client)

    async def _connected(self) -> Client:
        """Return the client. Create a new one after a failure, or when the Engine's address has changed."""
        async with self._lock:
            url = self._way if isinstance(self._way, str) else f"unix://{await self._way()}"
            address = EngineAddress(url, self._tls)
            if self._client is None or address != self._address:
                self._drop()
                try:
                    self._client = await self._run(lambda: self._connect(address, self._timeout, self._what))
                except _FAILURES as problem:
                    raise await self._explained(problem) from problem
                self._address = address
            return self._client

    async def _run(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread, within the timeout."""
        async with asyncio.timeout(self._timeout + 1):
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _drop(self) -> None:
        """Stop using the current client."""
        client, self._client = self._client, None
        if client:
            self._close(client)

    def _close(self, client: Client) -> None:
        """Close a client that is no longer used. Until then its connections may carry answers of other calls."""
        if not self._calls[client]:
            del self._calls[client]
            if client is not self._client:
                client.close()

    async def _explained(self, problem: Exception) -> DeploybotError:
        """Return the error to raise. If SSH only reports a failed socket, ask the server why."""
        if self._why and unexplained(problem):
            try:
                async with asyncio.timeout(_ASK_WITHIN):
                    word = await self._why()
            except (DeploybotError, TimeoutError):
                word = ""
            if word in _WHY:
                problem = _WHY[word](word)
        return explain(self._what, self._shown(), problem)


def _connect(address: EngineAddress, timeout: float, what: str) -> Client:
    """Create a client. Call it in a thread: the import alone takes a tenth of a second."""
    from deploybot.engine.docker_client import Client, attempt  # noqa: PLC0415  only if there is an Engine

    return attempt(lambda: Client(address, timeout), what)
