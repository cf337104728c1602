"""Quiet hours: notifications that are not bad wait until they are over. Each is then posted in its current state.

Many of them become one message.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from deploybot.card import Card, Line
from deploybot.errors import StoreError
from deploybot.notifications.event_text import one_line, page
from deploybot.ports import Clock, Store, Tables

FOLDED_FROM: Final = 4
"""From this number on, notifications that waited are posted in one message."""
_SHOWN: Final = 14
_LOOKS: Final = 900.0
_STORE_PAUSE: Final = 5.0
log = logging.getLogger(__name__)


def digest_card(cards: Sequence[tuple[str, Card]]) -> Card:
    """Return one card for many things: a line for each, by app, with a link if there is one.

    Titles begin with the app. If there are too many lines for a message, all of them are attached as a file.
    """
    lines = [
        Line(
            app,
            one_line(card.title.removeprefix(f"{app}: ")),
            card.tone,
            next((page(one.url) for one in card.links), ""),
        )
        for app, card in cards
    ]
    title = f"During quiet hours: {len(cards)} notifications, in their current state"
    if len(lines) <= _SHOWN:
        return Card(title=title, lines=tuple(lines))
    listing = tuple(f"{line.name}  {line.text}  {line.url}".rstrip() for line in lines)
    more = Line("…", f"and {len(lines) - _SHOWN} more")
    return Card(title=title, lines=(*lines[:_SHOWN], more), listing=listing)


class Quiet:
    """Calls `post_due` (see `Notifier`) whenever something is due. `waiting` is set when there may be something new."""

    def __init__(
        self, store: Store, clock: Clock, post_due: Callable[[Tables], float | None], waiting: asyncio.Event
    ) -> None:
        """Take the ports, the function to call, and the event to wait for."""
        self._store = store
        self._clock = clock
        self._post_due = post_due
        self._waiting = waiting

    async def run(self) -> None:
        """Post notifications when they are due, until cancelled."""
        while True:
            self._waiting.clear()
            try:
                pause = await self._next()
            except StoreError as problem:
                log.warning("notifications from the quiet hours could not be posted yet: %s", problem)
                pause = _STORE_PAUSE
            try:
                async with asyncio.timeout(pause):
                    await self._waiting.wait()
            except TimeoutError:
                continue

    async def _next(self) -> float:
        """Post what is due. Return the seconds until the next notification, at most a quarter of an hour."""
        at = await self._store.read(lambda tables: tables.events.next_due())
        if at is not None and at <= self._clock.now():
            at = await self._store.write(self._post_due)
        return _LOOKS if at is None else min(max(at - self._clock.now(), 0.0), _LOOKS)
