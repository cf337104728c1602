"""Decide when a thing gets a second message: its first one is long past, and few would notice that it was edited."""

from __future__ import annotations

from typing import Final

from deploybot.notifications.event_cards import CardState
from deploybot.ports import Notification

LONG_PAST: Final = 1800.0
"""Seconds after which a message is not looked at any more."""


def is_late_change(was: Notification, story: CardState, now: float) -> bool:
    """Return whether a thing went from good to bad or back long after its last message."""
    return _has_turned(was, story) and now - was.posted_at > LONG_PAST


def _has_turned(was: Notification, story: CardState) -> bool:
    """Return whether a thing went from good to bad or back since its last message, or else within its series."""
    if not story.mood.settled:
        return False
    return was.mood != story.mood.value if was.mood else story.turns
