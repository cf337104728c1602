"""Render a card as Block Kit; pure.

All text is in `rich_text` and `plain_text`, where Slack reads no markup. So no text of people or commits can link,
format or notify. Text that is too long for a message is cut, and attached in full. The formats are described at
docs.slack.dev/reference/block-kit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deploybot.card import MARKS, Button, Card, Line, Link, Mention, Moment, Table, Tone, split_times, web_url
from deploybot.chat.slack.slack_escaping import columns, cut, escaped, last_lines, line, plain, visible, width
from deploybot.chat.slack.slack_incoming import ASK, CODE, RUN
from deploybot.chat.tone_signs import line_signs, title_sign, warned

Json = dict[str, Any]

ROOM: Final = 12_000
"""Bytes of JSON for all blocks. Slack refuses somewhere above 13,000 characters (`msg_blocks_too_long`)."""

_TITLE, _HINT, _FOOTER, _NOTICE, _BARE = 500, 600, 300, 400, 3_500
_WAKES: Final = 20
_USER: Final = re.compile(r"[UW][A-Z0-9]{2,30}", re.ASCII)
_TEXT, _LINES, _CODE, _TABLE = 3_000, 6_500, 6_000, 4_000
_NAME, _VALUE, _LINKS = 120, 900, 8
_CLIP, _MOST_ROWS = 8_000, 500
_ELEMENT: Final = 2_900
_LINE_COSTS: Final = 110
_SCALES: Final = (1.0, 0.7, 0.5, 0.35, 0.2, 0.1, 0.04)
_UNLINKED: Final = 0.5
"""Messages scaled down to this or less have no links in their lines."""
_WIDEST: Final = 92
_LABEL, _CONFIRM_LABEL, _CONFIRM_TEXT, _ASKS = 75, 30, 300, 150
_BUTTONS_A_ROW: Final = 20
_FOLDED: Final = "Details"
_FOLD_COSTS, _SECTION_COSTS = 220, 100
_SECTION, _ESCAPED, _CONTAINED = 2_800, 200, 9
_BUTTONS_ROOM: Final = 5_000
_CUT: Final = "Too long for one message."
_IN_THREAD: Final = f"{_CUT} The full text is in the thread."


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message: its blocks, the text for notifications, and whether something was cut."""

    blocks: list[Json]
    text: str
    was_cut: bool = False


def render(card: Card, tokens: Sequence[str] = (), *, folds: bool = True, has_thread: bool = True) -> Rendered:
    """Render a card with one token for each of its buttons. Without tokens it has no buttons.

    Its details come last, in a container that is closed at first. Without `folds` they are plain sections, which Slack
    shortens behind "see more". If space is short, details are cut first. A message that was cut refers to the full text
    in its thread; without `has_thread`, there is none.
    """
    note = _IN_THREAD if has_thread else _CUT
    buttons, left_out = _actions(card.buttons, tokens)
    for scale in _SCALES:
        sketch = _Sketch(card, scale, was_cut=left_out or bool(card.listing), note=note)
        blocks = [*sketch.blocks(), *buttons]
        if scale == _SCALES[-1] or _bytes(blocks) <= ROOM:
            details, cut_short = _details(card.folded, ROOM - _bytes(blocks) - _FOLD_COSTS, folds=folds)
            if cut_short and card.final and not sketch.was_cut:
                sketch = _Sketch(card, scale, was_cut=True, note=note)
                blocks = [*sketch.blocks(), *buttons]
            return Rendered([*blocks, *details], notice(card), sketch.was_cut or cut_short)
    raise AssertionError("the last scale is taken as it is")


def bare(card: Card) -> Rendered:
    """Render a card as plain text, cut to fit, for the case that Slack refuses its blocks."""
    text = whole(card)
    return Rendered([], _asleep(escaped(cut(text, _BARE))), len(text) > _BARE)


def notice(card: Card) -> str:
    """Return the text for notifications."""
    return _asleep(escaped(cut(f"{title_sign(card)}{line(card.title[:_CLIP])}", _NOTICE))) or "…"


