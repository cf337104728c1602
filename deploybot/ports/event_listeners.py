"""What hears of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from deploybot.domain import Event
from deploybot.settings import App


class EventListener(Protocol):
    """Somebody who makes something of events."""

    async def hear(self, app: App, event: Event, delivery: str) -> str:
        """Make something of an event about an app; what was made of it, as a sentence, or empty.

        The same `delivery` and event may come again after a crash: nothing may be done twice then. Raises only what
        may be tried again (Unreachable, StoreError).
        """


@runtime_checkable
class GroupListener(EventListener, Protocol):
    """A listener that is quicker with several events at once than with each alone."""

    async def hear_all(self, app: App, heard: Sequence[tuple[Event, str]]) -> Sequence[str]:
        """As `hear` for each event with its delivery, in this order; what was made of each.

        All or none: where it raises, whatever that is, they are given to `hear` one by one.
        """
