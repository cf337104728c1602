"""Secrets never leave: known values and common shapes are masked in every text that goes out.

A `Redactor` is told the values when bot.toml is read. Each is masked also where it stands base64 or
URL encoded. `Stream` does the same for text that arrives in chunks, so a value cut in two is found.

Most text holds no secret, so a gate looks first: one pattern of four bytes ("gram") out of every value, chosen
where its first byte is rare in logs, tells which values can be there at all. It reads about 150 MB/s, whether
there are three values or a thousand.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "•••"
_MASK = MASK.encode()
_SHORTEST = 4
_GRAM = 4
_KEY_SIZE = 16_384
"""No private key is longer; so far a `BEGIN` without an `END` is believed."""
_TOKEN_SIZE = 4096
_REMEMBERED = 256

_COMMON = b' etaoinsrhldcumfpgwybvk0123456789./:-=_"TASEINORCDLMPBFGHUVWkxjqz'
_RANK = {byte: len(_COMMON) - place for place, byte in enumerate(_COMMON)}
"""How common a byte is in logs: the rarer the first byte of a gram, the less often the gate looks closer."""


def _shape(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern)


_SHAPES: dict[tuple[bytes, ...], re.Pattern[bytes]] = {
    (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"): _shape(rb"gh[pousr]_[A-Za-z0-9]{20,}"),
    (b"_pat",): _shape(rb"github_pat_[A-Za-z0-9_]{20,}"),
    (b"pat-",): _shape(rb"glpat-[A-Za-z0-9_-]{16,}"),
    (b"xoxa", b"xoxb", b"xoxe", b"xoxp", b"xoxr", b"xoxs"): _shape(rb"xox[abeprs]-[A-Za-z0-9-]{10,}"),
    (b"xapp",): _shape(rb"xapp-[A-Za-z0-9-]{10,}"),
    (b"AKIA",): _shape(rb"AKIA[0-9A-Z]{16}"),
    # From the beginning of a word to the first `eyJ` in it: a word that is full of them would take minutes otherwise.
    (b".eyJ",): _shape(
        rb"(?<![A-Za-z0-9_-])(?>[A-Za-z0-9_-]*?(?=eyJ))(eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?)"
    ),
    (b"sec_",): _shape(rb"whsec_[A-Za-z0-9+/=]{16,}"),
    (b"zati", b"ZATI"): _shape(rb"""(?i:(?<=authorization)["']?\s*[:=]\s*["']?(?:bearer|basic|token)\s+)[^\s"',]+"""),
}
"""Shapes of secrets by the grams of which one is in every match. The secret is the group where there is one."""

# These have no gram, but begin with a literal, which is searched for as fast.
_URL_PASSWORD = _shape(rb"://[^\s:/@]+:[^\s/@]+@")
_TELEGRAM = _shape(rb":(?<=[0-9]{6}:)[A-Za-z0-9_-]{30,}")

_KEY_EDGE = _shape(rb"-----(BEGIN|END) [A-Z ]*PRIVATE KEY-----")
_KEY_BODY = _shape(rb"[A-Za-z0-9+/=]{16,}")
_TOKEN = _shape(rb"[A-Za-z0-9_+/=.%-]*")


def _forms(value: str) -> set[bytes]:
    """The ways one secret may stand in a text, also as Python and JSON write it; base64 at each of three alignments."""
    raw = value.encode()
    forms = {raw, quote(value, safe="").encode(), quote_plus(value).encode()}
    forms.update(written[1:-1].encode() for written in (repr(value), json.dumps(value)))
    forms.update(line for line in raw.splitlines() if len(line.strip()) >= _SHORTEST * 2)
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw).rstrip(b"=")
        start = (0, 2, 3)[shift]
        stable = coded[start : len(coded) - (1 if (len(raw) + shift) % 3 else 0)]
        forms.update((stable, stable.replace(b"+", b"-").replace(b"/", b"_")))
    return {form for form in forms if len(form) >= _SHORTEST}


def _gram(form: bytes, chosen: set[int]) -> bytes:
    """The gram of a form that costs the gate least, given the first bytes it looks for already."""
    best = min(
        range(len(form) - _GRAM + 1),
        key=lambda place: (3 if form[place] not in chosen else 0) + _RANK.get(form[place], 0),
    )
    chosen.add(form[best])
    return form[best : best + _GRAM]


def _any_of(words: Iterable[bytes]) -> bytes:
    """A pattern for one of several words of one length, which never tries two of them from their beginning."""
    tails: dict[bytes, list[bytes]] = {}
    for word in sorted(set(words)):
        tails.setdefault(word[:1], []).append(word[1:])
    parts = [re.escape(first) + (_any_of(rest) if rest[0] else b"") for first, rest in tails.items()]
    return b"(?:" + b"|".join(parts) + b")"


class Redactor:
    """Masks secrets. Values shorter than four characters cannot be masked and are refused by the config."""

    def __init__(self, values: tuple[str, ...] = ()) -> None:
        """Take the values known from the start."""
        self._forms: set[bytes] = set()
        self.longest = 0
        self.of_lines: tuple[bytes, ...] = ()
        self.learn(*values)

    def learn(self, *values: str) -> None:
        """Mask these values, too, from now on."""
        for value in values:
            if len(value) >= _SHORTEST:
                self._forms |= _forms(value)
        self.longest = max(map(len, self._forms), default=0)
        self.of_lines = tuple(form for form in self._forms if b"\n" in form)
        self._by_gram: dict[bytes, list[bytes]] = {}
        chosen: set[int] = {gram[0] for grams in _SHAPES for gram in grams}
        for form in sorted(self._forms, key=lambda form: (len(form), form)):
            self._by_gram.setdefault(_gram(form, chosen), []).append(form)
        self._gate = re.compile(_any_of([*self._by_gram, *(gram for grams in _SHAPES for gram in grams)]))
        self._known: dict[frozenset[bytes], tuple[re.Pattern[bytes], ...]] = {}

    def text(self, text: str) -> str:
        """The text with every known value and every common shape masked."""
        return self.data(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def data(self, data: bytes) -> bytes:
        """The same for text in UTF-8, valid or not."""
        for pattern in self._suspects(data):
            data = pattern.sub(_hidden, data)
        data = _URL_PASSWORD.sub(b"://" + _MASK + b"@", data)
        data = _TELEGRAM.sub(b":" + _MASK, data)
        return _mask_keys(data) if b" PRIVATE KEY-----" in data else data

    def before(self, data: bytes, place: int) -> int:
        """Where the secret begins that `place` would cut in two; `place` itself where there is none."""
        patterns = (*self._suspects(data), _URL_PASSWORD, _TELEGRAM)
        spans = [match.span(match.lastindex or 0) for pattern in patterns for match in pattern.finditer(data)]
        return min((start for start, end in (*spans, *_keys(data)) if start < place < end), default=place)

    def _suspects(self, data: bytes) -> tuple[re.Pattern[bytes], ...]:
        """The patterns that may match in `data`, because a gram of theirs is there."""
        grams = frozenset(self._grams(data))
        if grams and grams not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[grams] = tuple(self._patterns(grams))
        return self._known[grams] if grams else ()

    def _grams(self, data: bytes) -> Iterator[bytes]:
        """The gate's grams in `data`, also where they overlap."""
        match = self._gate.search(data)
        while match:
            yield match[0]
            match = self._gate.search(data, match.start() + 1)

    def _patterns(self, grams: frozenset[bytes]) -> Iterator[re.Pattern[bytes]]:
        forms = [form for gram in grams for form in self._by_gram.get(gram, ())]
        if forms:
            yield re.compile(b"|".join(map(re.escape, sorted(forms, key=len, reverse=True))))
        for of_shape, pattern in _SHAPES.items():
            if not grams.isdisjoint(of_shape):
                yield pattern


def _hidden(match: re.Match[bytes]) -> bytes:
    """What a pattern matched, with the secret in it masked."""
    return match[0][: match.start(match.lastindex or 0) - match.start()] + _MASK


Span = tuple[int, int]


def _keys(data: bytes) -> list[Span]:
    """Where whole private keys are; one pass."""
    edges = [*_KEY_EDGE.finditer(data)]
    ends = iter([edge for edge in edges if edge[1] == b"END"])
    end = next(ends, None)
    found: list[Span] = []
    for begin in edges:
        if begin[1] == b"END" or (found and begin.start() < found[-1][1]):
            continue
        while end is not None and end.start() < begin.end():
            end = next(ends, None)
        if end is not None and end.start() - begin.end() <= _KEY_SIZE:
            found.append((begin.start(), end.end()))
    return found


def _halves(data: bytes) -> list[Span]:
    """Where the bodies may be of keys whose begin or end is missing, once the whole ones are masked."""
    found: list[Span] = []
    for edge in _KEY_EDGE.finditer(data):
        after = edge[1] == b"BEGIN"
        start, end = (edge.end(), edge.end() + _KEY_SIZE) if after else (max(0, edge.start() - _KEY_SIZE), edge.start())
        while found and start <= found[-1][1]:
            start, end = min(start, found[-1][0]), max(end, found[-1][1])
            found.pop()
        found.append((start, end))
    return found


def _changed(data: bytes, spans: Iterable[Span], change: Callable[[bytes], bytes]) -> bytes:
    """The data with these parts of it changed; they are sorted and lie apart."""
    parts: list[bytes] = []
    place = 0
    for start, end in spans:
        parts += (data[place:start], change(data[start:end]))
        place = end
    return b"".join((*parts, data[place:]))


def _mask_keys(data: bytes) -> bytes:
    """Mask private keys; of one whose begin or end is missing, what looks like its body."""
    data = _changed(data, _keys(data), lambda _: _MASK)
    return _changed(data, _halves(data), lambda part: _KEY_BODY.sub(_MASK, part))


class Stream:
    """Masks text that arrives in chunks, line by line, so that no secret slips through between two chunks.

    What cannot be decided yet is held back: a line without its end, up to `hold` bytes of it, and the lines of a
    private key or of a known value that has begun. `prepare` cleans the lines before they are masked.
    """

    def __init__(
        self, redactor: Redactor, *, prepare: Callable[[bytes], bytes] | None = None, hold: int = 65_536
    ) -> None:
        """Use what `redactor` knows, also what it learns later."""
        self._redactor = redactor
        self._prepare = prepare
        self._hold = hold
        self._held = b""
        self._swallow = False

    @property
    def pending(self) -> int:
        """How many of the bytes fed have not come out yet: who keeps an offset steps back by so many."""
        return len(self._held)

    def feed(self, data: bytes) -> bytes:
        """Take the next chunk; the masked text that is certain now."""
        buffer = self._held + data
        if self._swallow:
            buffer = self._swallowed(buffer)
        cut = self._cut(buffer)
        self._held = buffer[cut:]
        return self._masked(buffer[:cut])

    def flush(self) -> bytes:
        """The masked rest, when nothing more will come."""
        rest, self._held, self._swallow = self._held, b"", False
        return self._masked(rest)

    def _masked(self, data: bytes) -> bytes:
        if not data:
            return data
        return self._redactor.data(self._prepare(data) if self._prepare else data)

    def _swallowed(self, buffer: bytes) -> bytes:
        """Drop the rest of a token that was too long to hold, of which the beginning was masked."""
        match = _TOKEN.match(buffer)
        rest = buffer[match.end() :] if match else buffer
        self._swallow = not rest
        return rest

    def _cut(self, buffer: bytes) -> int:
        """Up to where the buffer can be masked now."""
        cut = buffer.rfind(b"\n") + 1
        hold = max(self._hold, 4 * self._redactor.longest)
        if len(buffer) - cut > hold:
            return self._cut_line(buffer)
        return min(cut, self._open_key(buffer, cut), self._open_value(buffer, cut))

    def _cut_line(self, buffer: bytes) -> int:
        """Cut in the middle of a line that is too long to hold, but not through anything that is a secret."""
        cut = len(buffer) - max(self._redactor.longest, _TOKEN_SIZE)
        whole = self._redactor.before(buffer, cut)
        if whole == 0:
            self._swallow = True
            return len(buffer)
        return whole

    def _open_key(self, buffer: bytes, cut: int) -> int:
        """Where a private key begins that has not ended before the cut."""
        begin = buffer.rfind(b"-----BEGIN ", max(0, cut - _KEY_SIZE), cut)
        edge = _KEY_EDGE.match(buffer, begin) if begin >= 0 else None
        return begin if edge and not _keys(buffer[begin:cut]) else cut

    def _open_value(self, buffer: bytes, cut: int) -> int:
        """Where a known value of several lines begins that may go on after the cut."""
        starts = [
            cut - size
            for value in self._redactor.of_lines
            for size in _line_ends(value)
            if buffer.endswith(value[:size], 0, cut)
        ]
        return min(starts, default=cut)


def _line_ends(value: bytes) -> Iterator[int]:
    """The lengths of the beginnings of a value that end with a line."""
    place = value.find(b"\n")
    while 0 <= place < len(value) - 1:
        yield place + 1
        place = value.find(b"\n", place + 1)