def _asleep(text: str) -> str:
    """Return a text in which no `@` can mention a name: clients may interpret this text, unlike blocks."""
    return text.replace("@", "@\u200b")


class _Sketch:
    """An attempt to fit a card into a message; `scale` shrinks its long parts, and `note` says that some were cut."""

    def __init__(self, card: Card, scale: float, *, was_cut: bool, note: str) -> None:
        self._card = card
        self._scale = scale
        self._note = note
        self.was_cut = was_cut

    def blocks(self) -> Iterator[Json]:
        """Yield the blocks, without buttons."""
        card = self._card
        title = f"{title_sign(card)}{self._line(card.title, _TITLE)}" or "…"
        sections = [_section(_run(title, "bold"))]
        if text := self._text(visible(self._clip(card.text))):
            sections.append(_section(self._dated(text)))
        if lines := self._lines(card.lines):
            sections.append(_section(lines))
        if card.table is not None and card.table.columns:
            sections.append(self._table(card.table))
        if card.code:
            sections += self._code(card.code)
        end = []
        if links := self._links(card.links):
            end.append(_section(links))
        if hint := self._cut(visible(self._clip(card.hint)), _HINT).strip():
            end.append(_section(self._dated(f"→ {hint}")))
        if footer := self._line(card.footer, _FOOTER):
            end.append(_section(self._dated(footer, "italic")))
        if self.was_cut and card.final:
            end.append(_section(_run(self._note, "italic")))
        if wakes := _wakes(card.wakes):
            end.append(_section(wakes))
        yield {"type": "rich_text", "elements": [*sections, *end]}

    def _dated(self, text: str, style: str = "") -> list[Json]:
        """Return literal text in which the card's times are shown in the zone of each reader."""
        pieces = split_times(text, self._card.times)
        return [
            one
            for piece, moment in pieces
            for one in (_run(piece, style) if moment is None else [_date(moment, style)])
        ]

    def _room(self, most: int) -> int:
        return max(int(most * self._scale), 40)

    def _cut(self, text: str, most: int) -> str:
        short = cut(text, self._room(most))
        self.was_cut |= short != text
        return short

    def _clip(self, text: str) -> str:
        """Limit a text to a maximum that is never shown in full, so that long texts cost little."""
        self.was_cut |= len(text) > _CLIP
        return text[:_CLIP]

    def _line(self, text: str, most: int) -> str:
        return self._cut(line(self._clip(text)), most)

    def _text(self, text: str) -> str:
        return self._cut(warned(text).strip("\n"), _TEXT)

    def _lines(self, lines: Sequence[Line]) -> list[Json]:
        """Return named lines below each other, as many as fit."""
        room = self._room(_LINES)
        elements: list[Json] = []
        for number, (one, sign) in enumerate(zip(lines, line_signs(lines), strict=True)):
            name, value = self._line(one.name, _NAME), self._cut(visible(self._clip(one.text)), _VALUE)
            url = web_url(one.url) if self._scale > _UNLINKED else ""
            room -= len(name) + len(value) + _LINE_COSTS + len(url)
            if room < 0 and number:
                self.was_cut = True
                return [*elements, *_run(f"\n… and {len(lines) - number} more")]
            elements += _run(("\n" if number else "") + sign)
            elements += [_link(name, url, "bold")] if url and name else _run(name, "bold")
            elements += self._dated(f"  {value}" if value else "")
        return elements

    def _links(self, links: Sequence[Link]) -> list[Json]:
        """Return links side by side."""
        shown = [_link(self._line(one.text, _NAME) or url, url) for one in links[:_LINKS] if (url := web_url(one.url))]
        return [part for number, one in enumerate(shown) for part in ([*_run("  ·  ")] if number else []) + [one]]

    def _table(self, table: Table) -> Json:
        """Return a table: monospaced if it is narrow, else one line per row, with the column names in it.

        Of a table with a form for phones, the rows are among the details.
        """
        if table.narrow:
            return _preformatted("\n".join(self._first([visible(self._clip(row)) for row in table.narrow], _TABLE)))
        heads = [line(self._clip(head)) for head in table.columns]
        rows = [[line(self._clip(cell)) for cell in row] for row in table.rows[:_MOST_ROWS]]
        self.was_cut |= len(rows) < len(table.rows)
        tones = [*table.tones, *[Tone.PLAIN] * (len(rows) - len(table.tones))]
        toned = any(tone is not Tone.PLAIN for tone in tones)
        marked = [[MARKS[tone], *row] if toned else row for tone, row in zip(tones, rows, strict=True)]
        lines = columns([["", *heads] if toned else heads, *marked])
        if max(map(width, lines)) <= _WIDEST:
            kept = self._first(lines, _TABLE)
            return _preformatted("\n".join(kept) or " ")
        parts = [Line(row[0], _named(heads[1:], row[1:]), tone) for row, tone in zip(rows, tones, strict=True)]
        return _section(self._lines(parts) or _run(" "))

    def _first(self, lines: Sequence[str], most: int) -> list[str]:
        """Return the first lines that fit."""
        room = self._room(most)
        kept: list[str] = []
        for number, text in enumerate(lines):
            room -= len(text) + 1
            if room < 0:
                self.was_cut = True
                return [*kept, f"… and {len(lines) - number} more"]
            kept.append(text)
        return kept

    def _code(self, code: Sequence[str]) -> list[Json]:
        """Return the last lines of a log."""
        rows = [visible(self._clip(row.rstrip())).replace("\n", " ") for row in code[-_MOST_ROWS:]]
        kept = last_lines(rows, self._room(_CODE))
        self.was_cut |= len(kept) < len(code) or kept != rows
        text = "\n".join(kept)
        return [_preformatted(text)] if text.strip() else []


