"""Cards for a terminal: rows that fit its width, then plain text or a rich renderable.

Colour only repeats what symbols and words already show. All content of a card is literal: it is cleaned here and never
parsed as markup. Only the client imports this, so `deploybot run` does not load rich.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.style import Style
from rich.text import Text

from deploybot.card import Button, Card, Line, Link, Tone, web_url
from deploybot.chat.console.styled_text import UNICODE, Row, Span, SpanStyle, Symbols, look_of, row_text, row_width
from deploybot.chat.console.terminal_text import clean, clean_line, pad, width_of, wrap
from deploybot.chat.console.text_tables import table_rows

_INDENT: Final = "  "
_WIDEST_NAME: Final = 24
_STYLES: Final = {
    SpanStyle.TEXT: "",
    SpanStyle.TITLE: "bold",
    SpanStyle.NAME: "bold",
    SpanStyle.DIM: "dim",
    SpanStyle.KEY: "cyan",
    SpanStyle.BUSY: "blue",
    SpanStyle.GOOD: "green",
    SpanStyle.WARN: "yellow",
    SpanStyle.BAD: "red",
    SpanStyle.UNKNOWN: "magenta",
}


def plain(card: Card, width: int | None = None, symbols: Symbols = UNICODE) -> str:
    """Return a card as plain lines. Without a width nothing is wrapped, so that scripts find whole lines."""
    return "\n".join(row_text(row) for row in rows(card, width, symbols))


def styled(lines: Iterable[Row]) -> Text:
    """Return rows as text for rich, which must not wrap them again."""
    text = Text(no_wrap=True, end="", overflow="ignore")
    for number, row in enumerate(lines):
        text.append("\n" if number else "")
        for span in row:
            style = Style.parse(_STYLES[span.look])
            text.append(span.text, style + Style(link=span.url) if span.url else style)
    return text


def rows(card: Card, width: int | None, symbols: Symbols = UNICODE) -> list[Row]:
    """Return all rows of a card."""
    inner = None if width is None else max(width - len(_INDENT), 1)
    body: list[Row] = [*_text(card.text, inner), *_lines(card.lines, inner, symbols)]
    if card.table is not None:
        body += table_rows(card.table, inner, symbols)
    head = title_rows(card, width, symbols)
    if card.code and not body:
        return [*head, *log_rows(card.code), *_indented(_end(card, inner, symbols))]
    body += _code(card.code, inner, symbols)
    return [*head, *_indented([*body, *_end(card, inner, symbols), *_details(card.details, inner, symbols)])]


def log_rows(lines: Sequence[str]) -> list[Row]:
    """Return lines of a log unwrapped. The terminal wraps them, so they stay whole when copied."""
    return [(Span(clean_line(line)),) for line in lines]


def _indented(lines: Iterable[Row]) -> Iterator[Row]:
    """Return rows indented below a title."""
    return ((Span(_INDENT), *row) for row in lines)


def title_rows(card: Card, width: int | None, symbols: Symbols) -> list[Row]:
    """Return the title behind the symbol of its tone. A plain final card has no symbol."""
    if card.tone is Tone.PLAIN and card.final:
        return [(Span(line, SpanStyle.TITLE),) for line in wrap(clean(card.title), width)]
    sign = Span(symbols.tones[card.tone], look_of(card.tone))
    lines = wrap(clean(card.title), None if width is None else width - 2)
    return [
        (sign if number == 0 else Span(" "), Span(" "), Span(line, SpanStyle.TITLE))
        for number, line in enumerate(lines)
    ]


def _text(text: str, width: int | None) -> Iterator[Row]:
    """Yield a card's text. A line that begins with `! ` is a warning, an indented one is a detail."""
    if not text:
        return
    for line in clean(text).split("\n"):
        look = (
            SpanStyle.WARN if line.startswith("! ") else SpanStyle.DIM if line.startswith(_INDENT) else SpanStyle.TEXT
        )
        for part in wrap(line, width):
            yield (Span(part, look),)


