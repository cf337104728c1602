"""Text as Telegram reads it: HTML parse mode, and what it links by itself.

The rules are those of TDLib's `MessageEntity.cpp` (`parse_html`, `match_mentions`, `match_bot_commands`,
`match_hashtags`, `match_cashtags`, `match_urls`), which the Bot API server is built on; where a client and the server
differ, the stricter one is taken: any ending of two letters makes a domain.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field

LONGEST = 4096
_ENTITIES = 100
_TAGS = {
    "tg-time": "time",
    "b": "b",
    "strong": "b",
    "i": "i",
    "em": "i",
    "u": "u",
    "ins": "u",
    "s": "s",
    "strike": "s",
    "del": "s",
    "a": "a",
    "code": "code",
    "pre": "pre",
    "span": "span",
    "tg-spoiler": "span",
    "tg-emoji": "span",
    "blockquote": "blockquote",
}
_ATTRIBUTE = re.compile(r"""\s*([A-Za-z0-9_-]+)(?:\s*=\s*("[^"]*"|'[^']*'|[A-Za-z0-9._-]+))?""")
_TIME = {"unix": re.compile("[0-9]{1,12}"), "format": re.compile("r|w?[dD]?[tT]?")}
_NEVER = re.compile(r"(?!)")
_HOLDS_NO_TIME = {"a", "code", "pre", "blockquote", "tg-time"}
"""Entities of other kinds cannot contain each other; bold and italic text can contain a time."""
_PLAIN = re.compile("[^<&]+")
_REFERENCE = re.compile(r"&(lt|gt|amp|quot|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});")
_AUTO = {
    "mention": re.compile(r"(?<!\w)@[A-Za-z0-9_]{2,32}(?!\w)"),
    "bot_command": re.compile(r"(?<![\w/<>])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?(?![\w/<>])"),
    "hashtag": re.compile(r"(?<![\w\u200c\u00b7])#(?=\w*[^\W\d_])[\w\u200c]{1,256}(?!\w*#)"),
    "cashtag": re.compile(r"(?<![$\w])\$(?:1INCH|[A-Z]{1,8})(?![$\w])"),
    "url": re.compile(
        r"(?:[a-z][a-z0-9+-]*://[^\s\u2000-\u200b\u200e\u200f\u2016-\u206f]+)"
        r"|(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])"
        r"|(?:[\w~-]+\.)+(?:[^\W\d_]{2,}|xn--\w+)",
        re.IGNORECASE,
    ),
    "phone_number": re.compile(r"(?<!\w)\+\d[\d ()-]{5,}\d"),
}
_LITERAL = frozenset({"code", "pre", "a"})


class Refused(Exception):
    """What the Bot API answers with `ok: false`: the description, and the HTTP status."""

    def __init__(self, description: str, code: int = 400, **parameters: int) -> None:
        """Take what stands in the answer; `breach` is whether the bot is to blame."""
        super().__init__(description)
        self.description = description
        self.code = code
        self.parameters = parameters


@dataclass(frozen=True, slots=True)
class Entity:
    """A part of a text that is more than text; offsets are in characters."""

    kind: str
    start: int
    end: int
    value: str = ""


@dataclass(slots=True)
class Read:
    """A text as people see it."""

    text: str
    html: str
    entities: list[Entity] = field(default_factory=list)

    @property
    def pings(self) -> tuple[str, ...]:
        """Whom it wakes by name."""
        named = [self.text[one.start : one.end] for one in self.entities if one.kind == "mention"]
        return (*named, *(one.value for one in self.entities if one.kind == "text_mention"))