def _details(lines: Sequence[Line], room: int, *, folds: bool) -> tuple[list[Json], bool]:
    """Return the folded details in at most `room` bytes of JSON, and whether something was cut.

    docs.slack.dev/reference/block-kit/blocks/container-block: a title, and at most ten blocks.
    """
    whole_rows = [f"{line(one.name)}: {visible(one.text[:_CLIP])}" for one in lines]
    rows = [cut(row, _SECTION) for row in whole_rows]
    sections: list[str] = []
    cut_short = rows != whole_rows
    for row in rows:
        cost = _bytes(row) + 2
        room -= cost if sections and len(sections[-1]) + len(row) < _SECTION else cost + _SECTION_COSTS
        if room < 0 or len(sections) == _CONTAINED:
            cut_short = True
            break
        if sections and len(sections[-1]) + len(row) < _SECTION:
            sections[-1] = f"{sections[-1]}\n{row}"
        else:
            sections.append(row)
    blocks = [{"type": "section", "text": words(text, _SECTION + _ESCAPED)} for text in sections]
    if not blocks or not folds:
        return blocks, cut_short
    fold = {"is_collapsible": True, "default_collapsed": True}
    return [{"type": "container", "title": words(_FOLDED), **fold, "child_blocks": blocks}], cut_short


def _named(heads: Iterable[str], cells: Iterable[str]) -> str:
    return ", ".join(f"{head}: {cell}" for head, cell in zip(heads, cells, strict=True) if cell)


def _run(text: str, style: str = "") -> list[Json]:
    """Return literal text in one style, split into as many elements as needed; none for an empty text."""
    look = {"style": {style: True}} if style else {}
    return [{"type": "text", "text": text[at : at + _ELEMENT], **look} for at in range(0, len(text), _ELEMENT)]


def _date(moment: Moment, style: str) -> Json:
    """Return a time in the reader's zone: docs.slack.dev/reference/block-kit/block-elements/date-element."""
    look = {"style": {style: True}} if style else {}
    shape = "{date_num} {time}" if moment.has_date else "{time}"
    return {"type": "date", "timestamp": int(moment.at), "format": shape, "fallback": moment.text, **look}


