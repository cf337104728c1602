"""The schema as migrations. Each is applied once, in order, in a separate transaction.

Never change a released migration: add the next one. Text that must be exact and structured is canonical JSON
(`deploybot.store.codec`); times are seconds since the epoch. No secret is ever stored here.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlite_utils import Database

from deploybot.store.schema.account_schema import m022_givers
from deploybot.store.schema.approval_schema import m024_approval_accounts
from deploybot.store.schema.audit_schema import m016_audit_sinks
from deploybot.store.schema.channel_schema import m021_channels
from deploybot.store.schema.chat_schema import m003_buttons, m004_requests, m005_codes
from deploybot.store.schema.event_schema import (
    m006_deliveries,
    m007_told,
    m008_wishes,
    m010_reports,
    m015_builds,
    m020_triggers,
)
from deploybot.store.schema.freeze_schema import m026_freezes, m027_lock_reminders
from deploybot.store.schema.grant_schema import m012_grants
from deploybot.store.schema.initial_schema import m001_first, m002_not_before
from deploybot.store.schema.manifest_schema import m011_manifests, m013_glass, m017_stages, m019_attempts
from deploybot.store.schema.notice_schema import m014_silence
from deploybot.store.schema.source_schema import m018_sources
from deploybot.store.schema.trigger_schema import m023_rules, m025_replaced
from deploybot.store.schema.watch_schema import m028_watches

STEPS: tuple[Callable[[Database], None], ...] = (
    m001_first,
    m002_not_before,
    m003_buttons,
    m004_requests,
    m005_codes,
    m006_deliveries,
    m007_told,
    m008_wishes,
    m010_reports,
    m011_manifests,
    m012_grants,
    m013_glass,
    m014_silence,
    m015_builds,
    m016_audit_sinks,
    m017_stages,
    m018_sources,
    m019_attempts,
    m020_triggers,
    m021_channels,
    m022_givers,
    m023_rules,
    m024_approval_accounts,
    m025_replaced,
    m026_freezes,
    m027_lock_reminders,
    m028_watches,
)
"""All migrations, in order."""
