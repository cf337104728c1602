"""What the bot says, before any chat's markup: texts, tables, cards and files, as frozen types.

Every string in here is literal text: a chat escapes it and never reads markup out of it.
A card has a key; saying a card again with the same key edits the message that is already there.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final

from deploybot.domain import Identity

_URL: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:[/?#][!#-&(-;=?-Z_a-z~\[\]]*)?", re.ASCII)
_LONGEST_URL: Final = 1_500


def web_url(text: str) -> str:
    """The address, when it is one that a chat may link; else nothing.

    That is http(s) with a plain host, without a user in it, quotes, blanks or anything but ASCII, and not too long.
    """
    return text if len(text) <= _LONGEST_URL and _URL.fullmatch(text) else ""


class Tone(enum.StrEnum):
    """How a message looks: the colour or the symbol, chosen by each chat. ASK waits for a person's decision."""

    PLAIN = "plain"
    ASK = "ask"
    BUSY = "busy"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Button:
    """A button that runs `command` as the person who presses it, through the same policy.

    `primary` marks the one that the message is about, `danger` one that takes something away.

    With `asks`, such as `Why?`, the chat asks the person for a text first, and adds it after `because`, or
    where `asks_code` is set, a one-time code, after `code`.
    """

    label: str
    command: str
    danger: bool = False
    asks: str = ""
    asks_code: bool = False
    primary: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a card's body: a symbol by its tone, a name, and what is said of it.

    With a `url` that passes `web_url`, a chat that can links the name to it.
    """

    name: str
    text: str
    tone: Tone = Tone.PLAIN
    url: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A page for people. Never made of text that people wrote; shown only where the `url` passes `web_url`."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Mention:
    """A person whom the message wakes, where the chat is theirs; `name` is what people read."""

    identity: Identity
    name: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table. All rows have as many cells as `columns`; `tones` colours whole rows where given."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    tones: tuple[Tone, ...] = ()


@dataclass(frozen=True, slots=True)
class File:
    """A file to hand over. `path` is local to the bot, `name` what people see."""

    path: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One message. `key` is empty for a message that is never edited.

    `code` holds lines shown in a fixed-width font (a log's tail). `final` says that no edit follows.
    `stream` says that `code` holds only what is new: a chat that can append does, others show the last of it.
    `ok` is False where a script that asked should exit with an error. `queued` says that the outbox carries
    this card already: it tells a script what it started, and no chat says it a second time. `aside` says that another
    card, which everybody sees, tells the same: only whoever asked is answered, and a pressed button by that card alone.
    `wakes` are people whom the chat notifies, each by their identity there.
    `notification` marks a message about an event: answers and cards of deployments go first.
    `details` are lines that a chat folds away until somebody opens them.
    `listing` is a long list that goes along as a file with the last state of a message, where the chat takes files.
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
