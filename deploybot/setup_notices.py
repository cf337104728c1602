"""Reports, once in chat, of what is authentic and does not fit: what happened, and how to fix it.

A notice is a row, so a restart does not repeat it. It is closed when the thing fits again; its message then says so,
and the same trouble is reported again after that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from deploybot.card import Card, Tone
from deploybot.domain import Place
from deploybot.errors import StoreError
from deploybot.ports import Clock, Store, Tables

_MOST = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that does not fit. `key` tells it from others, `app` is empty where it is about none.

    `title` says what happened, `text` what that means, `fix` what to do. `besides` is a place that cannot be told.
    """

    key: str
    title: str
    text: str = ""
    fix: str = ""
    app: str = ""
    besides: Place | None = None


class NoticeBoard:
    """Puts notices into the outbox, in the caller's transaction."""

    def __init__(self, clock: Clock, places: Callable[[str], Iterable[Place]], last: Place | None = None) -> None:
        """`places` are the channels of an app, or with an empty name of the bot; `last` is used where there is none."""
        self._clock = clock
        self._places = places
        self._last = last

    def report(self, tables: Tables, notice: Notice) -> bool:
        """Say a notice, unless it is open already; whether it was said."""
        now = self._clock.now()
        if not tables.notices.add(notice.key, notice.title, notice.app, now):
            return False
        card = Card(
            key=_key(notice.key, now),
            title=notice.title,
            text=notice.text,
            hint=notice.fix,
            tone=Tone.WARN,
            final=False,
            notification=True,
        )
        for place in self._told(notice):
            tables.outbox.put(place, card, now)
        return True

    def remember(self, tables: Tables, key: str) -> None:
        """Keep a key without saying anything."""
        tables.notices.add(key, key, "", self._clock.now())

    def _told(self, notice: Notice) -> Iterable[Place]:
        """Where a notice is said: not in the channel that it is about."""
        about = notice.besides
        left = [
            one
            for one in self._places(notice.app)
            if not about or (one.platform, one.channel) != (about.platform, about.channel)
        ]
        return left or ([self._last] if self._last else [])

    def close(self, tables: Tables, key: str) -> bool:
        """Say that the trouble of a notice is over, if it is open; whether it was."""
        kept = tables.notices.close(key)
        if kept is None:
            return False
        title = f"{kept.title} It is fixed."
        card = Card(key=_key(key, kept.at), title=title, tone=Tone.GOOD, notification=True)
        for place in self._places(kept.app):
            tables.outbox.put(place, card, self._clock.now())
        return True


class NoticeWriter:
    """Reports from outside of a transaction; each key once, without asking the database again."""

    def __init__(self, store: Store, board: NoticeBoard) -> None:
        """Take the board and its database."""
        self._store = store
        self._board = board
        self._reported: set[str] = set()

    async def __call__(self, notice: Notice) -> None:
        """Report, unless that was done; where the database cannot be written, the next call tries again."""
        if notice.key in self._reported or len(self._reported) > _MOST:
            return
        with contextlib.suppress(StoreError):  # the database says itself what is wrong with it
            await self._store.write(lambda tables: self._board.report(tables, notice))
            self._reported.add(notice.key)


def _key(key: str, at: float) -> str:
    """The key of a notice's card: each report has a message of its own, which its end edits."""
    return f"event:notice:{key}:{at:.0f}"
