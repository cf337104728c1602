"""Reads bodies that are not to be trusted: JSON of any shape in, plain values out, and never another exception.

What is absent or of another type than documented reads as empty; `needs` is for what an event cannot do without.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote

from deploybot.webhooks.sender_port import MalformedError, Received

MESSAGE = 2_000
"""The longest message that is kept, in characters."""
TITLE = 300
"""The longest title, name or reference."""
_ADDRESS = 2_000

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})", re.ASCII)
_PAGE = re.compile(
    r"https?://(?P<host>(?:[\w-]+(?:\.[\w-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?)"
    r"(?:[/?#][^\s\x00-\x20\x7f<>\"\\^`{|}\ud800-\udfff]*)?"
)
_OFFSET = re.compile(r" (?=[+-]\d)")
_PLAIN = re.compile(r"[^A-Za-z0-9_.:/ -]")
_KIND = 64
_GIT = re.compile(r"(?:(?:https?|ssh|git)://[^/\s]+/|[^/\s:]+:)/?(?P<path>[^\s?#:/][^\s?#:]*?)(?:\.git)?/?")
_LAST_YEAR = 253402300800.0
"""The year 10000; what is later is no time."""
_MILLISECONDS = 1e11
"""Numbers from here on count milliseconds: in seconds it would be the year 5138."""


class Tree:
    """A JSON value and how to read what lies in it; `path` are names of keys, from here inwards."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def at(self, *path: str) -> Tree:
        """What lies there; an empty one where nothing does."""
        value = self._value
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return Tree(value)

    def text(self, *path: str, cut: int = TITLE) -> str:
        """A text in one line, cut; numbers read as text, too, because some senders write ids so."""
        return " ".join(self.lines(*path, cut=cut).split())

    def lines(self, *path: str, cut: int = MESSAGE) -> str:
        """A text with its lines, cut, without what cannot be shown or stored."""
        value = self.at(*path)._value  # noqa: SLF001 - another of the same class
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
            return str(value)
        return _UNPRINTABLE.sub("", value[:cut]).strip() if isinstance(value, str) else ""

    def needs(self, *path: str, cut: int = TITLE) -> str:
        """A text that has to be there; MalformedError otherwise."""
        found = self.text(*path, cut=cut)
        if not found:
            raise MalformedError(f"The body has no {'.'.join(path)}, which its sender documents.")
        return found

    def number(self, *path: str, default: int = 0) -> int:
        """A whole number, also one that is written as a text."""
        value = self.at(*path)._value  # noqa: SLF001 - another of the same class
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < len(str(1 << 62)):
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63:
            return value
        return default

    def flag(self, *path: str) -> bool:
        """Whether it is true, and nothing that merely counts as true."""
        return self.at(*path)._value is True  # noqa: SLF001 - another of the same class

    def has(self, *path: str) -> bool:
        """Whether anything but null is there."""
        return self.at(*path)._value is not None  # noqa: SLF001 - another of the same class

    def each(self, *path: str, most: int | None = None) -> Iterator[Tree]:
        """What lies in a list, at most so many."""
        value = self.at(*path)._value  # noqa: SLF001 - another of the same class
        for one in (value if isinstance(value, list) else [])[:most]:
            yield Tree(one)

    def count(self, *path: str) -> int:
        """How long a list is; 0 for what is none."""
        value = self.at(*path)._value  # noqa: SLF001 - another of the same class
        return len(value) if isinstance(value, list) else 0

    def lists(self, *path: str) -> bool:
        """Whether a list is there."""
        return isinstance(self.at(*path)._value, list)  # noqa: SLF001 - another of the same class

    def maps(self, *path: str) -> bool:
        """Whether an object is there."""
        return isinstance(self.at(*path)._value, dict)  # noqa: SLF001 - another of the same class

    def single(self, *path: str) -> bool:
        """Whether a text or a number is there."""
        value = self.at(*path)._value  # noqa: SLF001 - another of the same class
        return isinstance(value, str | int | float) and not isinstance(value, bool)

    def pairs(self, *path: str, most: int, cut: int = TITLE) -> tuple[tuple[str, str], ...]:
        """The names and texts of an object, at most so many, in their order."""
        value = self.at(*path)._value  # noqa: SLF001 - another of the same class
        pairs = list(value.items())[:most] if isinstance(value, dict) else []
        return tuple((Tree(name).text(cut=cut), _shown(inner, cut)) for name, inner in pairs)

    def names(self, *path: str) -> tuple[str, ...]:
        """The names in an object, in their order; none for what is no object."""
        value = self.at(*path)._value  # noqa: SLF001 - another of the same class
        return tuple(value) if isinstance(value, dict) else ()

    def page(self, *path: str) -> str:
        """An address of the web that people may be shown, without a name before its host; empty for anything else."""
        found = self.at(*path)._value  # noqa: SLF001 - another of the same class
        whole = isinstance(found, str) and len(found) <= _ADDRESS and _PAGE.fullmatch(found)
        return str(found) if whole else ""

    def commit(self, *path: str) -> str:
        """A full commit; empty for the zeros that stand for none, and for anything else."""
        found = self.text(*path)
        return found if _COMMIT.fullmatch(found) and found.strip("0") else ""

    def time(self, *path: str) -> float:
        """A time in seconds since the epoch, from RFC 3339 and its like, or a number of (milli)seconds."""
        return _time(self.at(*path)._value)  # noqa: SLF001 - another of the same class


