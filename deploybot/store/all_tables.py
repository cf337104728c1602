"""Bundle all kinds of rows on one connection."""

from __future__ import annotations

import sqlite3

from deploybot.masking import Redactor
from deploybot.store.allowlist_rows import PeopleRows
from deploybot.store.approval_rows import RequestRows
from deploybot.store.audit_rows import AuditRows
from deploybot.store.audit_sink_rows import AuditSinkRows
from deploybot.store.button_rows import ButtonRows
from deploybot.store.claim_rows import ClaimRows
from deploybot.store.delivery_rows import DeliveryRows
from deploybot.store.deployment_rows import DeploymentRows
from deploybot.store.event_rows import EventRows
from deploybot.store.freeze_rows import FreezeRows
from deploybot.store.grant_change_rows import GrantChangeRows
from deploybot.store.installed_rows import RunningRows
from deploybot.store.link_code_rows import LinkRows
from deploybot.store.lock_rows import LockRows
from deploybot.store.manifest_rows import ManifestRows
from deploybot.store.notice_rows import NoticeRows
from deploybot.store.one_time_code_rows import CodeRows
from deploybot.store.outbox_rows import OutboxRows
from deploybot.store.report_rows import ReportRows
from deploybot.store.seen_message_rows import SeenRows
from deploybot.store.trigger_rows import TriggerRows
from deploybot.store.watch_rows import WatchRows


class Rows:
    """Implement `ports.Tables` on a connection."""

    def __init__(self, connection: sqlite3.Connection, redactor: Redactor) -> None:
        """Use `connection` in the caller's transactions; `redactor` masks rows that leave the bot."""
        self.people = PeopleRows(connection)
        self.grant_changes = GrantChangeRows(connection)
        self.claims = ClaimRows(connection)
        self.deployments = DeploymentRows(connection)
        self.running = RunningRows(connection)
        self.manifests = ManifestRows(connection)
        self.locks = LockRows(connection)
        self.freezes = FreezeRows(connection)
        self.outbox = OutboxRows(connection, redactor)
        self.audit = AuditRows(connection, redactor)
        self.audit_sinks = AuditSinkRows(connection)
        self.seen = SeenRows(connection)
        self.buttons = ButtonRows(connection)
        self.requests = RequestRows(connection)
        self.codes = CodeRows(connection)
        self.links = LinkRows(connection)
        self.deliveries = DeliveryRows(connection)
        self.reports = ReportRows(connection, redactor)
        self.triggers = TriggerRows(connection)
        self.events = EventRows(connection)
        self.notices = NoticeRows(connection)
        self.watches = WatchRows(connection)
