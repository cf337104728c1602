"""Ports of the watch of a new release: its rows, and samples of logs."""

from __future__ import annotations

from typing import Protocol

from deploybot.domain import LogCounts, WatchRow
from deploybot.settings import App, Environment


class Watches(Protocol):
    """The watches of deployments, each by the job of its stage."""

    def get(self, job: str) -> WatchRow | None:
        """Return a watch; None if it has stored nothing yet."""

    def of(self, deployment: int) -> tuple[WatchRow, ...]:
        """Return all watches of a deployment, in the order of the servers' names."""

    def put(self, row: WatchRow) -> None:
        """Store a watch, in place of what it stored before."""

    def forget(self, now: float) -> None:
        """Delete the watches of deployments that ended 90 days before `now` (Unix time)."""


class LogSamples(Protocol):
    """What the logs of an app have, in numbers."""

    def has_log(self, app: App) -> bool:
        """Return whether the bot knows where an app's log is."""

    async def count(self, app: App, environment: Environment, server: str, *, since: float) -> LogCounts:
        """Count the error lines of a server's log from `since` (Unix time) until now.

        Never raises: the result says why the log could not be read.
        """
