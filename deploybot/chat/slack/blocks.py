"""A card as Block Kit. Pure.

Everything is said in `rich_text` and `plain_text`, where Slack reads no markup, so nothing that people or commits
wrote can link, format or wake anybody. What is longer than a message may be is cut, and comes whole beside it.
The shapes are those of docs.slack.dev/reference/block-kit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deploybot.card import Button, Card, Line, Table, Tone
from deploybot.chat.slack.heard import ASK, CODE, RUN
from deploybot.chat.slack.literal import columns, cut, escaped, last_lines, line, plain, visible, width

Json = dict[str, Any]

ROOM: Final = 12_000
"""Bytes of JSON for all blocks; Slack refuses somewhere above 13,000 characters (`msg_blocks_too_long`)."""

_TITLE, _HINT, _FOOTER, _NOTICE, _BARE = 500, 600, 300, 400, 3_500
_TEXT, _LINES, _CODE, _TABLE = 3_000, 6_500, 6_000, 4_000
_NAME, _SAYS = 120, 900
_ELEMENT: Final = 2_900
_LINE_COSTS: Final = 110
_SCALES: Final = (1.0, 0.7, 0.5, 0.35, 0.2, 0.1, 0.04)
_WIDEST: Final = 92
_LABEL, _CONFIRM_LABEL, _CONFIRM_TEXT, _ASKS = 75, 30, 300, 150
_BUTTONS_A_ROW: Final = 20
_MOST_BUTTONS: Final = 100
_CUT: Final = "Too long for one message: the whole is in the thread."
_SIGNS: Final = {
    Tone.PLAIN: "",
    Tone.BUSY: "⏳",
    Tone.GOOD: "✅",
    Tone.WARN: "⚠️",
    Tone.BAD: "❌",
    Tone.UNKNOWN: "❔",
}
_MARKS: Final = {Tone.PLAIN: " ", Tone.BUSY: "…", Tone.GOOD: "✓", Tone.WARN: "!", Tone.BAD: "✗", Tone.UNKNOWN: "?"}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message: its blocks, the text for notifications, and the whole card as plain text where something was cut."""

    blocks: list[Json]
    text: str
    whole: str = ""


def render(card: Card, tokens: Sequence[str] = ()) -> Rendered:
    """A card with the tokens of its buttons, as many as it has buttons; without tokens it has no buttons."""
    buttons = [*_actions(card.buttons, tokens)]
    for scale in _SCALES:
        sketch = _Sketch(card, scale)
        blocks = [*sketch.blocks(), *buttons]
        if scale == _SCALES[-1] or len(json.dumps(blocks, ensure_ascii=False).encode()) <= ROOM:
            return Rendered(blocks, notice(card), whole(card) if sketch.was_cut else "")
    raise AssertionError("the last scale is taken as it is")


def bare(card: Card) -> Rendered:
    """A card as nothing but text, as much of it as fits: for what Slack does not take as blocks."""
    text = whole(card)
    return Rendered([], _asleep(escaped(cut(text, _BARE))), text if len(text) > _BARE else "")


def notice(card: Card) -> str:
    """What a notification shows."""
    return _asleep(escaped(cut(f"{_sign(card.tone)}{line(card.title)}", _NOTICE))) or "…"


def _asleep(text: str) -> str:
    """A text in which no `@` stands before a name: blocks are literal, but many kinds of clients read this."""
    return text.replace("@", "@\u200b")