def _wakes(mentions: Sequence[Mention]) -> list[Json]:
    """Return mentions of the people to notify. They are made from user ids, never from text that people wrote."""
    users = [one.identity.user for one in mentions if one.identity.platform == "slack"]
    named = [{"type": "user", "user_id": user} for user in users if _USER.fullmatch(user)]
    return [part for one in named[:_WAKES] for part in (one, *_run(" "))]


def _link(text: str, url: str, style: str = "") -> Json:
    """Return literal text that links to a page."""
    return {"type": "link", "url": url, "text": text, **({"style": {style: True}} if style else {})}


def _section(elements: list[Json]) -> Json:
    return {"type": "rich_text_section", "elements": elements}


def _preformatted(text: str) -> Json:
    return {"type": "rich_text_preformatted", "elements": _run(text)}


def _actions(buttons: Sequence[Button], tokens: Sequence[str]) -> tuple[list[Json], bool]:
    """Return the buttons in rows, as many as fit, and whether some were left out."""
    room, made = _BUTTONS_ROOM, []
    for number, (button, token) in enumerate(zip(buttons, tokens, strict=False)):
        made.append(_button(number, button, token))
        room -= _bytes(made[-1])
        if room < 0:
            made.pop()
            break
    starts = range(0, len(made), _BUTTONS_A_ROW)
    rows: list[Json] = [{"type": "actions", "elements": made[at : at + _BUTTONS_A_ROW]} for at in starts]
    return rows, len(made) < min(len(buttons), len(tokens))


def _bytes(made: object) -> int:
    return len(json.dumps(made, ensure_ascii=False).encode())


def _button(number: int, button: Button, token: str) -> Json:
    label = line(button.label) or "…"
    made: Json = {
        "type": "button",
        "text": words(label, _LABEL),
        "action_id": action_id(number, button),
        "value": token,
    }
    if button.primary and not button.danger:
        made["style"] = "primary"
    if button.danger:
        made["style"] = "danger"
        if not button.asks:
            made["confirm"] = {
                "title": words("Are you sure?"),
                "text": words(line(button.command) or label, _CONFIRM_TEXT),
                "confirm": words(label, _CONFIRM_LABEL),
                "deny": words("No"),
                "style": "danger",
            }
    return made


def action_id(number: int, button: Button) -> str:
    """Return the action id, which Slack sends with a press: whether to ask for input first, and for what."""
    kind = CODE if button.asks_code else ASK if button.asks else RUN
    return f"{kind}:{number}:{cut(line(button.asks), _ASKS)}"


def words(text: str, most: int = _LABEL) -> Json:
    """Return a `plain_text` object of at most `most` characters. Nothing in it becomes an emoji."""
    room = most
    while len(shown := plain(cut(text, room))) > most:
        room -= len(shown) - most
    return {"type": "plain_text", "text": shown, "emoji": False}


def text_block(text: str) -> Json:
    """Return a block with one text."""
    return {"type": "rich_text", "elements": [_section(_run(text or "…"))]}


def whole(card: Card) -> str:
    """Return a card as plain text, complete."""
    parts = [line(card.title), visible(card.text)]
    signed = zip(line_signs(card.lines), card.lines, strict=True)
    parts += card.listing or [f"{sign}{line(one.name)}  {visible(one.text)}".rstrip() for sign, one in signed]
    if card.table is not None:
        parts += columns([[line(cell) for cell in row] for row in (card.table.columns, *card.table.rows)])
    parts += [visible(row.rstrip("\n")) for row in card.code]
    parts += [f"{line(one.text)}: {one.url}" for one in card.links if web_url(one.url)]
    parts += [visible(card.hint), line(card.footer)]
    parts += [f"{line(button.label)}: {line(button.command)}" for button in card.buttons]
    parts += [f"{line(one.name)}: {visible(one.text)}" for one in card.details]
    return "\n".join(part for part in parts if part) + "\n"
