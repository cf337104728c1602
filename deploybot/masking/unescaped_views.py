"""Decoded views of a text, and where each part of a view is in the text.

A view is the text decoded once: escapes of JSON, URLs, HTML, PHP and shells are replaced by what they mean, and
invisible characters are removed. A joined view has no line ends inside base64 and hexadecimal digits, and nothing
between pairs of hexadecimal digits.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from itertools import combinations, product

from deploybot.masking.byte_patterns import compiled

Span = tuple[int, int]
LEVELS = 3
"""How many nested encodings are decoded."""
_HEX = "0123456789abcdefABCDEF"

_UNSEEN = {
    rb"\xc2": rb"[\x80-\x9f\xad]",  # controls, the soft hyphen
    rb"\xcc": rb"[\x80-\xbf]",  # marks above and below letters
    rb"\xcd": rb"[\x80-\xaf]",
    rb"\xd8": rb"[\x80-\x85\x9c]",
    rb"\xdb": rb"\x9d",
    rb"\xdc": rb"\x8f",
    rb"\xe1": rb"(?:\x85[\x9f\xa0]|\x9e[\xb4\xb5]|\xa0[\x8b-\x8f])",
    rb"\xe2": rb"(?:\x80[\x8b-\x8f\xa8-\xae]|\x81[\xa0-\xaf])",  # joiners, marks of direction
    rb"\xe3": rb"\x85\xa4",
    rb"\xed": rb"[\xa0-\xbf][\x80-\xbf]",  # halves of surrogate pairs
    rb"\xee": rb"[\x80-\xbf]{2}",  # private characters
    rb"\xef": rb"(?:[\x80-\xa3][\x80-\xbf]|\xb8[\x80-\x8f]|\xbb\xbf|\xbe\xa0|\xbf[\xb0-\xbf])",  # including U+FFFD
    rb"\xf0": rb"\x9d\x85[\xb3-\xba]",
    rb"[\xf3\xf4]": rb"[\x80-\xbf]{3}",  # tags, private characters
}
"""Invisible characters in UTF-8: the first byte of each, and the bytes that follow."""
_CONTROL = rb"[\x00-\x08\x0b-\x1f\x7f]"

_ANY_ESCAPE = (
    rb"\\|%[0-9A-Fa-f]{2}|%u[0-9A-Fa-f]{4}|&#?[0-9A-Za-z]{1,31};|'\"'\"'|"
    + _CONTROL
    + b"|"
    + b"|".join(first + rest for first, rest in _UNSEEN.items())
)
# It begins with a set of bytes, which `re` finds fast. Each alternative then looks back at that byte.
_OF_BACKSLASHES = (
    rb"(?<=\\)(?:[^ux0-3\n]|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}"
    rb"|u\{[0-9a-fA-F]{1,6}\}|x[0-9a-fA-F]{2}|[0-3][0-7]{2}|[ux0-3])|"
)
_OF_PERCENTS = rb"(?<=%)(?:[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})|"
_OF_ENTITIES = rb"(?<=&)(?:\#[0-9]{1,7}+|\#[xX][0-9a-fA-F]{1,6}+|[A-Za-z][A-Za-z0-9]{1,30}+);|"
_OF_OTHERS = (
    rb"(?<=')(?:\\''|\"'\"')"
    rb"|(?<=\x1b)(?:\[[0-?]*+[ -/]*+[@-~]?|[\]PX^_]|[ -/]*+[0-~])"
    rb"|(?<=" + _CONTROL + rb")|" + b"|".join(b"(?<=" + first + b")" + rest for first, rest in _UNSEEN.items())
)
_FIRST = rb"'\x00-\x08\x0b-\x1f\x7f\xc2\xcc\xcd\xd8\xdb\xdc\xe1-\xe3\xed-\xf0\xf3\xf4]"
_KINDS = {b"\\": _OF_BACKSLASHES, b"%": _OF_PERCENTS, b"&": _OF_ENTITIES}
"""What follows the first byte of an escape that a value may contain too, as part of it."""
ALL_DECODED: frozenset[bytes] = frozenset()
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"", b"e": b"\x1b", b"0": b"", b"a": b"", b"b": b"", b"f": b"", b"v": b""}


class _Meanings(dict[bytes, bytes]):
    """The meaning of each escape. Meanings of escapes with many variants are computed."""

    def __missing__(self, token: bytes) -> bytes:
        return _worked_out(token)


@cache
def _meanings() -> _Meanings:
    """Return the table. It takes memory, so it is made only when the first escape is seen."""
    from html.entities import html5  # noqa: PLC0415  see above

    return _Meanings(
        {
            **{
                f"{before}{high}{low}".encode(): bytes.fromhex(high + low)
                for before in ("%", "\\x")
                for high, low in product(_HEX, repeat=2)
            },
            **{
                f"&{name}".encode(): sign.encode()
                for name, sign in html5.items()
                if name.endswith(";") and len(sign) == 1
            },
            **{bytes((92, byte)): _LETTERS.get(bytes((byte,)), bytes((byte,))) for byte in range(256)},
            b"'\\''": b"'",
            b"'\"'\"'": b"'",
        }
    )


# No group here has a possessive quantifier: Python 3.11 before 3.11.5 loses matches with one (gh-106052).
_PREFIX = (
    rb"(?:\d{4}-\d\d-\d\d[T ][\d:.,]{5,20}+(?:Z|[+-]\d\d:?\d\d)?[ ])?"  # times of the Engine and others
    rb"(?:[A-Z][a-z]{2}[ ][ \d]\d[ ]\d\d:\d\d:\d\d[ ]\S{1,64}+[ ]\S{1,64}+[ ])?"  # syslog's prefix
    rb"(?:[\w./-]{1,64}+[ ]*+\|[ ]?)?[ \t]*+"  # the name of a service
)
_DIGIT = rb"[A-Za-z0-9+/_-]"
# Lines that continue have at least 32 digits: wrapped lines have 60 or more.
_WRAP = re.compile(
    rb"\n(?:(?<=" + _DIGIT + rb"{32}\n)|(?<=" + _DIGIT + rb"{32}\r\n))" + _PREFIX + rb"(?=[A-Za-z0-9+/_=-])"
)
_ANY_WRAP = _DIGIT + rb"{32}\r?\n"
_PAIR = rb"[0-9A-Fa-f]{2}"
_BETWEEN = re.compile(
    rb"(?:[: ,-](?<=" + _PAIR + rb"[: ,-])|,[ ](?<=" + _PAIR + rb",[ ])|,[ ]0x(?<=" + _PAIR + rb",[ ]0x)"
    rb"|,0x(?<=" + _PAIR + rb",0x)|[ ]0x(?<=" + _PAIR + rb"[ ]0x))(?=" + _PAIR + rb")"
)
_ANY_PAIRS = (
    rb"(?:" + _PAIR + rb"[: ,-]){5}|(?:" + _PAIR + rb", ?(?:0x)?){5}|(?:" + _PAIR + rb" 0x){5}|(?:[0-9A-Fa-f]{4} ){2}"
)
ANY = b"|".join((_ANY_ESCAPE, _ANY_WRAP, _ANY_PAIRS))
"""Matches everything in a text that may need a view."""


class View:
    """A text that was decoded once, or joined. `data` is the result."""

    def __init__(self, text: bytes, tokens: re.Pattern[bytes], decoded: dict[bytes, bytes] | None = None) -> None:
        """Replace all tokens by their meaning, or remove them."""
        self.data = tokens.sub(b"" if decoded is None else lambda found: decoded[found[0]], text)
        self._text = text
        self._tokens = tokens
        self._decoded = decoded
        self._starts: list[int] = []
        self._pieces: list[Span] = []

    def back(self, spans: list[Span]) -> list[Span]:
        """Return where these parts of the view are in the text."""
        if not self._starts:
            self._note_pieces()
        return [(self._span(start)[0], self._span(end - 1)[1]) for start, end in spans]

    def _note_pieces(self) -> None:
        """Store for each piece of the view, in order, where it begins in the view and its span in the text."""
        view = last = 0
        for found in self._tokens.finditer(self._text):
            start, end = found.span()
            if start > last:
                self._note(view, last, 0)
                view += start - last
            decoded = len(self._decoded[found[0]]) if self._decoded is not None else 0
            if decoded:
                self._note(view, start, end)
            view, last = view + decoded, end
        self._note(view, last, 0)

    def _note(self, view: int, start: int, end: int) -> None:
        """Store one piece. `end` is 0 for a piece that is in the text unchanged."""
        self._starts.append(view)
        self._pieces.append((start, end))

    def _span(self, view: int) -> Span:
        """Return the span in the text of one byte of the view."""
        number = bisect_right(self._starts, view) - 1
        start, end = self._pieces[number]
        if end:
            return start, end
        position = start + view - self._starts[number]
        return position, position + 1


def unescaped(text: bytes, kept: frozenset[bytes] = ALL_DECODED) -> View | None:
    """Return the text with one level of escapes decoded, or None if it has none.

    Escapes that begin with one of the bytes in `kept` stay: they are part of a value, beside other escapes of it.
    """
    if not compiled(_ANY_ESCAPE).search(text):
        return None
    view = View(text, _escapes(kept), _meanings())
    return view if view.data != text else None


@cache
def _escapes(kept: frozenset[bytes]) -> re.Pattern[bytes]:
    """Return the pattern for all escapes, but for those that begin with one of these bytes."""
    kinds = {first: rest for first, rest in _KINDS.items() if first not in kept}
    firsts = b"".join(re.escape(first) for first in kinds)
    return re.compile(b"[" + firsts + _FIRST + b"(?:" + b"".join(kinds.values()) + _OF_OTHERS + b")")


def readings_of(value: bytes) -> Iterator[frozenset[bytes]]:
    """Yield each choice of escapes that may be part of this value, and so have to stay in a view."""
    kinds = [first for first, rest in _KINDS.items() if re.search(re.escape(first) + b"(?:" + rest[:-1] + b")", value)]
    for count in range(len(kinds) + 1):
        yield from map(frozenset, combinations(kinds, count))


def joined(text: bytes) -> Iterator[View]:
    """Yield the text with wrapped base64 and with separated hexadecimal digits joined, if it may have any."""
    if compiled(_ANY_WRAP).search(text):
        yield View(text, _WRAP)
    if compiled(_ANY_PAIRS).search(text):
        yield View(text, _BETWEEN)


def _worked_out(token: bytes) -> bytes:
    """Return the meaning of an escape, or nothing for an invisible character."""
    first = token[:1]
    if first == b"&":
        return _entity(token[1:-1], token)
    if first == b"%":
        return _sign(token[2:], 16)
    if first == b"\\":
        return _of_backslash(token[1:])
    return b""


def _entity(name: bytes, token: bytes) -> bytes:
    """Return the character of an HTML entity. An unknown name stays unchanged."""
    if name[:1] != b"#":
        return token
    return _sign(name[2:], 16) if name[1:2] in {b"x", b"X"} else _sign(name[1:], 10)


def _of_backslash(token: bytes) -> bytes:
    if token[:1] != b"u":
        return bytes((int(token, 8),))
    if len(token) == len(b"ud83d\\ude00"):
        return _sign(b"%x" % (0x10000 + ((int(token[1:5], 16) - 0xD800) << 10) + int(token[7:], 16) - 0xDC00), 16)
    return _sign(token[1:].strip(b"{}"), 16)


def _sign(digits: bytes, base: int) -> bytes:
    """Return a character by its number, or nothing if there is no such character."""
    number = int(digits, base)
    return chr(number).encode("utf-8", "surrogatepass") if number <= sys.maxunicode else b""
