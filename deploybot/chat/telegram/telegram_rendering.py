"""Render cards as Telegram messages; pure: the HTML is never refused.

A message holds 4,096 units of text and a hundred entities. Longer content is cut where it reads best: a log keeps its
last lines, anything else its first. The full text is attached as a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from deploybot.card import Card, Line, Link, Mention, Moment, Table, split_times, web_url
from deploybot.chat.console.styled_text import UNICODE, row_text
from deploybot.chat.console.terminal_text import clean, clean_line
from deploybot.chat.console.text_tables import table_rows
from deploybot.chat.telegram.telegram_escaping import JOINER, LONGEST, anchor, cut, escaped, units, unlinked
from deploybot.chat.tone_signs import line_signs, title_sign, warned

_WIDTH: Final = 40
"""The width of a table in cells: more does not fit on a phone."""
_TITLE: Final = 700
_USER: Final = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_FOOTER: Final = 500
_HINT: Final = 800
_BOLD_LINES: Final = 60
_LINKED_LINES: Final = 20
_LINKS: Final = 8
_LINK: Final = 60
_WAKES: Final = 20
_LEFT_OUT: Final = "…"
_SPARE: Final = 16
_LEAST_DETAILS: Final = 80


@dataclass(frozen=True, slots=True)
class Page:
    """A message's HTML. `whole` is its full plain text if it was cut, or if the card has a `listing`."""

    html: str
    whole: str = ""

    def name(self, card: Card) -> str:
        """Return the name of the file with the full text."""
        return f"{re.sub(r'[^A-Za-z0-9]+', '-', card.key).strip('-') or 'message'}.txt"


@dataclass(slots=True)
class _Part:
    """A part of a message as rows of clean text. `markup` turns the remaining rows into HTML."""

    rows: list[str]
    markup: Callable[[Sequence[str]], str]
    from_end: bool = False
    trim: Callable[[str], str] = unlinked  # a cut can create a link: `/srv/shop` becomes `/srv`

    def need(self) -> int:
        """Return the units that all rows take, including line ends."""
        return sum(units(row) + 1 for row in self.rows)

    def fit(self, room: int) -> list[str]:
        """Return as many rows as `room` units hold; `…` replaces the others."""
        if self.need() <= room:
            return self.rows
        kept: list[str] = []
        left = room - units(_LEFT_OUT) - 1
        for row in reversed(self.rows) if self.from_end else self.rows:
            left -= units(row) + 1
            if left < 0:
                if not kept:
                    kept.append(self.trim(cut(row, left + units(row))))
                break
            kept.append(row)
        return [_LEFT_OUT, *reversed(kept)] if self.from_end else [*kept, _LEFT_OUT]


def page_of(card: Card) -> Page:
    """Render a card as a message."""
    head = _head(card)
    parts = [part for part in _parts(card) if part.rows]
    tail = [part for part in _tail(card) if part.rows]
    room = LONGEST - _SPARE - sum(part.need() for part in (head, *tail))
    shares = _shares([part.need() for part in parts], room)
    body = [(part, part.fit(share)) for part, share in zip(parts, shares, strict=True)]
    folded = _details(card.folded)
    left = room - sum(units(row) + 1 for _, rows in body for row in rows)
    body_end = [(folded, folded.fit(left))] if folded.rows and left > _LEAST_DETAILS else []
    html = "\n".join(
        [
            head.markup(head.rows),
            *(part.markup(rows) for part, rows in body),
            *(part.markup(part.rows) for part in tail),
            *(part.markup(rows) for part, rows in body_end),
        ]
    )
    cut_short = any(rows != part.rows for part, rows in [*body, *body_end]) or (bool(folded.rows) and not body_end)
    whole = bool(card.listing) or cut_short or units(card.title) > _TITLE
    return Page(html, _whole(card) if whole else "")


def alert_of(card: Card, room: int) -> str:
    """Return a card as plain text of at most `room` units, for a note on top of the chat, where nothing is linked."""
    text = ". ".join(part.rstrip(".") for part in (clean(card.title), clean(card.text)) if part)
    text = f"{text}{'' if text.endswith(('?', '!', '`')) else '.'} {clean(card.hint)}".strip()
    return cut(text, room)


def _whole(card: Card) -> str:
    """Return the full card as plain text."""
    parts = (*_parts(card), *_tail(card), _details(card.folded))
    lines = [clean(card.title), *(row for part in parts for row in part.rows)]
    if card.listing:
        lines = [clean(card.title), "", *map(clean_line, card.listing)]
    lines += [f"{clean_line(one.text)}: {one.url}" for one in card.links if web_url(one.url)]
    return "\n".join(lines).replace(JOINER, "") + "\n"


def _head(card: Card) -> _Part:
    """Return the symbol and the title."""
    sign = title_sign(card)
    title = unlinked(cut(clean(card.title).strip(), _TITLE)) or _LEFT_OUT
    return _Part([f"{sign}{title}"], lambda _: f"{sign}<b>{escaped(title)}</b>")


