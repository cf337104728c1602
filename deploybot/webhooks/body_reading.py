"""Read untrusted bodies: JSON of any shape in, plain values out. The only error is MalformedError.

Values that are missing or of an undocumented type read as empty. `needs` is for values that an event requires.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote

from deploybot.webhooks.sender_port import MalformedError, Received

MESSAGE = 2_000
"""The maximum length of a stored message, in characters."""
TITLE = 300
"""The maximum length of a title, name or reference."""
_ADDRESS = 2_000

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_ASCII_SPACE = " \t\n\r"
_SPACE = re.compile(r"\s+")
_COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})", re.ASCII)
_PAGE = re.compile(
    r"https?://(?P<host>(?:[\w-]+(?:\.[\w-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?)"
    r"(?:[/?#][^\s\x00-\x20\x7f<>\"\\^`{|}\ud800-\udfff]*)?"
)
_OFFSET = re.compile(r" (?=[+-]\d)")
_PLAIN = re.compile(r"[^A-Za-z0-9_.:/ -]")
_KIND = 64
_GIT = re.compile(
    r"(?:(?:https?|ssh|git)://(?P<host>[^/\s]+)/|(?P<scp>[^/\s:]+):)/?(?P<path>[^\s?#:/][^\s?#:]*?)(?:\.git)?/?"
)
_LAST_YEAR = 253402300800.0
"""The year 10000. Later times are invalid."""
_MILLISECONDS = 1e11
"""Numbers from here on count milliseconds. In seconds this would be the year 5138."""


class Tree:
    """A JSON value and methods that read the values in it. `path` is a list of keys, from this value inwards."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def at(self, *path: str) -> Tree:
        """Return the value at a path, or an empty one if there is none."""
        value = self._value
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return Tree(value)

    def text(self, *path: str, cut: int = TITLE) -> str:
        """Return a text on one line, cut. Numbers are read as text, too, because some senders write ids that way.

        White space that a branch's name may contain becomes a blank, at its ends, too: no branch has one.
        """
        found = _SPACE.sub(" ", self.lines(*path, cut=cut))
        return found if found != " " else ""

    def lines(self, *path: str, cut: int = MESSAGE) -> str:
        """Return a text with its lines, cut, without characters that cannot be shown or stored."""
        value = self.at(*path)._value  # noqa: SLF001 - another of the same class
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
            return str(value)
        return _UNPRINTABLE.sub("", value[:cut]).strip(_ASCII_SPACE) if isinstance(value, str) else ""

    def needs(self, *path: str, cut: int = TITLE) -> str:
        """Return a required text. Raises MalformedError otherwise."""
        found = self.text(*path, cut=cut)
        if not found:
            raise MalformedError(f"The body has no {'.'.join(path)}, which its sender documents.")
        return found

    def number(self, *path: str, default: int = 0) -> int:
        """Return a whole number that is not negative, also one written as text."""
        value = self.at(*path)._value  # noqa: SLF001 - another of the same class
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < len(str(1 << 62)):
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63:
            return value
        return default

    def flag(self, *path: str) -> bool:
        """Return whether the value is exactly true."""
        return self.at(*path)._value is True  # noqa: SLF001 - another of the same class

    def has(self, *path: str) -> bool:
        """Return whether there is any value but null."""
        return self.at(*path)._value is not None  # noqa: SLF001 - another of the same class

    def each(self, *path: str, most: int | None = None) -> Iterator[Tree]:
        """Yield the values in a list, at most `most`."""
        value = self.at(*path)._value  # noqa: SLF001 - another of the same class
        for one in (value if isinstance(value, list) else [])[:most]:
            yield Tree(one)

    def count(self, *path: str) -> int:
        """Return the length of a list, or 0 for anything else."""
        value = self.at(*path)._value  # noqa: SLF001 - another of the same class
        return len(value) if isinstance(value, list) else 0

    def lists(self, *path: str) -> bool:
        """Return whether the value is a list."""
        return isinstance(self.at(*path)._value, list)  # noqa: SLF001 - another of the same class

    def maps(self, *path: str) -> bool:
        """Return whether the value is an object."""
        return isinstance(self.at(*path)._value, dict)  # noqa: SLF001 - another of the same class

    def single(self, *path: str) -> bool:
        """Return whether the value is a text or a number."""
        value = self.at(*path)._value  # noqa: SLF001 - another of the same class
        return isinstance(value, str | int | float) and not isinstance(value, bool)

    def pairs(self, *path: str, most: int, cut: int = TITLE) -> tuple[tuple[str, str], ...]:
        """Return the names and texts of an object, in their order, at most `most`."""
        value = self.at(*path)._value  # noqa: SLF001 - another of the same class
        pairs = list(value.items())[:most] if isinstance(value, dict) else []
        return tuple((Tree(name).text(cut=cut), _shown(inner, cut)) for name, inner in pairs)

    def names(self, *path: str) -> tuple[str, ...]:
        """Return the names in an object, in their order, or none for anything else."""
        value = self.at(*path)._value  # noqa: SLF001 - another of the same class
        return tuple(value) if isinstance(value, dict) else ()

    def page(self, *path: str) -> str:
        """Return a web address that may be shown to people, without user info before its host, or an empty text."""
        found = self.at(*path)._value  # noqa: SLF001 - another of the same class
        whole = isinstance(found, str) and len(found) <= _ADDRESS and _PAGE.fullmatch(found)
        return str(found) if whole else ""

    def commit(self, *path: str) -> str:
        """Return a full commit. Zeros, which mean that there is none, and all else give an empty text."""
        found = self.text(*path)
        return found if _COMMIT.fullmatch(found) and found.strip("0") else ""

    def time(self, *path: str) -> float:
        """Return a time in seconds since the epoch, from RFC 3339 and similar texts, or from (milli)seconds."""
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
    # Compared first: a whole number may be too large for a float.
    return float(seconds) if 0 <= seconds < _LAST_YEAR else 0.0


def under(page: str, *parts: str) -> str:
    """Return a page below another one; its parts may hold any text. It is empty if the page or a part is."""
    return "/".join((page, *(quote(part, safe="/:@+") for part in parts))) if page and all(parts) else ""


def host_of(page: str) -> str:
    """Return `git.example.com:3000` for a page, or an empty text."""
    found = _PAGE.fullmatch(page)
    return found["host"] if found else ""


def repository_of(address: str) -> str:
    """Return `acme/shop` for a git address by https, ssh or in scp form, or an empty text."""
    found = _GIT.fullmatch(address)
    return found["path"] if found else ""


def host_in(address: str) -> str:
    """Return `git.example.com:22` for a git address, or an empty text."""
    found = _GIT.fullmatch(address)
    return (found["host"] or found["scp"]).rpartition("@")[2] if found else ""


def read(received: Received) -> Tree:
    """Read the JSON object in a body, in UTF-8 or in the form field `payload`. Raises MalformedError otherwise."""
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
    """Return a header's first value, or an empty text. Not for headers that prove something."""
    return next(iter(received.headers.get(header, ())), "")


def plain(text: str) -> str:
    """Return a kind or id that is safe in a metric or a log: short and ASCII, without special characters."""
    return _PLAIN.sub("", text[: 4 * _KIND])[:_KIND]


def delivery_id(text: str) -> str:
    """Return a sender's id of a delivery in a form that is safe in a log, and different for different ids."""
    return text if text == plain(text) else hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
