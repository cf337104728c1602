"""Messages of the bot before any chat's markup: texts, tables, cards and files, as frozen types.

All strings are literal text. Chats escape them and never read them as markup.
A card has a key. Posting a card with the same key again edits the existing message.
"""

from __future__ import annotations

import enum
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from deploybot.domain import Identity

_URL: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:[/?#][!#-&(-;=?-Z_a-z~\[\]]*)?", re.ASCII)
_LONGEST_URL: Final = 1_500


def web_url(text: str) -> str:
    """Return the URL if chats may link to it; otherwise an empty string.

    It must be http(s) with a plain host, without a user, quotes, blanks or non-ASCII characters, and not too long.
    """
    return text if len(text) <= _LONGEST_URL and _URL.fullmatch(text) else ""


class Tone(enum.StrEnum):
    """The look of a message: each chat chooses a colour or symbol. ASK waits for a person's decision."""

    PLAIN = "plain"
    ASK = "ask"
    BUSY = "busy"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"


MARKS: Final = {
    Tone.PLAIN: " ",
    Tone.ASK: "◆",
    Tone.BUSY: "…",
    Tone.GOOD: "✓",
    Tone.WARN: "!",
    Tone.BAD: "✗",
    Tone.UNKNOWN: "?",
}
"""The tones as one column of a monospaced font."""
PHONE: Final = 40
"""Columns of a monospaced font on a phone, at 390 px."""


@dataclass(frozen=True, slots=True)
class Button:
    """A button that runs `command` as the person who presses it, under the same policy.

    `primary` marks the main button of the message, `danger` one that removes something.

    With `asks`, such as `Why?`, the chat first asks the person for a text and adds it after `because`.
    If `asks_code` is set, it asks for a one-time code and adds it after `code`.
    """

    label: str
    command: str
    danger: bool = False
    asks: str = ""
    asks_code: bool = False
    primary: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a card's body: a symbol for its tone, a name, and a text about it.

    If `url` passes `web_url`, chats that can do so link the name to it.
    """

    name: str
    text: str
    tone: Tone = Tone.PLAIN
    url: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A page for people. Never built from text that people wrote; shown only if `url` passes `web_url`."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Mention:
    """A person whom the message notifies, if their account is in this chat. `name` is the text to show."""

    identity: Identity
    name: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A time that the texts of a card contain as `text`, such as `14:05 UTC`; `at` is in seconds since the epoch.

    Chats that can do so show it in the zone of each reader.
    """

    text: str
    at: float

    @property
    def has_date(self) -> bool:
        """Return whether the text has a date, too."""
        return "-" in self.text


def split_times(text: str, times: Sequence[Moment]) -> list[tuple[str, Moment | None]]:
    """Return the pieces of a text, and for each that is one of the times the moment that it means.

    A clock time behind a date or a digit belongs to another moment: it stays as it is.
    """
    known = {one.text: one for one in times}
    if not known:
        return [(text, None)]
    texts = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
    pieces = re.split(rf"(?<![\d:.-])(?<!\d )({texts})(?!\w)", text)
    return [(piece, known.get(piece)) for piece in pieces if piece]


@dataclass(frozen=True, slots=True)
class Table:
    """A table. All rows have as many cells as `columns`. `tones`, if given, colours whole rows.

    `narrow` says the essentials in lines of at most `PHONE` columns. Chats that people read on phones show these, and
    fold the rows (`details`).
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    tones: tuple[Tone, ...] = ()
    narrow: tuple[str, ...] = ()

    @property
    def details(self) -> tuple[Line, ...]:
        """Return each row as a line with the names of the columns, if the table has a narrow form."""
        if not self.narrow:
            return ()
        named = (
            [f"{head}: {cell}" for head, cell in zip(self.columns[1:], row[1:], strict=True) if cell]
            for row in self.rows
        )
        return tuple(Line(row[0], ", ".join(cells)) for row, cells in zip(self.rows, named, strict=True))


def narrow_rows(rows: Sequence[Sequence[str]], width: int = PHONE) -> list[str]:
    """Return rows of cells as lines with aligned columns, at most `width` characters wide.

    The widest columns are cut first; `…` replaces the rest of a cell.
    """
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    while sum(widths) + len(widths) - 1 > width:
        widths[widths.index(max(widths))] -= 1
    return [" ".join(_fitted(cell, wide) for cell, wide in zip(row, widths, strict=True)).rstrip() for row in rows]


def _width(text: str) -> int:
    """Return how many columns a text takes: East Asian characters take two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def _fitted(text: str, width: int) -> str:
    """Return a text that takes exactly `width` columns."""
    if _width(text) > width:
        while _width(text) > width - 1:
            text = text[:-1]
        text = f"{text}…"
    return text + " " * (width - _width(text))


@dataclass(frozen=True, slots=True)
class File:
    """A file to send. `path` is local to the bot, `name` is shown to people."""

    path: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One message. `key` is empty for a message that is never edited.

    `code` holds lines in a fixed-width font (a log's tail). `final` means that no edit follows.
    `stream` means that `code` holds only new lines: chats append them if they can, others show the last ones.
    `ok` is False if a script that runs the command should exit with an error.
    `queued` means that the outbox already delivers this card. It is an answer for scripts; chats don't post it again.
    `aside` means that another card, visible to everyone, shows the same. Only the sender gets this one, and after a
    pressed button no one does.
    `wakes` are people whom the chat notifies, each by their account there.
    `notification` marks a message about an event: answers and cards of deployments are delivered first.
    `details` are lines that a chat folds until a person opens them.
    `picks` means that the buttons pick the next part of a command; the next picker may replace this one in place.
    `times` are the times in its texts, which chats show in the reader's zone if they can.
    `listing` is a long list, attached as a file to the final state of a message if the chat takes files.
    """

    title: str
    key: str = ""
    tone: Tone = Tone.PLAIN
    text: str = ""
    lines: tuple[Line, ...] = ()
    table: Table | None = None
    code: tuple[str, ...] = ()
    buttons: tuple[Button, ...] = ()
    files: tuple[File, ...] = ()
    links: tuple[Link, ...] = ()
    footer: str = ""
    hint: str = ""
    private: bool = False
    stream: bool = False
    final: bool = True
    ok: bool = True
    queued: bool = False
    aside: bool = False
    wakes: tuple[Mention, ...] = ()
    notification: bool = False
    listing: tuple[str, ...] = ()
    details: tuple[Line, ...] = ()
    picks: bool = False
    times: tuple[Moment, ...] = ()

    @property
    def asks_reason(self) -> bool:
        """Return whether it only asks its one reader for a reason, which its one button takes."""
        asked = [button.asks for button in self.buttons if not button.asks_code]
        return self.private and not self.ok and len(self.buttons) == 1 and any(asked)

    @property
    def folded(self) -> tuple[Line, ...]:
        """Return what a chat folds: the rows of a table that it shows in its narrow form, and the details."""
        return (*(self.table.details if self.table else ()), *self.details)
