"""The Protocols behind which everything outside stands: chats, servers, engines, refs, the store, the clock.

The core (deploy, observe, dispatch) knows only these. Adapters translate their library's errors into
`deploybot.errors` at the edge, and every call has a deadline of its own.
"""

from __future__ import annotations

from deploybot.ports.chats import ButtonRow, Buttons, Chat, Finding, LiveChat, Outbox, OutboxItem, Seen
from deploybot.ports.deployments import Deployments, Locks, Manifests, Reports, Requests, RunningReleases
from deploybot.ports.events import EventListener, GroupListener
from deploybot.ports.images import Images
from deploybot.ports.inbox import Deliveries, Delivery, Fate, NewDelivery, Waiting
from deploybot.ports.outside import (
    LONG_SESSIONS,
    Clock,
    CodeSecrets,
    Engine,
    Host,
    Lines,
    Redactor,
    RefSource,
    Servers,
)
from deploybot.ports.people import Claims, Codes, GrantChanges, Links, People
from deploybot.ports.store import Audit, AuditSinks, Store, Tables
from deploybot.ports.strategies import Site, Strategy
from deploybot.ports.told import Notices, Storm, Told, ToldPart, ToldPlace
from deploybot.ports.wishes import Wishes

__all__ = [
    "LONG_SESSIONS",
    "Audit",
    "AuditSinks",
    "ButtonRow",
    "Buttons",
    "Chat",
    "Claims",
    "Clock",
    "CodeSecrets",
    "Codes",
    "Deliveries",
    "Delivery",
    "Deployments",
    "Engine",
    "EventListener",
    "Fate",
    "Finding",
    "GrantChanges",
    "GroupListener",
    "Host",
    "Images",
    "Lines",
    "Links",
    "LiveChat",
    "Locks",
    "Manifests",
    "NewDelivery",
    "Notices",
    "Outbox",
    "OutboxItem",
    "People",
    "Redactor",
    "RefSource",
    "Reports",
    "Requests",
    "RunningReleases",
    "Seen",
    "Servers",
    "Site",
    "Store",
    "Storm",
    "Strategy",
    "Tables",
    "Told",
    "ToldPart",
    "ToldPlace",
    "Waiting",
    "Wishes",
]
