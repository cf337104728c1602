"""Cards on their way out: every text that people see passes the redactor."""

from __future__ import annotations

import dataclasses

from deploybot.card import Card, Line, Table
from deploybot.ports import Redactor


def masked(card: Card, redactor: Redactor) -> Card:
    """The card with every text that people see passed through the redactor."""
    text = redactor.text
    return dataclasses.replace(
        card,
        title=text(card.title),
        text=text(card.text),
        lines=tuple(Line(text(line.name), text(line.text), line.tone) for line in card.lines),
        table=_masked_table(card.table, redactor) if card.table else None,
        code=tuple(text("\n".join(card.code)).split("\n")) if card.code else (),
        buttons=tuple(dataclasses.replace(button, label=text(button.label)) for button in card.buttons),
        footer=text(card.footer),
        hint=text(card.hint),
    )


def _masked_table(table: Table, redactor: Redactor) -> Table:
    return Table(
        tuple(map(redactor.text, table.columns)),
        tuple(tuple(map(redactor.text, row)) for row in table.rows),
        table.tones,
    )
