"""The port of reporters: which receivers bot.toml has, and how each gets its reports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from deploybot.domain import ReportItem
from deploybot.events.deployment_reports import ReportedTarget
from deploybot.ports import ChatFinding, Store
from deploybot.settings import Settings

if TYPE_CHECKING:
    from deploybot.reporting.report_http import Caller

Path = tuple[str | int, ...]


class ReportTarget(Protocol):
    """A service that receives reports."""

    async def send(self, item: ReportItem) -> str:
        """Send a report. Return the other side's id of the deployment, or an empty string.

        The same report may be sent again. Raises Unreachable if a retry may help, and any other DeploybotError if the
        report is refused for good.
        """

    def check(self) -> AsyncIterator[ChatFinding]:
        """Check the target without writing anything there. Raises as `send` does."""


@dataclass(frozen=True, slots=True)
class ReportTools:
    """What a target may use: HTTP with a check of each address, the database, and the mask of secrets."""

    caller: Caller
    store: Store
    mask: Callable[[str], str] = str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReceiver:
    """A receiver that bot.toml names.

    `target` has its name in the database, which never changes, and the deployments that it gets. `title` is its name
    for people. `summary` is its line of `deploybot check`, empty if the app's line has it. `connect` makes what sends
    to it; only then heavy libraries are imported. It raises ConfigError if that is not possible.
    """

    target: ReportedTarget
    title: str
    connect: Callable[[ReportTools], ReportTarget]
    summary: str = ""


class ReporterPart(Protocol):
    """A kind of receivers. A module of `part_tables.REPORTER_TABLE` has one as `REPORTER`.

    The module is imported whenever bot.toml is read, so it imports no library. If the kind has a table of its own in
    bot.toml, the module has its type as `SETTINGS`.
    """

    def receivers(self, settings: Settings) -> Iterator[ReportReceiver]:
        """Yield all receivers of this kind."""

    def problems(self, settings: Settings) -> Iterator[tuple[Path, str]]:
        """Yield what is wrong with its tables: the path of a key, and a text that continues the sentence after it.

        The settings may have other mistakes, too. Of a wrong key, they have an empty value.
        """
