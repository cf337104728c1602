"""Listeners for events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from deploybot.domain import Event
from deploybot.settings import App


class EventListener(Protocol):
    """A component that handles events."""

    async def handle_event(self, app: App, event: Event, delivery: str) -> str:
        """Handle an event about an app. Return what was done as a sentence, or empty.

        The same `delivery` and event may come again after a crash; nothing may be done twice then. Raises only errors
        that can be retried (Unreachable, StoreError).
        """


@runtime_checkable
class GroupListener(EventListener, Protocol):
    """A listener that handles several events at once faster than one by one."""

    async def handle_events(self, app: App, events: Sequence[tuple[Event, str]]) -> Sequence[str]:
        """Handle each event with its delivery as `handle_event` does, in this order. Return the result of each.

        All or none: if it raises any error, the events are passed to `handle_event` one by one.
        """
