"""Which level a line of a log names: in JSON, as `level=` or at its beginning. No I/O.

In JSON only the outermost keys count: what is deeper may be what a visitor sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PANICS = frozenset({"fatal", "panic", "dpanic", "emerg", "emergency"})
"""The levels of a line with which a program ends."""
ERRORS = PANICS | {"error", "err", "severe", "critical", "crit", "alert"}
"""The levels of a line about an error."""
_QUIET = frozenset(
    {
        *("warning", "warn", "notice", "info", "information", "informational", "debug", "trace", "verbose", "success"),
        *("fine", "finer", "finest", "config", "log", "statement", "detail", "hint", "context"),
        *("wrn", "inf", "dbg", "trc", "debu"),
    }
)
_ALIASES = {"ftl": "fatal", "fata": "fatal", "pani": "panic", "erro": "error"}
_LETTERS = {b"E": "error", b"F": "fatal", b"I": "info", b"W": "warning", b"D": "debug"}
_NUMBERS = {"10": "trace", "20": "debug", "30": "info", "40": "warning", "50": "error", "60": "fatal"}
_JSON = re.compile(
    rb'"(?:@?level|level_?name|log_?level|log\.level|lvl|severity(?:_?text)?)"\s*:\s*"?([a-z]+|\d+)', re.IGNORECASE
)
_LOGFMT = re.compile(rb'(?:^|\s)(?:level|lvl|severity)="?([a-z]+)\b', re.IGNORECASE)
_VALUES = re.compile(rb'(?<==)"(?=[^"]*\s)(?:[^"\\]|\\.)*"?')
_PAIRS = re.compile(rb'(?:[\w.@-]+=(?:"(?:[^"\\]|\\.)*"|[^\s"]\S*)?\s+)*(?:level|lvl|severity)=', re.IGNORECASE)
_NESTED = re.compile(rb'"(?:[^"\\]|\\.)*"?|[{}\[\]]')
_WORD = re.compile(rb"([\[(<|]?)([^\s\[\]()<>|]+)([\])>|]?)")
_TIME = re.compile(rb"[-+#]?\d[\dTZ:.,/+#-]*|UTC|GMT|[A-Z][a-z]{2}|[A-Z],|-+|\*")
_PROGRAM = re.compile(rb"[\w.@-]{1,64}\[\d+\]: ")
_SHORT = re.compile(rb"([IWEF])\d{4}")
_INSIDE = 2
_LOOKED_AT = 100
_WORDS = 8


@dataclass(frozen=True, slots=True)
class LineLevel:
    """A level as lower-case text, empty if the line names none; and where the line's message goes on.

    With `pairs`, the line consists of `key=value`. With `leads`, only times or such pairs come before the level.
    """

    name: str = ""
    end: int = 0
    pairs: bool = False
    leads: bool = True


def level_of(line: bytes) -> LineLevel:
    """Return the level that a line names. Times may come before it."""
    if line.lstrip().startswith(b"{"):
        found = _JSON.search(top_of(line))
        return LineLevel(_known(found[1]) if found else "")
    at_front = _front(line)
    if at_front.name:
        return at_front
    pairs = _PAIRS.match(line, at_front.end) is not None
    found = _LOGFMT.search(_VALUES.sub(b'""', line))
    return LineLevel(_known(found[1]) if found else "", at_front.end, pairs=pairs, leads=pairs)


def top_of(line: bytes) -> bytes:
    """Return a line of JSON without what is inside of its values. The line may be cut anywhere."""
    if line.count(b"{") + line.count(b"[") == 1:
        return line
    parts, depth, begin = [], 0, 0
    for found in _NESTED.finditer(line):
        mark = found[0]
        if mark in {b"{", b"["}:
            depth += 1
            if depth == _INSIDE:
                parts.append(line[begin : found.start()])
        elif mark in {b"}", b"]"}:
            depth -= 1
            if depth == _INSIDE - 1:
                begin = found.end()
    return b"".join((*parts, line[begin:] if depth < _INSIDE else b""))


def _front(line: bytes) -> LineLevel:
    """Return the level at the beginning: in capitals, in brackets or with a colon after it."""
    program = _PROGRAM.match(line)
    begin = program.end() if program else 0
    for count, word in enumerate(_WORD.finditer(line, begin, begin + _LOOKED_AT)):
        if short := _SHORT.fullmatch(word[2]):
            return LineLevel(_LETTERS[short[1]], word.end())
        text, colon, _ = word[2].partition(b":")
        marked = word[1] or word[3] or colon or text.isupper()
        if marked and text.isalpha() and (name := _known(text)):
            return LineLevel(name, word.start(2) + len(text) + len(colon or word[3]))
        if count >= _WORDS or not _TIME.fullmatch(word[2]):
            return LineLevel("", word.start())
        begin = word.end()
    return LineLevel("", begin)


def _known(text: bytes) -> str:
    """Return a level's name; empty if it is none that is known."""
    name = text.decode("ascii", errors="replace").lower()
    name = _NUMBERS.get(name) or _ALIASES.get(name, name)
    return name if name in ERRORS or name in _QUIET else ""
