"""Keep track of open cards and of output to print permanently. Both live displays use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deploybot.bounded_memory import BoundedDict
from deploybot.card import Card, Tone
from deploybot.chat.console.console_protocol import Show
from deploybot.chat.console.styled_text import Row, Span, SpanStyle, Symbols, cut_row
from deploybot.chat.console.terminal_cards import log_rows, rows, title_rows

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_LEAST = 3
_LOST = "Last known state. Running deployments continue on the servers."
_REMEMBERED = 50


@dataclass(frozen=True, slots=True)
class _OpenCard:
    """A card that will be edited, and the request that it answers; empty for a card for everybody."""

    card: Card
    request: str


class OpenCards:
    """Open cards by message id. They are drawn in a region at the bottom; finished ones are printed above it."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._open: dict[str, _OpenCard] = {}
        self._ended: BoundedDict[str, Card] = BoundedDict(_REMEMBERED)

    @property
    def titles(self) -> list[str]:
        """Return the titles of the open cards."""
        return [one.card.title for one in self._open.values()]

    @property
    def keys(self) -> list[str]:
        """Return the message ids of the open cards."""
        return list(self._open)

    @property
    def streams(self) -> list[str]:
        """Return the requests whose logs are followed, oldest first."""
        return [one.request for one in self._open.values() if one.card.stream]

    def put(self, show: Show, width: int | None) -> list[Row]:
        """Take a message. Return the rows to print permanently."""
        card, before = show.card, self._open.get(show.message)
        if not card.final and card.key:
            self._open[show.message] = _OpenCard(card, show.request)
        else:
            self._open.pop(show.message, None)
        if card.stream:
            return self._stream(card, before, width)
        if card.key and (not card.final or self._shown_before(show)):
            return []
        return rows(card, width, self._symbols)

    def _shown_before(self, show: Show) -> bool:
        """Return whether this final card was printed before.

        After a restart, a bot sends it both to the room and to the client that requested it.
        """
        before = self._ended.get(show.message)
        self._ended[show.message] = show.card
        return before == show.card

    def answered(self, request: str, width: int | None) -> list[Row]:
        """Handle the end of a request. Its open cards are not edited any more: return their rows to print."""
        left = [message for message, one in self._open.items() if one.request == request]
        return [row for message in left for row in self._end(self._open.pop(message).card, width)]

    def lose_sight(self) -> None:
        """Handle a lost connection: followed logs have ended with it, and the state of other cards is unknown."""
        self._open = {
            message: replace(one, card=_out_of_sight(one.card))
            for message, one in self._open.items()
            if not one.card.stream
        }

    def leave(self, width: int | None) -> list[Row]:
        """Close all open cards. Return their last states to print."""
        cards = [one.card for one in self._open.values()]
        self._open.clear()
        return [row for card in cards for row in self._end(card, width)]

    def region(self, width: int, height: int, frame: int = 0) -> list[Row]:
        """Return the open cards in at most `height` rows: the newest in full, older ones short if space is short."""
        symbols = self._symbols.animated(FRAMES[frame % len(FRAMES)])
        whole = [self._region_rows(one.card, width, symbols) for one in self._open.values()]
        if sum(map(len, whole)) > height and whole:
            short = [part[:1] for part in whole[:-1]]
            short = short[max(len(short) - max(height - _LEAST, 0), 0) :]
            room = height - len(short)
            newest = whole[-1] if len(whole[-1]) <= room else [*whole[-1][: room - 1], (Span("  …", SpanStyle.DIM),)]
            whole = [*short, newest[:room]]
        return [cut_row(row, width) for part in whole for row in part]

    def _stream(self, card: Card, before: _OpenCard | None, width: int | None) -> list[Row]:
        """Return the new rows of a followed log: the title once, new lines, and its other text at the end."""
        new = log_rows(card.code)
        if card.final:
            return [*new, *rows(replace(card, code=(), buttons=()), width, self._symbols)]
        return new if before else [*title_rows(card, width, self._symbols), *new]

    def _end(self, card: Card, width: int | None) -> list[Row]:
        """Return the rows of an open card's last state. The lines of a followed log are printed already."""
        return [] if card.stream else rows(card, width, self._symbols)

    @staticmethod
    def _region_rows(card: Card, width: int, symbols: Symbols) -> Sequence[Row]:
        """Return the rows of a card in the region."""
        if card.stream:
            return [(*title_rows(card, None, symbols)[0], Span("  Ctrl-C stops it", SpanStyle.DIM))]
        return rows(card, width, symbols)


def _out_of_sight(card: Card) -> Card:
    """Return a card marked as unknown, because it is no longer updated."""
    lines = (replace(line, tone=Tone.UNKNOWN) if line.tone is Tone.BUSY else line for line in card.lines)
    return replace(card, tone=Tone.UNKNOWN, lines=tuple(lines), buttons=(), footer=_LOST)
