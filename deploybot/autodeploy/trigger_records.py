"""Store triggers together with their cards, so a channel always shows the state in the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from deploybot.autodeploy.trigger_cards import trigger_card
from deploybot.autodeploy.watched_sources import IMAGES, WAITING_IMAGES
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
            self.post(tables, app.at(kept.environment), trigger_card(kept, _waiting(tables, kept)))
        return kept

    def name_waiting(self, tables: Tables, app: App, environment: str, text: str) -> None:
        """Name new images on the card of the commit that they wait for. Write only what changed."""
        if text == tables.triggers.considered(app.name, environment).get(WAITING_IMAGES, ""):
            return
        if text:
            tables.triggers.consider(app.name, environment, WAITING_IMAGES, text)
        else:
            tables.triggers.forget(app.name, environment, WAITING_IMAGES)
        current = tables.triggers.current(app.name, environment)
        if current is not None:
            self.put(tables, app, current)

    def post(self, tables: Tables, app: App, card: Card) -> None:
        """Post a card to the channels of an app, as it is in an environment or as a whole."""
        for channel in self._channels(app):
            tables.outbox.put(channel, card, self._clock.now())


def _waiting(tables: Tables, trigger: Trigger) -> str:
    """Return the text about images that wait for a trigger's commit; empty if it ended or if there are none."""
    if trigger.state.ended or trigger.source == IMAGES:
        return ""
    return tables.triggers.considered(trigger.app, trigger.environment).get(WAITING_IMAGES, "")
