"""What `deploybot check` tries of chats and of those who are told of deployments."""

from __future__ import annotations

from collections.abc import AsyncIterator

from deploybot.assembly.world import Adapters
from deploybot.events.reports import targets_of
from deploybot.ports import Finding
from deploybot.settings import Settings


def chat_checks(settings: Settings) -> dict[str, AsyncIterator[Finding]]:
    """What `deploybot check` tries of the chats, by name."""
    checks: dict[str, AsyncIterator[Finding]] = {}
    if settings.slack is not None:
        from deploybot.chat.slack.probe import probe  # noqa: PLC0415  see `doors.chats`

        checks["Slack"] = probe(settings)
    if settings.telegram is not None:
        from deploybot.chat.telegram.probe import probe as probe_telegram  # noqa: PLC0415  see `doors.chats`

        checks["Telegram"] = probe_telegram(settings)
    return checks


def other_checks(settings: Settings, world: Adapters) -> dict[str, AsyncIterator[Finding]]:
    """What `deploybot check` tries of those who are told of deployments, by name."""
    if not targets_of(settings):
        return {}
    from deploybot.reports.targets import tries  # noqa: PLC0415  see `doors.reports`

    return tries(settings, world.store)
