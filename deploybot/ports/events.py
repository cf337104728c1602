"""What hears of events."""

from __future__ import annotations

from typing import Protocol

from deploybot.domain import Event
from deploybot.settings import App


class EventListener(Protocol):
    """Somebody who makes something of events."""

    async def hear(self, app: App, event: Event, delivery: str) -> str:
        """Make something of an event about an app; what was made of it, as a sentence, or empty.

        The same `delivery` and event may come again after a crash: nothing may be done twice then. Raises only what
        may be tried again (Unreachable, StoreError).
        """
