"""Store triggers together with their cards, so a channel always shows the state in the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from deploybot.autodeploy.trigger_cards import trigger_card
from deploybot.card import Card
from deploybot.domain import Channel, Trigger
from deploybot.ports import Clock, Tables
from deploybot.settings import App


class TriggerRecords:
    """Writes triggers and posts their cards, inside the caller's transaction."""

    def __init__(self, clock: Clock, channels: Callable[[App], Iterable[Channel]]) -> None:
        """Take the clock. `channels` returns the channels of an app."""
        self._clock = clock
        self._channels = channels

    def put(self, tables: Tables, app: App, trigger: Trigger, *, with_card: bool = False) -> Trigger:
        """Store a trigger. Post its card if it already has one, or if `with_card` asks for one."""
        posted = with_card or bool(trigger.shown)
        kept = replace(trigger, shown=trigger.state.value if posted else "")
        tables.triggers.put(kept)
        if posted:
            self.post(tables, app, trigger_card(kept))
        return kept

    def post(self, tables: Tables, app: App, card: Card) -> None:
        """Post a card to the channels of an app."""
        for channel in self._channels(app):
            tables.outbox.put(channel, card, self._clock.now())
