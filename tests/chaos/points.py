"""Failpoints: wrappers around the store, the servers and the repositories that can kill the bot at a chosen call.

The bot's parent holds the other end of a socket. It sends orders, a line each: `kill NAME MOMENT COUNT` has the bot
kill itself with SIGKILL when a call of that name comes to that moment for the COUNTth time from now on, `spare`
takes that back. The bot sends `TIME NAME MOMENT WORDS` for every call, the time in monotonic seconds.

Moments are `before` and `after` a call, `within` a database write (its work is done, nothing is committed), and
`failed`, at which nobody is killed.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from deploybot.domain import Changes, Heads, Holding, JobChunk, JobStatus, NamedRef, Release, ServerFacts, Signature
from deploybot.domain.missing_content import MissingContent
from deploybot.ports import Engine, Host, RefSource, Servers, Store, Tables
from deploybot.settings import App

T = TypeVar("T")
_ORDER_LIMIT = 4096


@dataclasses.dataclass(frozen=True, slots=True)
class Failpoint:
    """A call, a moment of it, and for the how manieth time."""

    name: str
    moment: str
    count: int

    def __str__(self) -> str:
        return f"{self.moment} {self.name} {self.count}"


class Points:
    """The bot's end of the socket: tells of every call, and kills the bot when it is time."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._armed: Failpoint | None = None
        self._counts: Counter[tuple[str, str]] = Counter()

    def take_orders(self) -> None:
        """Follow the first orders now, later ones in a thread of their own, until the parent is gone."""
        self.obey(self._channel.recv(_ORDER_LIMIT))
        threading.Thread(target=self._listen, daemon=True, name="chaos").start()

    def _listen(self) -> None:
        while orders := self._channel.recv(_ORDER_LIMIT):
            self.obey(orders)
        os.kill(os.getpid(), signal.SIGKILL)  # nobody is left who would

    def obey(self, orders: bytes) -> None:
        """Arm or disarm; counting begins anew."""
        for order in orders.decode().splitlines():
            word, *rest = order.split()
            with self._lock:
                self._counts.clear()
                self._armed = Failpoint(rest[0], rest[1], int(rest[2])) if word == "kill" else None

    def reach(self, name: str, moment: str, words: str = "") -> None:
        """Tell that a call is at a moment; the end, where that was the one."""
        with self._lock:
            self._counts[name, moment] += 1
            self._channel.sendall(f"{time.monotonic():.6f} {name} {moment} {words}\n".encode())
            if self._armed == Failpoint(name, moment, self._counts[name, moment]):
                os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def around(self, name: str, words: str = "") -> Iterator[None]:
        """Tell of a call that is made inside."""
        self.reach(name, "before", words)
        try:
            yield
        except BaseException:
            self.reach(name, "failed", words)
            raise
        self.reach(name, "after", words)


class DeadlyStore:
    """`ports.Store` over another one."""

    def __init__(self, store: Store, points: Points) -> None:
        self._store = store
        self._points = points

    @property
    def problem(self) -> str:
        return self._store.problem

    async def write(self, work: Callable[[Tables], T]) -> T:
        def watched(tables: Tables) -> T:
            value = work(tables)
            self._points.reach("store.write", "within")
            return value

        with self._points.around("store.write"):
            return await self._store.write(watched)

    async def read(self, work: Callable[[Tables], T]) -> T:
        with self._points.around("store.read"):
            return await self._store.read(work)


