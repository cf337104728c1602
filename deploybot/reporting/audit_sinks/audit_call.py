"""Export the audit as signed calls, one per row, in order."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from deploybot.domain import AuditRow
from deploybot.errors import DeploybotError
from deploybot.ports import ChatFinding
from deploybot.reporting.audit_sinks.audit_sink import Reached, rfc3339
from deploybot.reporting.signed_calls import SignedCalls

_ENOUGH = 8.0
"""Seconds after which no further row is started: each may take 15, and all together 30."""


class CallSink:
    """A sink that sends each row to a URL. `close` closes the connections of its calls."""

    def __init__(self, calls: SignedCalls, url: str, close: Callable[[], Awaitable[None]]) -> None:
        """Take the signed calls to the URL."""
        self._calls = calls
        self._url = url
        self._close = close

    @property
    def name(self) -> str:
        """Return `call URL`."""
        return f"call {self._url}"

    async def send(self, rows: Sequence[AuditRow], mark: str) -> Reached:
        """Send rows one after the other, until one is refused or time is short."""
        del mark
        begun, taken = time.monotonic(), 0
        for row in rows:
            try:
                await self._calls.post(*message(row))
            except DeploybotError:
                if not taken:
                    raise
                break
            taken = row.number
            if time.monotonic() - begun > _ENOUGH:
                break
        return Reached(taken)

    async def check(self) -> AsyncIterator[ChatFinding]:
        """Check that an HTTP server answers at the URL."""
        async for found in self._calls.check():
            yield found

    async def close(self) -> None:
        """Close the connections."""
        await self._close()


def message(row: AuditRow) -> tuple[str, dict[str, object]]:
    """Return the id and the body of a row's call. A row has the same id however often it is sent."""
    return f"msg_audit_{row.number}_{row.hash[:32]}", {
        "type": "audit.row",
        "timestamp": rfc3339(row.at),
        "data": row.fields(),
    }
