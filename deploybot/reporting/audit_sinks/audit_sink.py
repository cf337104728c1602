"""The interface of an audit sink."""

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
    """How far a sink has accepted rows: up to and including `number`.

    `mark` is the sink's own note, passed back with the next rows. A number below the first row that was sent asks for
    earlier rows again.
    """

    number: int
    mark: str = ""


class Sink(Protocol):
    """A destination for the audit."""

    @property
    def name(self) -> str:
        """Return the kind and the address, like `file /var/log/deploybot/audit.jsonl`."""

    async def send(self, rows: Sequence[AuditRow], mark: str) -> Reached:
        """Send some rows in order, at least the first. Return how far the sink has accepted rows.

        Raises Unreachable if not even the first row could be sent. Any other DeploybotError means that the sink refused
        the first row. Ends within 25 seconds.
        """

    def check(self) -> AsyncIterator[ChatFinding]:
        """Check that the sink can be written to, without writing. Raises as `send` does."""

    async def close(self) -> None:
        """Close everything that was opened."""


def in_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    """Run `work` in its own daemon thread. A disk may hang forever, and must not keep the process from exiting."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  it is raised again where the future is awaited
            future.set_exception(error)

    threading.Thread(target=run, name="deploybot-audit", daemon=True).start()
    return asyncio.wrap_future(future)


def rfc3339(at: object) -> str | None:
    """Return a time as RFC 3339 in UTC with microseconds, or None if it is invalid, as in a tampered row."""
    try:
        return datetime.fromtimestamp(float(str(at)), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None
