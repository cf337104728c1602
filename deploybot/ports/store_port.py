"""The database: its tables together, and the audit. All that is changed together is changed in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from deploybot.domain import AuditRow, SinkState
from deploybot.ports.allowlist_tables import Claims, Codes, GrantChanges, LinkCodeTable, People
from deploybot.ports.chat_ports import Buttons, Outbox, SeenMessages
from deploybot.ports.deployment_tables import DeploymentTable, Locks, Manifests, Reports, Requests, RunningReleases
from deploybot.ports.event_tables import EventTable, Notices
from deploybot.ports.inbox_tables import Deliveries
from deploybot.ports.trigger_tables import TriggerTable

T = TypeVar("T")


class Audit(Protocol):
    """The append-only chain."""

    def append(self, *, actor: str, action: str, subject: str, detail: str = "", now: float) -> AuditRow:
        """Add a link."""

    def head(self) -> tuple[int, str]:
        """The last row's number and hash; 0 and 64 zeros where there is none."""

    def tail(self, count: int) -> tuple[AuditRow, ...]:
        """The last rows, oldest first."""

    def page(self, after: int, limit: int = 1000) -> tuple[AuditRow, ...]:
        """Up to `limit` rows that follow row number `after`."""


class AuditSinks(Protocol):
    """How far the audit has left the machine, by the names of its sinks."""

    def get(self, sink: str) -> SinkState:
        """How far a sink is; at the beginning where nothing is known of it."""

    def reached(self, sink: str, number: int, hash_: str, mark: str) -> None:
        """Note that all rows up to this one have left; what failed before is over."""

    def failed(self, sink: str, now: float, next_at: float) -> float:
        """Note a failure, to be tried again at `next_at`; since when it fails."""


class Tables(Protocol):
    """All repositories of rows, inside one transaction."""

    @property
    def people(self) -> People:
        """The allowlist."""

    @property
    def grant_changes(self) -> GrantChanges:
        """Changes of grants that wait for a second admin."""

    @property
    def claims(self) -> Claims:
        """The first administrator's code."""

    @property
    def deployments(self) -> DeploymentTable:
        """Deployments and steps."""

    @property
    def running(self) -> RunningReleases:
        """What runs where."""

    @property
    def manifests(self) -> Manifests:
        """What releases were seen to run."""

    @property
    def locks(self) -> Locks:
        """People's locks."""

    @property
    def outbox(self) -> Outbox:
        """Messages on their way."""

    @property
    def audit(self) -> Audit:
        """The chain."""

    @property
    def audit_sinks(self) -> AuditSinks:
        """How far it has left the machine."""

    @property
    def seen(self) -> SeenMessages:
        """Messages taken already."""

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
        """Codes by which identities are linked."""

    @property
    def deliveries(self) -> Deliveries:
        """What others have told the bot."""

    @property
    def reports(self) -> Reports:
        """What others are told."""

    @property
    def wishes(self) -> TriggerTable:
        """What is deployed by itself."""

    @property
    def told(self) -> EventTable:
        """What was heard of the things that events are about."""

    @property
    def notices(self) -> Notices:
        """What was reported once about things that do not fit."""


class Store(Protocol):
    """The database, behind one writer thread. Work must be short, do no I/O and keep nothing of `Tables`."""

    @property
    def problem(self) -> str:
        """Why the last write failed and what to do, while writes fail; empty when all is well.

        No new work is to be taken while it says something; it empties by itself when writing works again.
        """

    async def write(self, work: Callable[[Tables], T]) -> T:
        """Run `work` in one transaction; returns after the durable commit. StoreError when it cannot."""

    async def read(self, work: Callable[[Tables], T]) -> T:
        """Run `work` on a consistent view."""