class DeadlyHost:
    """`ports.Host` over another one."""

    def __init__(self, host: Host, points: Points) -> None:
        self._host = host
        self._around = points.around

    @property
    def name(self) -> str:
        return self._host.name

    async def facts(self, directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
        with self._around("host.facts", self.name):
            return await self._host.facts(directory, timeout=timeout, docker=docker)

    async def upload(self, source: Path, target: str, *, timeout: float = 600.0) -> None:
        with self._around("host.upload", self.name):
            await self._host.upload(source, target, timeout=timeout)

    async def start(
        self, job: str, script: str, env: Mapping[str, str], *, deadline: float, timeout: float = 30.0
    ) -> JobStatus:
        with self._around("host.start", f"{self.name} {job}"):
            return await self._host.start(job, script, env, deadline=deadline, timeout=timeout)

    async def wait(self, job: str, *, timeout: float) -> JobStatus:
        with self._around("host.wait", f"{self.name} {job}"):
            return await self._host.wait(job, timeout=timeout)

    async def poll(self, job: str, offset: int, *, limit: int = 262_144, timeout: float = 15.0) -> JobChunk:
        with self._around("host.poll", f"{self.name} {job}"):
            return await self._host.poll(job, offset, limit=limit, timeout=timeout)

    async def cancel(self, job: str, *, grace: float = 10.0) -> JobStatus:
        with self._around("host.cancel", f"{self.name} {job}"):
            return await self._host.cancel(job, grace=grace)

    async def forget(self, jobs: Sequence[str]) -> None:
        with self._around("host.forget", self.name):
            await self._host.forget(jobs)

    async def http_status(self, url: str, *, timeout: float) -> tuple[int, str]:
        with self._around("host.http_status", self.name):
            return await self._host.http_status(url, timeout=timeout)

    async def tcp_open(self, host: str, port: int, *, timeout: float) -> None:
        with self._around("host.tcp_open", self.name):
            await self._host.tcp_open(host, port, timeout=timeout)

    async def stream(self, script: str, env: Mapping[str, str], *, timeout: float) -> AsyncIterator[bytes]:
        with self._around("host.stream", self.name):
            async for chunk in self._host.stream(script, env, timeout=timeout):
                yield chunk


class DeadlyServers:
    """`ports.Servers` over another one."""

    def __init__(self, servers: Servers, points: Points) -> None:
        self._servers = servers
        self._points = points

    def host(self, name: str) -> Host:
        return DeadlyHost(self._servers.host(name), self._points)

    def engine(self, name: str) -> Engine | None:
        return self._servers.engine(name)


class DeadlyRefs:
    """`ports.RefSource` over another one."""

    def __init__(self, refs: RefSource, points: Points) -> None:
        self._refs = refs
        self._around = points.around

    async def resolve(self, app: App, ref: str) -> Release:
        with self._around("refs.resolve"):
            return await self._refs.resolve(app, ref)

    async def changes(self, app: App, old: str, new: str) -> Changes:
        with self._around("refs.changes"):
            return await self._refs.changes(app, old, new)

    async def heads(self, app: App) -> Heads:
        with self._around("refs.heads"):
            return await self._refs.heads(app)

    async def newest(self, app: App) -> tuple[NamedRef, ...]:
        with self._around("refs.newest"):
            return await self._refs.newest(app)

    async def message(self, app: App, commit: str) -> str:
        with self._around("refs.message"):
            return await self._refs.message(app, commit)

    async def touched(self, app: App, old: str, new: str, patterns: Sequence[str]) -> tuple[str, ...] | None:
        with self._around("refs.touched"):
            return await self._refs.touched(app, old, new, patterns)

    async def is_ancestor(self, app: App, old: str, new: str) -> bool | None:
        with self._around("refs.is_ancestor"):
            return await self._refs.is_ancestor(app, old, new)

    async def holding(self, app: App, commit: str) -> Holding:
        with self._around("refs.holding"):
            return await self._refs.holding(app, commit)

    async def signature(self, app: App, commit: str) -> Signature:
        with self._around("refs.signature"):
            return await self._refs.signature(app, commit)

    async def ships(self, app: App, commit: str, paths: Sequence[str]) -> bool:
        with self._around("refs.ships"):
            return await self._refs.ships(app, commit, paths)

    async def unfetched(self, app: App, commit: str) -> MissingContent:
        with self._around("refs.unfetched"):
            return await self._refs.unfetched(app, commit)

    async def bundle(self, app: App, commit: str, have: Sequence[str]) -> Path:
        with self._around("refs.bundle"):
            return await self._refs.bundle(app, commit, have)

    async def archive(self, app: App, commit: str) -> Path:
        with self._around("refs.archive"):
            return await self._refs.archive(app, commit)

    async def artifact(self, app: App, release: Release) -> Path:
        with self._around("refs.artifact"):
            return await self._refs.artifact(app, release)

    async def has_artifact(self, app: App, release: Release) -> bool:
        return await self._refs.has_artifact(app, release)
