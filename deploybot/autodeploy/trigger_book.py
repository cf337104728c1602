"""Wishes and their cards, kept together: what a channel reads is what the rows say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from deploybot.autodeploy.trigger_cards import wish_card
from deploybot.card import Card
from deploybot.domain import Place, Trigger
from deploybot.ports import Clock, Tables
from deploybot.settings import App


class TriggerBook:
    """Writes wishes and says their cards, inside the caller's transaction."""

    def __init__(self, clock: Clock, places: Callable[[App], Iterable[Place]]) -> None:
        """`places` is where an app is told of."""
        self._clock = clock
        self._places = places

    def put(self, tables: Tables, app: App, wish: Trigger, *, aloud: bool = False) -> Trigger:
        """Keep how a wish stands, and say its card where it has one already, or is to have one from now on."""
        said = aloud or bool(wish.shown)
        kept = replace(wish, shown=wish.state.value if said else "")
        tables.wishes.put(kept)
        if said:
            self.say(tables, app, wish_card(kept))
        return kept

    def say(self, tables: Tables, app: App, card: Card) -> None:
        """Say a card where the app is told of."""
        for place in self._places(app):
            tables.outbox.put(place, card, self._clock.now())
