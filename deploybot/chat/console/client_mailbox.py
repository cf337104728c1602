"""The console's recent cards, and each client's queue of unsent messages. Both are bounded.

The room keeps the newest state of recent cards. A client's mailbox holds each of them at most once, and sends the state
that is current at that time. So a slow client skips states, but never ends on an old one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from deploybot.bounded_memory import BoundedDict
from deploybot.card import Card, Tone
from deploybot.chat.console.console_protocol import Answer, Show, bounded

_CODE_KEPT = 100_000
_SENT_KEPT = 500


class Gone(Exception):
    """The client has left, or does not read any more."""


@dataclass(slots=True)
class _KeptCard:
    """A card of the room, and whether any client was connected when it came."""

    card: Card
    seen: bool


class ClientRoom:
    """The recent cards for everybody at the console, by message id, oldest first."""

    def __init__(self, size: int = 200) -> None:
        """Keep at most `size` cards."""
        self._size = size
        self._cards: OrderedDict[str, _KeptCard] = OrderedDict()

    def put(self, message: str, card: Card, *, seen: bool) -> None:
        """Store a card's newest state. If there are too many, drop the oldest final card, else the oldest."""
        self._cards.pop(message, None)
        self._cards[message] = _KeptCard(bounded(card, _CODE_KEPT), seen)
        if len(self._cards) > self._size:
            final = next((name for name, kept in self._cards.items() if kept.card.final), None)
            del self._cards[next(iter(self._cards)) if final is None else final]

    def get(self, message: str) -> Card | None:
        """Return a card's newest state, or None."""
        kept = self._cards.get(message)
        return kept.card if kept else None

    def news(self, limit: int = 20) -> list[str]:
        """Return the ids of cards for a new client.

        These are all open cards, and the last `limit` final ones that no client has seen.
        """
        unseen = {name for name, kept in self._cards.items() if not kept.seen}
        late = [name for name, kept in self._cards.items() if name in unseen and kept.card.final][-limit:]
        for kept in self._cards.values():
            kept.seen = True
        return [name for name, kept in self._cards.items() if not kept.card.final or name in late]


class Mailbox:
    """One client's unsent messages. A card of the room never waits; a reply waits until there is space.

    `current` returns the newest state of a card of the room. The mailbox holds at most `replies` replies and `cards`
    cards of the room. `skipped` counts the cards dropped since the client was last informed.
    """

    def __init__(self, current: Callable[[str], Card | None], *, replies: int = 64, cards: int = 200) -> None:
        self._current = current
        self._limits = (replies, cards)
        self._cards: OrderedDict[str, None] = OrderedDict()
        self._replies: deque[Answer] = deque()
        self._sent: BoundedDict[str, Card] = BoundedDict(_SENT_KEPT)
        self._ready = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self.closed = False
        self.skipped = 0

    def post(self, message: str) -> None:
        """Queue a card of the room. It is queued once, however often it changes before it is sent."""
        self._cards[message] = None
        if len(self._cards) > self._limits[1]:
            self._cards.popitem(last=False)
            self.skipped += 1
        self._ready.set()

    async def put(self, answer: Answer, *, timeout: float) -> None:
        """Queue a reply. Raises Gone if the client has left, TimeoutError if it reads nothing for `timeout` seconds."""
        async with asyncio.timeout(timeout):
            while len(self._replies) >= self._limits[0] and not self.closed:
                self._free.clear()
                await self._free.wait()
        if self.closed:
            raise Gone
        self._replies.append(answer)
        self._ready.set()

    async def take(self) -> Answer:
        """Wait for the next message to send. Raises Gone after `close`."""
        while not self.closed:
            while self._cards or self._replies or self.skipped:
                if (answer := self._next()) is not None:
                    return answer
            self._ready.clear()
            await self._ready.wait()
        raise Gone

    def close(self) -> None:
        """Close the mailbox. Everything that waits for it raises Gone."""
        self.closed = True
        self._ready.set()
        self._free.set()

    def _next(self) -> Answer | None:
        """Return the next message in its newest state, or None if the client has that state already."""
        if self._cards:
            message, _ = self._cards.popitem(last=False)
            card = self._current(message)
            return None if card is None or self._sent.get(message) is card else self._mark(Show(message, card))
        if self.skipped:
            title, self.skipped = f"{self.skipped} messages were skipped: this client did not keep up.", 0
            return Show("skipped", Card(title=title, tone=Tone.WARN))
        answer = self._replies.popleft()
        self._free.set()
        return self._mark(answer) if isinstance(answer, Show) else answer

    def _mark(self, show: Show) -> Show:
        """Set `edit` if the client has an earlier state, and use the room's card if that is newer."""
        card = show.card if show.card.stream else self._current(show.message) or show.card
        edit = show.message in self._sent
        self._sent[show.message] = card
        return replace(show, card=card, edit=edit)
