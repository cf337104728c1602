"""Mask known secret values and common shapes of secrets in every text that leaves the bot.

A `Redactor` learns the values when bot.toml is read. It masks them unchanged, in base64 and in hexadecimal digits,
under escapes of JSON, URLs, HTML, PHP and shells, and with invisible characters in them. Most text contains nothing of
that. Three passes of RE2 find that out first, at several hundred MB/s together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from deploybot.card import Button, Card, Line, Link, Table
from deploybot.masking import key_shapes, unescaped_views
from deploybot.masking.byte_patterns import BytesPattern, compiled
from deploybot.masking.cleaning import clean_text
from deploybot.masking.secret_forms import SHORTEST, alternatives, forms_of
from deploybot.masking.unescaped_views import ALL_DECODED, LEVELS, Span, View, joined, readings_of, unescaped

MASK = "•••"
_MASK = MASK.encode()
_BECAUSE = " because "
_WIDEST = 7
"""Bytes that an escape may take for one byte of a value. Nested escapes may take more, but only for a few bytes."""
_LEAST_REACH = 4096
_ANY = b"|".join((key_shapes.ANY, unescaped_views.ANY))


class Redactor:
    """Masks secrets. Values shorter than four characters cannot be masked; the config refuses them."""

    def __init__(self, values: tuple[str, ...] = ()) -> None:
        """Take the values known from the start."""
        self._forms: dict[bytes, int] = {}
        self._patterns: tuple[bytes, ...] = ()
        self._gates: tuple[BytesPattern, ...] = ()
        self._readings = [ALL_DECODED]
        self.reach = _LEAST_REACH
        self.of_lines: tuple[bytes, ...] = ()
        self.learn(*values)

    def learn(self, *values: str) -> None:
        """Mask these values too from now on."""
        for value in values:
            self._forms |= forms_of(value)
            raw = value.encode("utf-8", "surrogatepass")
            self._readings += [kept for kept in readings_of(raw) if kept not in self._readings]
            if len(value) >= SHORTEST and "\n" in value:
                self.of_lines = (*self.of_lines, raw)
        parts = alternatives(self._forms)
        self._patterns = tuple(parts)
        self._gates = tuple(compiled(b"|".join(part)) for part in ([_ANY, *parts[:1]], *([one] for one in parts[1:])))
        self.reach = max(_LEAST_REACH, _WIDEST * max(self._forms.values(), default=0))

    def text(self, text: str) -> str:
        """Return the text with every known value and every common shape masked.

        If a secret is visible only without escape codes and invisible characters, the result does not contain those
        either.
        """
        plain = clean_text(text)
        masked = self._text(plain)
        return masked if masked != plain or plain == text else self._text(text)

    def _text(self, text: str) -> str:
        data = text.encode("utf-8", "surrogatepass")
        masked = self.data(data)
        if masked is data:
            return text
        try:
            return masked.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:  # a value in another encoding ended in the middle of a character
            return masked.decode("utf-8", "replace")

    def card(self, card: Card) -> Card:
        """Return the card with all texts that people see masked."""
        text = self.text
        return dataclasses.replace(
            card,
            title=text(card.title),
            text=text(card.text),
            lines=self._lines(card.lines),
            details=self._lines(card.details),
            table=self._table(card.table) if card.table else None,
            code=tuple(text("\n".join(card.code)).split("\n")) if card.code else (),
            listing=tuple(text("\n".join(card.listing)).split("\n")) if card.listing else (),
            buttons=tuple(map(self._button, card.buttons)),
            links=tuple(Link(text(link.text), self._clear(link.url)) for link in card.links),
            footer=text(card.footer),
            hint=text(card.hint),
        )

    def _button(self, button: Button) -> Button:
        """Return the button with its texts masked. Of its command, which chats show too, only the reason can be."""
        command, because, reason = button.command.partition(_BECAUSE)
        return dataclasses.replace(
            button,
            label=self.text(button.label),
            command=f"{command}{because}{self.text(reason)}" if reason else command,
        )

    def _lines(self, lines: tuple[Line, ...]) -> tuple[Line, ...]:
        text = self.text
        return tuple(
            dataclasses.replace(line, name=text(line.name), text=text(line.text), url=self._clear(line.url))
            for line in lines
        )

    def _clear(self, url: str) -> str:
        """Return the URL, or an empty string if it contains a secret: a masked URL leads nowhere."""
        return url if self.text(url) == url else ""

    def _table(self, table: Table) -> Table:
        text = self.text
        return Table(
            tuple(map(text, table.columns)),
            tuple(tuple(map(text, row)) for row in table.rows),
            table.tones,
            tuple(text("\n".join(table.narrow)).split("\n")) if table.narrow else (),
        )

    def data(self, data: bytes) -> bytes:
        """Mask cleaned UTF-8 text, valid or not. Return the same object if nothing is masked."""
        parts: list[bytes] = []
        position = 0
        for start, end in self.spans(data):
            parts += (data[position:start], _MASK)
            position = end
        return b"".join((*parts, data[position:])) if parts else data

    def spans(self, data: bytes) -> list[Span]:
        """Return where the secrets are in a text, in order and without overlaps."""
        if not any(gate.search(data) for gate in self._gates):
            return []
        found = sorted({*self._plain(data), *self._joined(data), *self._unescaped(data)})
        merged: list[Span] = []
        for start, end in found:
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def before(self, data: bytes, position: int) -> int:
        """Return where the secret begins that `position` would cut in two, or `position` if there is none."""
        return min((start for start, end in self.spans(data) if start < position < end), default=position)

    def _plain(self, data: bytes) -> Iterator[Span]:
        """Yield the secrets in the text as it is."""
        yield from self._known(data)
        if compiled(key_shapes.ANY).search(data):
            yield from key_shapes.spans_of(data)

    def _known(self, data: bytes) -> Iterator[Span]:
        for pattern in self._patterns:
            for found in compiled(pattern).finditer(data):
                yield found.span()

    def _joined(self, data: bytes) -> Iterator[Span]:
        """Yield known values in base64 and hexadecimal digits that were split into parts."""
        if self._patterns:
            for view in joined(data):
                if spans := [*self._known(view.data)]:
                    yield from view.back(spans)

    def _unescaped(self, data: bytes) -> Iterator[Span]:
        """Yield the secrets under nested escapes. At each level an escape may be one, or part of a value."""
        seen = {data}
        level: list[tuple[bytes, tuple[View, ...]]] = [(data, ())]
        for _ in range(LEVELS):
            below: list[tuple[bytes, tuple[View, ...]]] = []
            for text, above in level:
                for view in filter(None, (unescaped(text, kept) for kept in self._readings)):
                    if view.data not in seen:
                        seen.add(view.data)
                        views = (*above, view)
                        below.append((view.data, views))
                        yield from self._under(views)
            level = below

    def _under(self, views: tuple[View, ...]) -> Iterator[Span]:
        """Yield where the secrets of the last view are in the text of the first."""
        spans = [*self._plain(views[-1].data), *self._joined(views[-1].data)]
        for view in reversed(views) if spans else ():
            spans = view.back(spans)
        yield from spans
