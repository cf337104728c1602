"""The database: its tables, and the audit. Related changes are made in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from deploybot.domain import AuditRow, SinkState
from deploybot.ports.allowlist_tables import Claims, Codes, GrantChanges, LinkCodeTable, People
from deploybot.ports.chat_ports import Buttons, Outbox, SeenMessages
from deploybot.ports.deployment_tables import (
    DeploymentTable,
    Freezes,
    Locks,
    Manifests,
    Reports,
    Requests,
    RunningReleases,
)
from deploybot.ports.event_tables import EventTable, Notices
from deploybot.ports.inbox_tables import Deliveries
from deploybot.ports.trigger_tables import TriggerTable
from deploybot.ports.watch_ports import Watches

T = TypeVar("T")


class Audit(Protocol):
    """The append-only audit chain."""

    def append(self, *, actor: str, action: str, subject: str, detail: str = "", now: float) -> AuditRow:
        """Append a row."""

    def head(self) -> tuple[int, str]:
        """Return the number and hash of the last row; 0 and 64 zeros if there is none."""

    def tail(self, count: int) -> tuple[AuditRow, ...]:
        """Return the last rows, oldest first."""

    def page(self, after: int, limit: int = 1000) -> tuple[AuditRow, ...]:
        """Return up to `limit` rows after row number `after`."""


class AuditSinks(Protocol):
    """How far the audit was exported, by the names of its sinks."""

    def get(self, sink: str) -> SinkState:
        """Return the state of a sink; the initial state if it is unknown."""

    def reached(self, sink: str, number: int, hash_: str, mark: str) -> None:
        """Record that all rows up to this one were exported. Earlier failures are over."""

    def failed(self, sink: str, now: float, next_at: float) -> float:
        """Record a failure, to be retried at `next_at`. Return since when it has been failing."""


class Tables(Protocol):
    """All tables, inside one transaction."""

    @property
    def people(self) -> People:
        """The allowlist."""

    @property
    def grant_changes(self) -> GrantChanges:
        """Grant changes that wait for a second admin."""

    @property
    def claims(self) -> Claims:
        """The first administrator's code."""

    @property
    def deployments(self) -> DeploymentTable:
        """Deployments and steps."""

    @property
    def running(self) -> RunningReleases:
        """The releases that the bot last deployed."""

    @property
    def manifests(self) -> Manifests:
        """The images that releases were seen to run."""

    @property
    def locks(self) -> Locks:
        """People's locks."""

    @property
    def freezes(self) -> Freezes:
        """Freezes that people made."""

    @property
    def outbox(self) -> Outbox:
        """Messages queued for chats."""

    @property
    def audit(self) -> Audit:
        """The audit chain."""

    @property
    def audit_sinks(self) -> AuditSinks:
        """How far the audit was exported."""

    @property
    def seen(self) -> SeenMessages:
        """Messages that were already handled."""

    @property
    def buttons(self) -> Buttons:
        """Buttons of messages."""

    @property
    def requests(self) -> Requests:
        """Deployments that wait for approvals."""

    @property
    def codes(self) -> Codes:
        """Uses of one-time codes."""

    @property
    def links(self) -> LinkCodeTable:
        """Codes with which people link their identities."""

    @property
    def deliveries(self) -> Deliveries:
        """Webhook deliveries."""

    @property
    def reports(self) -> Reports:
        """Queued reports of deployments."""

    @property
    def triggers(self) -> TriggerTable:
        """Triggers of automatic deployments."""

    @property
    def events(self) -> EventTable:
        """The things that events are about, and the messages about them."""

    @property
    def notices(self) -> Notices:
        """Notices about problems."""

    @property
    def watches(self) -> Watches:
        """The watches of new releases."""


class Store(Protocol):
    """The database, behind one writer thread. Work must be short, do no I/O and keep no reference to `Tables`."""

    @property
    def problem(self) -> str:
        """Why the last write failed and the fix, while writes fail; empty if all is well.

        Do not start new work while it is set. It becomes empty once writing works again.
        """

    async def write(self, work: Callable[[Tables], T]) -> T:
        """Run `work` in one transaction and return after the durable commit. Raises StoreError if that fails."""

    async def read(self, work: Callable[[Tables], T]) -> T:
        """Run `work` on a consistent view."""
