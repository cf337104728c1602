"""Report setup problems once in chat, such as authentic events that fit no settings, with how to fix them.

A notice is a row, so a restart does not repeat it. It is closed when the problem is fixed, and its message then says
so. If the problem returns, it is reported again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from deploybot.card import Card, Tone
from deploybot.domain import Channel
from deploybot.errors import StoreError
from deploybot.ports import Clock, Store, Tables

_MOST = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A setup problem. `key` identifies it; `app` is `shop`, `shop/staging`, or empty if it concerns none.

    `title` says what happened, `text` what it means, and `fix` what to do. `besides` is a channel to avoid.
    """

    key: str
    title: str
    text: str = ""
    fix: str = ""
    app: str = ""
    besides: Channel | None = None


class NoticeBoard:
    """A writer of notices to the outbox, in the caller's transaction."""

    def __init__(self, clock: Clock, channels: Callable[[str], Iterable[Channel]], last: Channel | None = None) -> None:
        """Take what returns the channels of `Notice.app` (the bot's, if it is empty).

        `last` is used if there are none.
        """
        self._clock = clock
        self._channels_of = channels
        self._last = last

    def report(self, tables: Tables, notice: Notice) -> bool:
        """Post a notice unless it is already open. Return whether it was posted."""
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
        for channel in self._channels(notice):
            tables.outbox.put(channel, card, now)
        return True

    def remember(self, tables: Tables, key: str) -> None:
        """Store a key without posting anything."""
        tables.notices.add(key, key, "", self._clock.now())

    def _channels(self, notice: Notice) -> Iterable[Channel]:
        """Return the channels for a notice, except the channel that it is about."""
        about = notice.besides
        left = [
            one
            for one in self._channels_of(notice.app)
            if not about or (one.platform, one.id) != (about.platform, about.id)
        ]
        return left or ([self._last] if self._last else [])

    def close(self, tables: Tables, key: str) -> bool:
        """Post that a notice's problem is fixed, if it is open. Return whether it was."""
        kept = tables.notices.close(key)
        if kept is None:
            return False
        title = f"Fixed: {kept.title}"
        card = Card(key=_key(key, kept.at), title=title, tone=Tone.GOOD, notification=True)
        for channel in self._channels_of(kept.app):
            tables.outbox.put(channel, card, self._clock.now())
        return True


class NoticeWriter:
    """A reporter of notices outside of a transaction. Each key is reported once, without asking the database again."""

    def __init__(self, store: Store, board: NoticeBoard) -> None:
        """Take the store and the board."""
        self._store = store
        self._board = board
        self._reported: set[str] = set()

    async def __call__(self, notice: Notice) -> None:
        """Report a notice unless that was done. If the database can't be written, the next call retries."""
        if notice.key in self._reported or len(self._reported) > _MOST:
            return
        with contextlib.suppress(StoreError):  # the database reports its own problem
            await self._store.write(lambda tables: self._board.report(tables, notice))
            self._reported.add(notice.key)


def _key(key: str, at: float) -> str:
    """Return the key of a notice's card. Each report has its own message, which the end of the problem edits."""
    return f"event:notice:{key}:{at:.0f}"