def _shown(value: object, cut: int) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else Tree(value).lines(cut=cut)


def _time(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _sane(value / 1000 if _MILLISECONDS <= value < _LAST_YEAR * 1000 else value)
    if not isinstance(value, str) or len(value) > len("2026-01-01 00:00:00.123456789 +00:00") + 1:
        return 0.0
    try:
        read = datetime.fromisoformat(_OFFSET.sub("", value.strip().removesuffix(" UTC")))
        return _sane((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return 0.0


def _sane(seconds: float) -> float:
    # Compared first: a whole number may be too large to become any other.
    return float(seconds) if 0 <= seconds < _LAST_YEAR else 0.0


def under(page: str, *parts: str) -> str:
    """A page below another one, of names that may hold anything; empty where there is no other one, or a name is."""
    return "/".join((page, *(quote(part, safe="/:@+") for part in parts))) if page and all(parts) else ""


def host_of(page: str) -> str:
    """`git.example.com:3000` of a page; empty where there is none."""
    found = _PAGE.fullmatch(page)
    return found["host"] if found else ""


def repository_of(address: str) -> str:
    """`acme/shop` of an address of git, by https, ssh or as scp writes it; empty for anything else."""
    found = _GIT.fullmatch(address)
    return found["path"] if found else ""


def read(received: Received) -> Tree:
    """The object that a body is, as JSON in UTF-8, or as the form field `payload`; MalformedError otherwise."""
    try:
        value = json.loads(_json(received), parse_constant=_refused)
    except (ValueError, RecursionError):
        raise MalformedError("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise MalformedError("The body is JSON, but not an object.")
    return Tree(value)


def _json(received: Received) -> str:
    text = received.body.decode("utf-8-sig")
    if first(received, "content-type").lower().startswith("application/x-www-form-urlencoded"):
        return parse_qs(text, max_num_fields=10).get("payload", [""])[0]
    return text


def _refused(_constant: str) -> None:
    raise ValueError


def first(received: Received, header: str) -> str:
    """A header's first value, empty where there is none: for what proves nothing."""
    return next(iter(received.headers.get(header, ())), "")


def plain(text: str) -> str:
    """A kind or an id as it may stand in a metric or a log: short, ASCII, nothing that means anything there."""
    return _PLAIN.sub("", text[: 4 * _KIND])[:_KIND]