def _parts(card: Card) -> Iterator[_Part]:
    """Yield the parts that may be cut: text, lines, table, code."""
    yield _Part(warned(unlinked(card.text)).split("\n") if card.text else [], partial(_dated_rows, times=card.times))
    yield _lines(card)
    yield _Part(_table(card.table) if card.table else [], _fixed, trim=str)
    code = list(map(clean_line, card.code))
    yield _Part(code if any(line.strip() for line in code) else [], _fixed, from_end=True, trim=str)


def _tail(card: Card) -> Iterator[_Part]:
    """Yield the parts at the end: mentions, links, footer and hint."""
    footer, hint = (
        unlinked(cut(clean(text).strip(), most)) for text, most in ((card.footer, _FOOTER), (card.hint, _HINT))
    )
    yield _wakes(card.wakes)
    yield _links(card.links)
    yield _Part([footer] if footer else [], lambda rows: f"<i>{_dated_rows(rows, card.times)}</i>")
    yield _Part([f"→ {hint}"] if hint else [], partial(_dated_rows, times=card.times))


def _lines(card: Card) -> _Part:
    """Return named lines, with names in bold up to Telegram's limit of entities."""
    rows: list[str] = []
    marked: list[str] = []
    for number, (line, sign) in enumerate(zip(card.lines, line_signs(card.lines), strict=True)):
        name, text = unlinked(line.name).replace("\n", " "), unlinked(line.text)
        bold = f"<b>{escaped(name)}</b>" if name.strip() and number < _BOLD_LINES else escaped(name)
        if name.strip() and number < _LINKED_LINES and (url := web_url(line.url)):
            bold = anchor(bold, url)
        rows.append(f"{sign}{name}  {text}".rstrip())
        marked.append(f"{sign}{bold}  {_dated(text, card.times)}".rstrip())

    def markup(kept: Sequence[str]) -> str:
        pairs = zip(kept, rows, marked, strict=False)
        return "\n".join(html if row == same else escaped(row) for row, same, html in pairs) + (
            f"\n{_LEFT_OUT}" if len(kept) > len(rows) else ""
        )

    return _Part(rows, markup)


def _details(lines: Sequence[Line]) -> _Part:
    """Return the details: an expandable block quote. Clients show three rows of it until it is tapped.

    https://core.telegram.org/bots/api#html-style
    """
    rows = [row for one in lines for row in unlinked(f"{clean_line(one.name)}: {one.text}").split("\n")]
    pages = {clean_line(one.name): url for one in lines if (url := web_url(one.url))}

    def markup(kept: Sequence[str]) -> str:
        made = []
        for row in kept:
            name = row.partition(":")[0]
            rest = escaped(row[len(name) :])
            made.append(anchor(escaped(name), pages[name]) + rest if name in pages else escaped(name) + rest)
        text = "\n".join(made)
        return f"<blockquote expandable>{text}</blockquote>"

    return _Part(rows, markup)


def _links(links: Sequence[Link]) -> _Part:
    """Return links side by side on one row."""
    shown = [(unlinked(cut(clean_line(one.text), _LINK)).strip() or "…", web_url(one.url)) for one in links[:_LINKS]]
    shown = [(text, url) for text, url in shown if url]
    html = " · ".join(anchor(escaped(text), url) for text, url in shown)
    return _Part([" · ".join(text for text, _ in shown)] if shown else [], lambda _: html)


def _wakes(mentions: Sequence[Mention]) -> _Part:
    """Return mentions of the people to notify, by their number, side by side on one row."""
    users = [one for one in mentions if one.identity.platform == "telegram" and _USER.fullmatch(one.identity.user)]
    shown = [(unlinked(cut(clean_line(one.name), _LINK)) or "…", one.identity.user) for one in users[:_WAKES]]
    html = ", ".join(anchor(escaped(name), f"tg://user?id={user}") for name, user in shown)
    return _Part([", ".join(name for name, _ in shown)] if shown else [], lambda _: html)


def _table(table: Table) -> list[str]:
    if table.narrow:
        return list(map(clean_line, table.narrow))
    return [row_text(row) for row in table_rows(table, _WIDTH, UNICODE)]


def _escaped_rows(rows: Sequence[str]) -> str:
    return "\n".join(map(escaped, rows))


def _dated_rows(rows: Sequence[str], times: Sequence[Moment]) -> str:
    return "\n".join(_dated(row, times) for row in rows)


def _dated(text: str, times: Sequence[Moment]) -> str:
    """Escape a text in which the card's times are shown in the zone of each reader.

    https://core.telegram.org/bots/api#date-time-entity-formatting
    """
    return "".join(
        escaped(piece)
        if moment is None
        else f'<tg-time unix="{moment.at:.0f}" format="{"d" * moment.has_date}t">{escaped(piece)}</tg-time>'
        for piece, moment in split_times(text, times)
    )


def _fixed(rows: Sequence[str]) -> str:
    return f"<pre>{_escaped_rows(rows)}</pre>"


def _shares(needs: Sequence[int], room: int) -> list[int]:
    """Divide `room` among parts: small ones get what they need, the others share the rest equally."""
    shares = [0] * len(needs)
    order = sorted(range(len(needs)), key=needs.__getitem__)
    for position, index in enumerate(order):
        shares[index] = min(needs[index], room // (len(order) - position))
        room -= shares[index]
    return shares
