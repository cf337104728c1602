"""Announce gained and lost roles and accounts, to the channel concerned and to all other admins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from deploybot.card import Button, Card, Tone
from deploybot.domain import EVERY, Channel
from deploybot.part_tables import CHAT_TABLE
from deploybot.policy import admins_of
from deploybot.ports import Tables
from deploybot.settings import Settings

CONSOLE = Channel("console", "console")


class GrantAnnouncer:
    """An announcer of grants. It queues announcements in the transaction that changes them."""

    def __init__(self, settings: Settings, homes: Sequence[Channel] = ()) -> None:
        """Take bot.toml and the channels for announcements whose app has no channel."""
        self._settings = settings
        self._homes = tuple(homes)

    def admins(self, tables: Tables, app: str, environment: str, now: float) -> frozenset[int]:
        """Return the ids of the admins of a target."""
        found = admins_of(tables.people.everybody(), tables.people.grants(), app, environment, now)
        return frozenset(one.id for one in found)

    def announce(
        self,
        tables: Tables,
        text: str,
        *,
        app: str,
        environment: str,
        now: float,
        actor: int = 0,
        admins: frozenset[int] | None = None,
        buttons: tuple[Button, ...] = (),
        hint: str = "",
    ) -> None:
        """Announce to the target's channel and to its admins except `actor`.

        `admins` are the admins before the change, if it removed any. Buttons and their `hint` are for admins only.
        The channel gets none.
        """
        card = Card(title=text, tone=Tone.WARN)
        notified = self.admins(tables, app, environment, now) | (admins or frozenset())
        public = dict.fromkeys(self._channels(app, environment))
        for channel in public:
            tables.outbox.put(channel, card, now)
        asking = replace(card, buttons=buttons, hint=hint)
        for channel in dict.fromkeys(self._private(tables, notified - {actor})):
            # A button is tied to a channel, and direct messages may get channel ids of their own. There people type.
            asked = asking if CHAT_TABLE[channel.platform].direct_buttons else replace(asking, buttons=())
            if channel not in public:
                tables.outbox.put(channel, asked, now)

    def notify(
        self,
        tables: Tables,
        text: str,
        *,
        app: str,
        environment: str,
        person: int,
        now: float,
        besides: Channel | None = None,
        hint: str = "",
    ) -> None:
        """Announce to a target's channel and to one person, but not in the channel `besides`, which has it already."""
        card = Card(title=text, hint=hint, tone=Tone.WARN)
        for channel in dict.fromkeys((*self._channels(app, environment), *self._private(tables, frozenset({person})))):
            if channel != besides:
                tables.outbox.put(channel, card, now)

    def _channels(self, app: str, environment: str) -> tuple[Channel, ...]:
        found = self._settings.apps.get(app) if app != EVERY else None
        return (found.at(environment).channel if found else ()) or self._homes

    def _private(self, tables: Tables, persons: frozenset[int]) -> Iterator[Channel]:
        """Yield the direct messages of people in every chat they use; the console for those with no other chat."""
        accounts = tables.people.accounts()
        for person in sorted(persons):
            mine = [one.identity for one in accounts if one.person == person]
            direct = [channel for one in mine if (channel := self._settings.direct_channel(one))]
            yield from direct
            if not direct and any(one.platform == CONSOLE.platform for one in mine):
                yield CONSOLE