def units(text: str) -> int:
    """The length as Telegram counts it: UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def read(text: str, parse_mode: str = "", *, longest: int = LONGEST) -> Read:
    """What people see of a text. Raises Refused as the Bot API does."""
    if parse_mode not in {"", "HTML"}:
        raise Refused("Bad Request: unsupported parse_mode")
    seen = _Parser(text).parse() if parse_mode else Read(text, html.escape(text))
    if not seen.text.strip():
        raise Refused("Bad Request: message text is empty" if longest == LONGEST else "Bad Request: caption is empty")
    if units(seen.text) > longest:
        raise Refused("Bad Request: message is too long" if longest == LONGEST else "Bad Request: caption is too long")
    if len(seen.entities) > _ENTITIES:
        raise Refused(f"(double) {len(seen.entities)} entities: all after the first {_ENTITIES} would be lost")
    seen.entities += _found(seen)
    return seen


def _found(seen: Read) -> list[Entity]:
    """What is linked without having been asked for: everywhere but in code and in links."""
    hidden = [one for one in seen.entities if one.kind in _LITERAL]
    return [
        Entity(kind, match.start(), match.end())
        for kind, pattern in _AUTO.items()
        for match in pattern.finditer(seen.text)
        if not any(one.start <= match.start() < one.end for one in hidden)
    ]


@dataclass(slots=True)
class _Open:
    """A tag that is not closed yet."""

    name: str
    start: int
    value: str


class _Parser:
    """One reading of HTML; errors name byte offsets, as the real ones do."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._out: list[str] = []
        self._length = 0
        self._html: list[str] = []
        self._open: list[_Open] = []
        self._entities: list[Entity] = []

    def parse(self) -> Read:
        """Read it all."""
        while self._at < len(self._text):
            sign = self._text[self._at]
            if sign == "<":
                self._tag()
            elif sign == "&" and (match := _REFERENCE.match(self._text, self._at)):
                self._put(html.unescape(match[0]))
                self._at = match.end()
            else:
                end = plain.end() if (plain := _PLAIN.match(self._text, self._at)) else self._at + 1
                self._put(self._text[self._at : end])
                self._at = end
        if self._open:
            raise self._wrong(f'Can\'t find end tag corresponding to start tag "{self._open[-1].name}"')
        return self._trimmed()

    def _put(self, text: str) -> None:
        self._out.append(text)
        self._length += len(text)
        self._html.append(html.escape(text))

    def _wrong(self, what: str) -> Refused:
        return Refused(f"Bad Request: can't parse entities: {what}")

    def _offset(self, at: int) -> int:
        return len(self._text[:at].encode())

    def _tag(self) -> None:
        begin = self._at
        end = self._text.find(">", begin)
        if end < 0:
            kind = "end" if self._text[begin + 1 : begin + 2] == "/" else "start"
            raise self._wrong(f"Unclosed {kind} tag at byte offset {self._offset(begin)}")
        inner = self._text[begin + 1 : end]
        self._at = end + 1
        if inner.startswith("/"):
            self._close(inner[1:].strip().lower(), begin)
            return
        name = re.split(r"[\s/]", inner, maxsplit=1)[0].lower()
        if name not in _TAGS:
            raise self._wrong(f'Unsupported start tag "{name}" at byte offset {self._offset(begin)}')
        value = self._value(name, inner[len(name) :], begin)
        if name == "tg-time" and (value or {one.name for one in self._open} & _HOLDS_NO_TIME):
            raise self._wrong(f"(double) a time has {value or 'a place where it is lost'}")
        self._open.append(_Open(name, self._length, value))
        self._html.append(f"<{_TAGS[name]}>" if name != "a" else f'<a href="{html.escape(value)}">')

    def _value(self, name: str, rest: str, begin: int) -> str:
        value, at = "", 0
        while rest[at:].strip():
            match = _ATTRIBUTE.match(rest, at)
            if match is None:
                raise self._wrong(f"Expected equal sign in declaration of an attribute of the tag "
                                  f'"{name}" at byte offset {self._offset(begin)}')  # fmt: skip
            if name == "tg-time" and not _TIME.get(match[1].lower(), _NEVER).fullmatch((match[2] or "").strip("\"'")):
                value = f"a wrong {match[1]}"
            if (name, match[1].lower()) in {("a", "href"), ("code", "class"), ("tg-emoji", "emoji-id")}:
                value = html.unescape((match[2] or "").strip("\"'"))
            at = match.end()
        return value

    def _close(self, name: str, begin: int) -> None:
        if not self._open:
            raise self._wrong(f"Unexpected end tag at byte offset {self._offset(begin)}")
        opened = self._open.pop()
        if name and name != opened.name:
            raise self._wrong(
                f"Unmatched end tag at byte offset {self._offset(begin)}, "
                f'expected "</{opened.name}>", found "</{name}>"'
            )
        self._html.append(f"</{_TAGS[opened.name]}>")
        if self._length > opened.start:
            user = re.fullmatch(r"tg://user\?id=(\d+)", opened.value)
            kind = "text_mention" if user else _TAGS[opened.name]
            self._entities.append(Entity(kind, opened.start, self._length, user[1] if user else opened.value))

    def _trimmed(self) -> Read:
        text = "".join(self._out)
        kept = text.lstrip()
        shift = len(text) - len(kept)
        kept = kept.rstrip()
        moved = [
            Entity(one.kind, max(one.start - shift, 0), min(one.end - shift, len(kept)), one.value)
            for one in self._entities
        ]
        return Read(kept, "".join(self._html).strip(), [one for one in moved if one.end > one.start])
