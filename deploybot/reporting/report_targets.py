"""The receivers of reports that bot.toml has, of every reporter in the table. No library is imported for that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from importlib import import_module

from deploybot.part_tables import REPORTER_TABLE
from deploybot.ports import ChatFinding, Store
from deploybot.reporting.reporter_port import ReporterPart, ReportReceiver, ReportTarget, ReportTools
from deploybot.settings import Settings


def reporters() -> Iterator[ReporterPart]:
    """Yield all reporters."""
    for entry in REPORTER_TABLE.values():
        found: ReporterPart = import_module(f"{__package__}.{entry.module}").REPORTER
        yield found


def receivers_of(settings: Settings) -> tuple[ReportReceiver, ...]:
    """Return all receivers in bot.toml."""
    return tuple(receiver for reporter in reporters() for receiver in reporter.receivers(settings))


def connected(settings: Settings, tools: ReportTools) -> dict[str, ReportTarget]:
    """Return what sends to each receiver, by its name in the database.

    Raises ConfigError for a secret that cannot sign, or if a package for traces is not installed.
    """
    return {receiver.target.name: receiver.connect(tools) for receiver in receivers_of(settings)}


def tries(settings: Settings, store: Store) -> dict[str, AsyncIterator[ChatFinding]]:
    """Return the check of each receiver, by its name for people. Each has its own connections, closed at its end."""
    return {receiver.title: _try(receiver, store) for receiver in receivers_of(settings)}


async def _try(receiver: ReportReceiver, store: Store) -> AsyncIterator[ChatFinding]:
    from deploybot.reporting.report_http import Caller  # noqa: PLC0415  aiohttp, ten megabytes

    caller = Caller()
    try:
        async for found in receiver.connect(ReportTools(caller, store)).check():
            yield found
    finally:
        await caller.close()
