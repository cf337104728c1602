"""Implement `ports.Store`: only one thread ever uses the database.

Writes that wait together share one durable commit, each in its own savepoint. Their callers continue only after the
commit. Reads run between commits, so they never see uncommitted changes.
"""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

from deploybot.errors import StoreDown, StoreError
from deploybot.masking import Redactor
from deploybot.ports import Tables
from deploybot.store.database_connection import Way
from deploybot.store.database_writer import Job, Writer

T = TypeVar("T")
_GROUP = 256
_OPEN_SECONDS = 60.0
_PROBE_SECONDS = 1.0


class Database:
    """A database file, opened by `open` or `async with`. Use it in the event loop that opened it."""

    def __init__(
        self,
        path: Path,
        redactor: Redactor | None = None,
        *,
        durable: bool = True,
        answer_within: float = 30.0,
        copy_every: float = 3600.0,
        way: Way | None = None,
    ) -> None:
        """Take the file, which the first opening creates. `durable=False` does not wait for the disk: for tests only.

        A caller waits at most `answer_within` seconds. A changed database is backed up every `copy_every` seconds.
        `way` overrides the connection's defaults. `redactor` masks cards, reports and the audit when they are written;
        without one, only secrets with a known form are masked.
        """
        self.path = path
        self._wake: Callable[[], None] | None = None
        self.redactor = redactor or Redactor()
        self._writer = Writer(path, way or Way(durable=durable), self.redactor)
        self._answer_within = answer_within
        self._copy_every = copy_every
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Future[None] | None = None

    @property
    def problem(self) -> str:
        """Return why the last write failed and how to fix it, while writes fail; empty if healthy."""
        return self._writer.problem

    @property
    def healthy(self) -> bool:
        """Return whether writes succeed."""
        return not self._writer.problem

    @property
    def commits(self) -> int:
        """Return the number of commits, which is lower than the number of writes if writes shared one."""
        return self._writer.commits

    def connect_workers(self, wake: Callable[[], None] | None) -> None:
        """Call `wake` after each commit that queued a message or a report, or added to the audit; None stops that.

        The workers that are woken need the database first. `wake` runs in the event loop that opened it.
        """
        self._wake = wake

    async def open(self) -> None:
        """Open, check, back up and migrate the database, then start the thread. Raises StoreError with a fix."""
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        ended: asyncio.Future[None] = self._loop.create_future()
        threading.Thread(target=self._main, args=(opened, ended), name="deploybot-store", daemon=True).start()
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                await opened
        except TimeoutError as error:
            self._queue.put(None)
            raise StoreError(
                f"the database {self.path} could not be opened within {_OPEN_SECONDS:.0f} s: check this machine's disk"
            ) from error
        except asyncio.CancelledError:
            self._queue.put(None)
            raise
        self._ended = ended

    async def aclose(self, *, within: float = 10.0) -> None:
        """Finish the queued work, then close. Give up after `within` seconds. A second call does nothing."""
        ended, self._ended = self._ended, None
        if ended is not None:
            self._queue.put(None)
            with suppress(TimeoutError):
                await asyncio.wait_for(ended, within)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def write(self, work: Callable[[Tables], T]) -> T:
        """Run `work` in one transaction; return after the durable commit. An exception in `work` undoes it.

        Raises StoreError if nothing can be stored. Work whose caller is cancelled before it started is skipped.
        """
        return await self._ask(work, writes=True)

    async def read(self, work: Callable[[Tables], T]) -> T:
        """Run `work` on a consistent read-only view."""
        return await self._ask(work, writes=False)

    async def _ask(self, work: Callable[[Tables], T], *, writes: bool) -> T:
        if self._ended is None or self._loop is None:
            raise StoreDown("the database is closed: the bot is starting or stopping, ask again in a moment")
        future: asyncio.Future[object] = self._loop.create_future()
        self._queue.put(Job(work, future, writes=writes))
        deadline = asyncio.timeout(self._answer_within)
        try:
            async with deadline:
                return cast("T", await future)
        except TimeoutError as error:
            if not deadline.expired():
                raise  # raised by the work
            raise StoreDown(
                f"the database {self.path} did not answer within {self._answer_within:.0f} s, so it is unknown "
                "whether this was saved: check this machine's disk"
            ) from error

    def _main(self, opened: asyncio.Future[None], ended: asyncio.Future[None]) -> None:
        """Run the database's thread."""
        try:
            self._writer.open()
        except Exception as error:  # noqa: BLE001 - it is raised again in `open`
            self._call(_raise, opened, error)
            return
        self._call(_resolve, opened)
        try:
            for group in self._groups():
                self._serve(group)
        finally:
            self._writer.close()
            self._call(_resolve, ended)

    def _groups(self) -> Iterator[Sequence[Job]]:
        """Yield the waiting jobs as runs of reads and runs of writes, until the database is closed."""
        copy_at = time.monotonic() + self._copy_every
        while True:
            if time.monotonic() >= copy_at:
                self._writer.back_up()
                copy_at = time.monotonic() + self._copy_every
            try:
                jobs = self._take(_PROBE_SECONDS if self._writer.problem else self._copy_every)
            except queue.Empty:
                if self._writer.problem:
                    self._writer.probe()
                continue
            last = jobs[-1] is None
            wanted = [job for job in jobs if job is not None and not job.future.cancelled()]
            for _, group in itertools.groupby(wanted, attrgetter("writes")):
                yield list(group)
            if last:
                return

    def _take(self, timeout: float) -> list[Job | None]:
        """Return all waiting jobs, up to a group or the end. Raises queue.Empty after `timeout` seconds without any."""
        jobs = [self._queue.get(timeout=timeout)]
        with suppress(queue.Empty):
            while jobs[-1] is not None and len(jobs) < _GROUP:
                jobs.append(self._queue.get_nowait())
        return jobs

    def _serve(self, jobs: Sequence[Job]) -> None:
        if jobs[0].writes:
            put = self._writer.commit(jobs)
            self._call(self._settle, jobs, put)
            self._writer.record_head()
            return
        for job in jobs:
            self._writer.read(job)
        self._call(self._settle, jobs, False)  # noqa: FBT003 - nothing was queued

    def _settle(self, jobs: Sequence[Job], put: bool) -> None:  # noqa: FBT001 - called through the loop
        for job in jobs:
            job.settle()
        if put and self._wake is not None:
            self._wake()

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        # If the loop is closed, no caller waits any longer.
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function, *arguments)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _raise(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