class _Sketch:
    """A try to fit a card into a message; `scale` shrinks its long parts."""

    def __init__(self, card: Card, scale: float) -> None:
        self._card = card
        self._scale = scale
        self.was_cut = False

    def blocks(self) -> Iterator[Json]:
        """The blocks, without buttons."""
        card = self._card
        sections = [_section(_run(self._cut(f"{_sign(card.tone)}{line(card.title)}" or "…", _TITLE), "bold"))]
        if text := self._text(visible(card.text)):
            sections.append(_section(_run(text)))
        if card.lines:
            sections.append(_section(self._lines(card.lines)))
        if card.table is not None and card.table.columns:
            sections.append(self._table(card.table))
        if card.code:
            sections += self._code(card.code)
        end = []
        if hint := self._cut(visible(card.hint), _HINT).strip():
            end.append(_section(_run(f"→ {hint}")))
        if footer := self._cut(line(card.footer), _FOOTER):
            end.append(_section(_run(footer, "italic")))
        if self.was_cut and card.final:
            end.append(_section(_run(_CUT, "italic")))
        yield {"type": "rich_text", "elements": [*sections, *end]}

    def _room(self, most: int) -> int:
        return max(int(most * self._scale), 40)

    def _cut(self, text: str, most: int) -> str:
        short = cut(text, self._room(most))
        self.was_cut |= short != text
        return short

    def _text(self, text: str) -> str:
        """A line that begins with `! ` is a warning."""
        rows = (f"{_sign(Tone.WARN)}{row[2:]}" if row.startswith("! ") else row for row in text.split("\n"))
        return self._cut("\n".join(rows).strip("\n"), _TEXT)

    def _lines(self, lines: Sequence[Line]) -> list[Json]:
        """Named lines below each other, as many as there is room for."""
        room = self._room(_LINES)
        elements: list[Json] = []
        for number, one in enumerate(lines):
            name, says = self._cut(line(one.name), _NAME), self._cut(visible(one.text), _SAYS)
            room -= len(name) + len(says) + _LINE_COSTS
            if room < 0 and number:
                self.was_cut = True
                return [*elements, *_run(f"\n… and {len(lines) - number} more")]
            elements += _run(("\n" if number else "") + _sign(one.tone))
            elements += _run(name, "bold")
            elements += _run(f"  {says}" if says else "")
        return elements

    def _table(self, table: Table) -> Json:
        """Monospaced where it is narrow; else each row as a line with the columns' names in it."""
        heads = [line(head) for head in table.columns]
        rows = [[line(cell) for cell in row] for row in table.rows]
        tones = [*table.tones, *[Tone.PLAIN] * (len(rows) - len(table.tones))]
        toned = any(tone is not Tone.PLAIN for tone in tones)
        marked = [[_MARKS[tone], *row] if toned else row for tone, row in zip(tones, rows, strict=True)]
        lines = columns([["", *heads] if toned else heads, *marked])
        if max(map(width, lines)) <= _WIDEST:
            kept = self._first(lines, _TABLE)
            return _preformatted("\n".join(kept) or " ")
        parts = [Line(row[0], _named(heads[1:], row[1:]), tone) for row, tone in zip(rows, tones, strict=True)]
        return _section(self._lines(parts) or _run(" "))

    def _first(self, lines: Sequence[str], most: int) -> list[str]:
        """The first lines that fit."""
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
        """The last lines of a log."""
        rows = [visible(row.rstrip("\n")).replace("\n", " ") for row in code]
        kept = last_lines(rows, self._room(_CODE))
        self.was_cut |= kept != rows
        text = "\n".join(kept)
        return [_preformatted(text)] if text.strip() else []


def _named(heads: Iterable[str], cells: Iterable[str]) -> str:
    return ", ".join(f"{head}: {cell}" for head, cell in zip(heads, cells, strict=True) if cell)


def _sign(tone: Tone) -> str:
    """A tone's symbol and a blank, or nothing."""
    return f"{_SIGNS[tone]} " if _SIGNS[tone] else ""


def _run(text: str, style: str = "") -> list[Json]:
    """Literal text in one style, in as many elements as it takes; none for an empty one."""
    look = {"style": {style: True}} if style else {}
    return [{"type": "text", "text": text[at : at + _ELEMENT], **look} for at in range(0, len(text), _ELEMENT)]


def _section(elements: list[Json]) -> Json:
    return {"type": "rich_text_section", "elements": elements}


def _preformatted(text: str) -> Json:
    return {"type": "rich_text_preformatted", "elements": _run(text)}


def _actions(buttons: Sequence[Button], tokens: Sequence[str]) -> Iterator[Json]:
    """The buttons, in rows."""
    made = [_button(n, *pair) for n, pair in enumerate(zip(buttons, tokens, strict=False))][:_MOST_BUTTONS]
    for at in range(0, len(made), _BUTTONS_A_ROW):
        yield {"type": "actions", "elements": made[at : at + _BUTTONS_A_ROW]}


def _button(number: int, button: Button, token: str) -> Json:
    label = line(button.label) or "…"
    made: Json = {
        "type": "button",
        "text": words(label, _LABEL),
        "action_id": action_id(number, button),
        "value": token,
    }
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
    """What Slack hands back with a press beside the token: whether, and what, the person is asked first."""
    kind = CODE if button.asks_code else ASK if button.asks else RUN
    return f"{kind}:{number}:{cut(line(button.asks), _ASKS)}"


def words(text: str, most: int = _LABEL) -> Json:
    """A `plain_text` object of at most so many characters; nothing in it is turned into a picture."""
    room = most
    while len(shown := plain(cut(text, room))) > most:
        room -= len(shown) - most
    return {"type": "plain_text", "text": shown, "emoji": False}


def said(text: str) -> Json:
    """A block that says one thing."""
    return {"type": "rich_text", "elements": [_section(_run(text or "…"))]}


def whole(card: Card) -> str:
    """A card as plain text, nothing left out."""
    parts = [line(card.title), visible(card.text)]
    parts += [f"{_sign(one.tone)}{line(one.name)}  {visible(one.text)}".rstrip() for one in card.lines]
    if card.table is not None:
        parts += columns([[line(cell) for cell in row] for row in (card.table.columns, *card.table.rows)])
    parts += [visible(row.rstrip("\n")) for row in card.code]
    parts += [visible(card.hint), line(card.footer)]
    return "\n".join(part for part in parts if part) + "\n"
