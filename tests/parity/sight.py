"""What a person would have to see of a card, and whether they do."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from deploybot.card import Card, web_url

_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~])?")


@dataclass(frozen=True, slots=True)
class Sight:
    """What one person sees after something was said: text, names and text of files, labels of buttons, and pages."""

    text: str
    labels: tuple[str, ...] = ()
    pages: frozenset[str] = frozenset()

    def lacks(self, cards: Iterable[Card]) -> list[str]:
        """Words and labels of these cards that are not there. The button that asks for a reason may be left out."""
        seen, cards = frozenset(words(self.text)), [*cards]
        missing = [word for card in cards for word in words(text_of(card)) if word not in seen]
        labels = [button.label for card in cards if not card.asks_reason for button in card.buttons]
        return missing + [f"[{label}]" for label in labels if literal(label) not in map(literal, self.labels)]


def text_of(card: Card) -> str:
    """All that a card says, but for its buttons; of a file its name.

    A table that is too wide is shown as a line a row, which begins with the first cell: what stands above the first
    column, and above one that is empty, can be left out.
    """
    rows = card.table.rows if card.table else ()
    heads = card.table.columns if card.table else ()
    table = [*rows, [head for number, head in enumerate(heads) if number and any(row[number] for row in rows)]]
    parts = [card.title, card.text, *card.code, card.hint, card.footer]
    parts += [f"{line.name} {line.text}" for line in (*card.lines, *card.details)]
    parts += [link.text for link in card.links if web_url(link.url)]
    parts += [cell for row in table for cell in row]
    return "\n".join([*parts, *(file.name for file in card.files)])


def words(text: str) -> Iterator[str]:
    """Words as a person reads them: what stands alone without a letter or a digit is decoration, as is a stop."""
    return (word.rstrip(":,.") for word in literal(text).split() if any(sign.isalnum() for sign in word))


def literal(text: str) -> str:
    """Without colours and signs that nobody sees."""
    text = _TERMINAL.sub("", text)
    return "".join(sign for sign in text if sign in "\n\t" or unicodedata.category(sign) not in {"Cc", "Cf"})
