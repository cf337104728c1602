"""What every sink of the audit is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from deploybot.domain import AuditRow
from deploybot.ports import ChatFinding

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a sink has taken rows: up to `number`. `mark` is its own note, handed back with the next rows.

    A number below the first row that it was given asks for earlier rows again.
    """

    number: int
    mark: str = ""


class Sink(Protocol):
    """Somewhere the audit goes."""

    @property
    def name(self) -> str:
        """`file /var/log/deploybot/audit.jsonl`: what it is, and where."""

    async def send(self, rows: Sequence[AuditRow], mark: str) -> Reached:
        """Take some rows, at least the first, in their order. Raises Unreachable where not even that can be taken.

        Any other DeploybotError says that it refuses the first row. Ends within 25 seconds.
        """

    def check(self) -> AsyncIterator[ChatFinding]:
        """Say whether it can be written, without writing. Raises as `send` does."""

    async def close(self) -> None:
        """Close what was opened."""


def in_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    """Run `work` in a thread of its own, which keeps nobody from exiting: a disk may hang for ever."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  it is raised where it is awaited
            future.set_exception(error)

    threading.Thread(target=run, name="deploybot-audit", daemon=True).start()
    return asyncio.wrap_future(future)


def rfc3339(at: object) -> str | None:
    """A time in UTC with microseconds (RFC 3339); None for what is no time, as a tampered row may hold."""
    try:
        return datetime.fromtimestamp(float(str(at)), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None
