"""Cards on their way out: every text that people see passes the redactor."""

from __future__ import annotations

import dataclasses

from deploybot.card import Card, Line, Link, Table
from deploybot.ports import Redactor


def masked(card: Card, redactor: Redactor) -> Card:
    """The card with every text that people see passed through the redactor."""
    text = redactor.text
    return dataclasses.replace(
        card,
        title=text(card.title),
        text=text(card.text),
        lines=_masked_lines(card.lines, redactor),
        details=_masked_lines(card.details, redactor),
        table=_masked_table(card.table, redactor) if card.table else None,
        code=tuple(text("\n".join(card.code)).split("\n")) if card.code else (),
        listing=tuple(text("\n".join(card.listing)).split("\n")) if card.listing else (),
        buttons=tuple(dataclasses.replace(button, label=text(button.label)) for button in card.buttons),
        links=tuple(Link(text(link.text), _clear(link.url, redactor)) for link in card.links),
        footer=text(card.footer),
        hint=text(card.hint),
    )


def _masked_lines(lines: tuple[Line, ...], redactor: Redactor) -> tuple[Line, ...]:
    text = redactor.text
    return tuple(
        dataclasses.replace(line, name=text(line.name), text=text(line.text), url=_clear(line.url, redactor))
        for line in lines
    )


def _clear(url: str, redactor: Redactor) -> str:
    """The address, or none where it holds something to mask: a masked one leads nowhere."""
    return url if redactor.text(url) == url else ""


def _masked_table(table: Table, redactor: Redactor) -> Table:
    return Table(
        tuple(map(redactor.text, table.columns)),
        tuple(tuple(map(redactor.text, row)) for row in table.rows),
        table.tones,
    )