def _lines(lines: Sequence[Line], width: int | None, symbols: Symbols) -> Iterator[Row]:
    """Yield named lines with aligned texts. If any line has a tone, all lines begin with a symbol."""
    toned = any(line.tone is not Tone.PLAIN for line in lines)
    names = [clean_line(line.name) for line in lines]
    named = min(max(map(width_of, names), default=0), _WIDEST_NAME)
    for line, name in zip(lines, names, strict=True):
        head: Row = (Span(symbols.tones[line.tone], look_of(line.tone)), Span(" ")) if toned else ()
        head = (*head, Span(name, SpanStyle.NAME, web_url(line.url)))
        if line.text:
            head = (*head, Span(pad("", named - width_of(name))))
        if not line.text:
            yield head
            continue
        start = row_width(head) + 2
        if width is not None and (width_of(name) > named or start > width // 2):
            yield head
            start, head = 4, ()
        for number, part in enumerate(wrap(clean(line.text), None if width is None else max(width - start, 1))):
            begin = (*head, Span("  ")) if head and number == 0 else (Span(" " * start),)
            yield (*begin, Span(part))


def _code(code: Sequence[str], width: int | None, symbols: Symbols) -> Iterator[Row]:
    """Yield lines of a log inside a card, behind a bar."""
    bar = Span(f"{symbols.code} ", SpanStyle.DIM)
    for line in code:
        for part in wrap(clean_line(line), None if width is None else max(width - width_of(bar.text), 1)):
            yield (bar, Span(part))


def _end(card: Card, width: int | None, symbols: Symbols) -> Iterator[Row]:
    """Yield files, links, footer, hint and buttons."""
    for file in card.files:
        yield (Span(f"{clean_line(file.name)}: "), Span(clean_line(file.path), SpanStyle.KEY))
    yield from _links(card.links)
    if card.footer:
        yield from ((Span(part, SpanStyle.DIM),) for part in wrap(clean(card.footer), width))
    if card.hint:
        yield from _behind(f"{symbols.hint} ", clean(card.hint), width)
    yield from _buttons(card.buttons, width, symbols)


def _links(links: Sequence[Link]) -> Iterator[Row]:
    """Yield links with the whole URL, which must not be wrapped."""
    for one in links:
        if url := web_url(one.url):
            yield (Span(f"{clean_line(one.text)}: ", SpanStyle.DIM), Span(url, SpanStyle.KEY, url))


def _details(lines: Sequence[Line], width: int | None, symbols: Symbols) -> Iterator[Row]:
    """Yield the details, which other chats fold, below everything else."""
    if lines:
        yield (Span("Details", SpanStyle.DIM),)
    for row in _lines(lines, None if width is None else max(width - len(_INDENT), 1), symbols):
        yield (Span(_INDENT), *(Span(one.text, SpanStyle.DIM, one.url) for one in row))


def _behind(sign: str, text: str, width: int | None) -> Iterator[Row]:
    """Yield text behind a symbol, with further lines aligned below the first."""
    start = width_of(sign)
    for number, part in enumerate(wrap(text, None if width is None else max(width - start, 1))):
        yield (Span(sign if number == 0 else " " * start, SpanStyle.KEY), Span(part))


def _buttons(buttons: Sequence[Button], width: int | None, symbols: Symbols) -> Iterator[Row]:
    """Yield buttons as commands to type: on one line if they fit, else one per line.

    If a button asks for input, type that instead of the dots.
    """
    made: list[Row] = []
    for button in buttons:
        label = "" if button.label == button.command else f"{clean_line(button.label)}: "
        asked = f" {'code' if button.asks_code else 'because'} …" if button.asks else ""
        command = f"{clean_line(button.command)}{asked}"
        made.append((Span(f"{symbols.button} {label}", SpanStyle.DIM), Span(command, SpanStyle.KEY)))
    joined = tuple(span for number, row in enumerate(made) for span in ((Span("   "), *row) if number else row))
    if width is not None and row_width(joined) <= width:
        made = [joined] if made else []
    yield from made
