"""Protocols for everything outside the core: chats, servers, engines, refs, the store, the clock.

The core (deploy, observe, dispatch) uses only these. Adapters translate their library's errors into
`deploybot.errors`, and every call has its own deadline.
"""

from __future__ import annotations

from deploybot.ports.allowlist_tables import Claims, Codes, GrantChanges, LinkCodeTable, People
from deploybot.ports.artifact_ports import ArtifactUpload, ArtifactUploads
from deploybot.ports.chat_ports import (
    ELSEWHERE,
    ButtonRow,
    Buttons,
    Chat,
    ChatFinding,
    LiveChat,
    Outbox,
    OutboxItem,
    SeenMessages,
)
from deploybot.ports.deployment_tables import (
    DeploymentTable,
    Freezes,
    Locks,
    Manifests,
    Reports,
    Requests,
    RunningReleases,
)
from deploybot.ports.event_listeners import EventListener, GroupListener
from deploybot.ports.event_tables import EventPart, EventTable, Notices, Notification, Storm
from deploybot.ports.image_registry import Images
from deploybot.ports.inbox_tables import Deliveries, Delivery, Fate, NewDelivery, Waiting
from deploybot.ports.infrastructure_ports import (
    LONG_SESSIONS,
    Clock,
    CodeSecrets,
    Engine,
    Host,
    LineStream,
    RefSource,
    Servers,
    TextRedactor,
)
from deploybot.ports.store_port import Audit, AuditSinks, Store, Tables
from deploybot.ports.strategy_port import Site, Strategy
from deploybot.ports.trigger_tables import TriggerTable
from deploybot.ports.watch_ports import LogSamples, Watches

__all__ = [
    "ELSEWHERE",
    "LONG_SESSIONS",
    "ArtifactUpload",
    "ArtifactUploads",
    "Audit",
    "AuditSinks",
    "ButtonRow",
    "Buttons",
    "Chat",
    "ChatFinding",
    "Claims",
    "Clock",
    "CodeSecrets",
    "Codes",
    "Deliveries",
    "Delivery",
    "DeploymentTable",
    "Engine",
    "EventListener",
    "EventPart",
    "EventTable",
    "Fate",
    "Freezes",
    "GrantChanges",
    "GroupListener",
    "Host",
    "Images",
    "LineStream",
    "LinkCodeTable",
    "LiveChat",
    "Locks",
    "LogSamples",
    "Manifests",
    "NewDelivery",
    "Notices",
    "Notification",
    "Outbox",
    "OutboxItem",
    "People",
    "RefSource",
    "Reports",
    "Requests",
    "RunningReleases",
    "SeenMessages",
    "Servers",
    "Site",
    "Store",
    "Storm",
    "Strategy",
    "Tables",
    "TextRedactor",
    "TriggerTable",
    "Waiting",
    "Watches",
]
