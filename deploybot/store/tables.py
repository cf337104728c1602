"""All repositories of rows on one connection."""

from __future__ import annotations

import sqlite3

from deploybot.masking import Redactor
from deploybot.store.approvals import RequestRows
from deploybot.store.audit import AuditRows
from deploybot.store.audit_sinks import AuditSinkRows
from deploybot.store.buttons import ButtonRows
from deploybot.store.claims import ClaimRows
from deploybot.store.codes import CodeRows
from deploybot.store.deliveries import DeliveryRows
from deploybot.store.deployments import DeploymentRows
from deploybot.store.grant_changes import GrantChangeRows
from deploybot.store.links import LinkRows
from deploybot.store.locks import LockRows
from deploybot.store.manifests import ManifestRows
from deploybot.store.notices import NoticeRows
from deploybot.store.outbox import OutboxRows
from deploybot.store.people import PeopleRows
from deploybot.store.reports import ReportRows
from deploybot.store.running import RunningRows
from deploybot.store.seen import SeenRows
from deploybot.store.told import ToldRows
from deploybot.store.wishes import WishRows


class Rows:
    """`ports.Tables` on a connection."""

    def __init__(self, connection: sqlite3.Connection, redactor: Redactor) -> None:
        """Take the connection whose transactions these work in; `redactor` masks the rows that leave the bot."""
        self.people = PeopleRows(connection)
        self.grant_changes = GrantChangeRows(connection)
        self.claims = ClaimRows(connection)
        self.deployments = DeploymentRows(connection)
        self.running = RunningRows(connection)
        self.manifests = ManifestRows(connection)
        self.locks = LockRows(connection)
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
        self.wishes = WishRows(connection)
        self.told = ToldRows(connection)
        self.notices = NoticeRows(connection)
