"""Tables that fit the width: columns side by side with wrapped cells, or else one block per row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from deploybot.card import Table, Tone
from deploybot.chat.console.styled_text import Row, Span, SpanStyle, Symbols, look_of
from deploybot.chat.console.terminal_text import clean, pad, width_of, wrap

_GAP = "  "
_NARROWEST = 8
_TALLEST = 3
_LOUD = frozenset({Tone.WARN, Tone.BAD, Tone.UNKNOWN})

_Cells = Sequence[Sequence[str]]


def table_rows(table: Table, width: int | None, symbols: Symbols) -> Iterator[Row]:
    """Yield the table as rows of at most `width` cells. If any row has a tone, all rows begin with a symbol."""
    heads = [clean(column) for column in table.columns]
    cells = [[clean(cell) for cell in row] for row in table.rows]
    tones = [*table.tones, *[Tone.PLAIN] * (len(cells) - len(table.tones))]
    toned = any(tone is not Tone.PLAIN for tone in tones)
    marks = [_mark(tone, symbols) if toned else Span("") for tone in tones]
    widths = _widths([heads, *cells], None if width is None else width - 2 * toned)
    if widths is None:
        for mark, tone, row in zip(marks, tones, cells, strict=True):
            yield from _block(heads, row, mark, tone, width)
        return
    yield (Span(" " * 2 * toned + _joined(heads, widths), SpanStyle.DIM),)
    for mark, tone, row in zip(marks, tones, cells, strict=True):
        yield from _side_by_side(row, widths, mark, tone)


def _mark(tone: Tone, symbols: Symbols) -> Span:
    """Return the symbol before a row."""
    return Span(" " if tone is Tone.PLAIN else symbols.tones[tone], look_of(tone))


def _look(tone: Tone) -> SpanStyle:
    """Return the style of a row: a tone that needs attention colours the whole row."""
    return look_of(tone) if tone in _LOUD else SpanStyle.TEXT


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return the cells of one line side by side."""
    return _GAP.join(pad(cell, width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _side_by_side(row: Sequence[str], widths: Sequence[int], mark: Span, tone: Tone) -> Iterator[Row]:
    """Yield one row of the table, with as many lines as its tallest cell."""
    columns = [wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
    for number, line in enumerate(zip_longest(*columns, fillvalue="")):
        body = Span(_joined(line, widths), _look(tone))
        if mark.text:
            yield (mark if number == 0 else Span(" "), Span(" "), body)
        else:
            yield (body,)


def _block(heads: Sequence[str], row: Sequence[str], mark: Span, tone: Tone, width: int | None) -> Iterator[Row]:
    """Yield one row as a block: its first cell, then the other cells, each behind its column's name."""
    first = (mark, Span(" ")) if mark.text else ()
    yield (*first, Span(row[0].replace("\n", " "), SpanStyle.NAME if tone not in _LOUD else look_of(tone)))
    named = max((width_of(head) for head in heads[1:]), default=0)
    for head, cell in zip(heads[1:], row[1:], strict=True):
        room = None if width is None else max(width - 4 - named - len(_GAP), _NARROWEST)
        for number, line in enumerate(wrap(cell, room) if cell else ()):
            yield (Span("    " + pad("" if number else head, named) + _GAP, SpanStyle.DIM), Span(line, _look(tone)))


def _widths(rows: _Cells, width: int | None) -> list[int] | None:
    """Return the columns' widths. The widest column shrinks until all fit. Return None if cells became too tall."""
    widths = [max(width_of(line) for cell in column for line in cell.split("\n")) for column in zip(*rows, strict=True)]
    if width is None:
        return widths
    room = width - len(_GAP) * (len(widths) - 1)
    least = [min(wide, max(_NARROWEST, width_of(head))) for wide, head in zip(widths, rows[0], strict=True)]
    if sum(least) > room:
        return None
    while sum(widths) > room:
        over = [wide - low for wide, low in zip(widths, least, strict=True)]
        widest = max((index for index, spare in enumerate(over) if spare), key=lambda index: widths[index])
        widths[widest] -= 1
    tall = any(len(wrap(cell, wide)) > _TALLEST for row in rows for cell, wide in zip(row, widths, strict=True))
    return None if tall else widths
