"""Times in log lines, as they are written there: which formats are read, and where in a line. Pure.

Formats: ISO 8601 and RFC 3339; the times of nginx, Apache, PHP, Go, Java, Python, Ruby and PostgreSQL; syslog (RFC 3164
and RFC 5424); logfmt, JSON, and seconds since the epoch. A date such as 10/11/2025 is not read: it is unknown which
part is the month. Lines are untrusted input: the time that a pattern takes grows no faster than the line.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LOOKED_AT = 16_384
"""How many bytes of a line are searched for its time."""
_SEARCHED = 512
"""How many bytes are searched for a time in brackets that is not at the beginning, as in access logs."""
_FIELDS_TRIED = 8
_HALF_DAY = 12
_ZONES = ("offset", "hours", "from_utc", "utc", "name")
_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), 1
    )
}
_MONTH = rb"(?P<month>(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))"
_WEEKDAY = rb"(?:(?i:mon|tue|wed|thu|fri|sat|sun),? )?"
_CLOCK = (
    rb"(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d))?(?:[.,](?P<fraction>\d{1,9})\d*+)?(?: (?P<half>[AP])M\b)?"
)
# Z, an offset, an abbreviation such as CEST, or a name such as Europe/Berlin.
_ZONE = (
    rb"(?: ?(?P<offset>[Zz](?!\w)|[+-]\d\d:?\d\d(?!\d))"
    rb"|(?P<hours>[+-]\d\d)(?![\d:])"
    rb"| ?(?:UTC|GMT)(?P<from_utc>[+-]\d\d?(?::?\d\d)?)(?![\d:])"
    rb"| ?(?P<utc>UTC|GMT)(?![\w+-])"
    rb"| (?P<name>[A-Z]{3,5}|[A-Z][A-Za-z_]+(?:/[A-Za-z_+-]+){1,2})(?=[\s\]:,;)]|\Z))?"
)
_NUMERIC = re.compile(
    rb"(?P<year>\d{4})(?P<between>[-/.])(?P<month>\d\d)(?P=between)(?P<day>\d\d)(?:[Tt_ ]|, ?)" + _CLOCK + _ZONE
)
_COMPACT = re.compile(
    rb"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)[T -](?P<hour>\d\d):?(?P<minute>\d\d):?(?P<second>\d\d)"
    rb"(?:[.,](?P<fraction>\d{1,9})\d*+)?" + _ZONE + rb"(?!\d)"
)
_DAY_FIRST = re.compile(
    _WEEKDAY + rb"(?P<day>\d\d?)(?P<between>[-/ ])" + _MONTH + rb"(?P=between)(?P<year>\d{4})[: ]" + _CLOCK + _ZONE
)
_MONTH_FIRST = re.compile(
    _WEEKDAY
    + _MONTH
    + rb"  ?(?P<day>\d\d?),?(?: (?P<year>\d{4}))? "
    + _CLOCK
    + _ZONE
    + rb"(?: (?P<late_year>\d{4})(?!\w))?"
)
_KLOG = re.compile(
    rb"[IWEF](?P<month>\d\d)(?P<day>\d\d) (?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)\.(?P<fraction>\d{6}) "
)
_EPOCH = re.compile(rb"(\d{10})\.(\d{3,9})(?![\d.])")
_NUMBER = re.compile(rb"(\d{9,19})(?:\.(\d{1,9})\d*+)?(?![\d.eE])")
_LEVEL = rb"(?i:trace|debug|info|notice|warn|warning|error|critical|fatal|severe|log)"
_PREFIX = re.compile(
    rb"(?:[\w.-]{1,64} {1,32}\| )?"  # docker compose logs
    rb"(?:<\d{1,3}>(?:1 )?)?"  # the priority of RFC 3164 and RFC 5424
    rb"(?:\d{1,10}:[A-Z] )?"  # Redis
    rb"(?:[A-Z], )?"  # Ruby's Logger
    rb"(?:\[?" + _LEVEL + rb"\]?[: |-]{1,8})?"
    rb"[\[(\"]?"
)
_ACCESS = re.compile(rb"\[(?=\d\d/[A-Z][a-z]{2}/\d{4}[: ])")
_BRACKETED = re.compile(rb"\[(?=[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:)")
_RAILS = re.compile(rb"Started [A-Z]{3,8} \".*\" for \S+ at (?=\d{4}-)")
_NAMES = rb"(?i:time|timestamp|ts|@timestamp|t|@t|datetime|asctime)"
_FIELD = re.compile(
    rb"[{,]\s*+\"" + _NAMES + rb"\"\s*+:\s*+"
    rb"(?:\{\s*+\"\$date\"\s*+:\s*+)?"  # MongoDB
    rb"(?:\"([^\"\\]{9,64})\"|(\d{9,19}(?:\.\d{1,32})?)(?=[\s,}]))"
)
_STRING = re.compile(rb"\"[^\"\\]*+(?:\\.[^\"\\]*+)*(?:\"|\\?\Z)", re.DOTALL)
_LOGFMT = re.compile(
    rb"(?:[^\s=\"]++=(?:\"[^\"\\]*+(?:\\.[^\"\\]*+)*\"|[^\s\"]*+)\s++)*?"
    + _NAMES
    + rb"=(?:\"([^\"\\]{9,64})\"|([^\s\"]{9,64}))"
)


class Written(NamedTuple):
    """A time as a line has it. `year` is 0 and `zone` is empty if the line has none; `end` is where the time ends."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    fraction: bytes
    zone: bytes
    end: int


class Epoch(NamedTuple):
    """A time in seconds since the epoch, and the digits of its fraction."""

    seconds: int
    fraction: bytes


def read_front(line: bytes) -> Written | None:
    """Return the time that the line begins with, as an Engine or journald writes it."""
    match = _NUMERIC.match(line)
    return _written(match) if match else None


def read_line(line: bytes) -> Written | Epoch | None:
    """Return the time of a line, in any format; None if it has none, as the lines of a stack trace."""
    line = line[:LOOKED_AT]
    first = line[:1]
    if first == b"{":
        return _json(line)
    if not first or first.isspace():
        return None
    prefix = _PREFIX.match(line)
    return _at(line, prefix.end() if prefix else 0) or _logfmt(line) or _inside(line)


def _at(text: bytes, at: int) -> Written | Epoch | None:
    """Return the time at a position."""
    if text[at : at + 1].isdigit():
        if match := _NUMERIC.match(text, at) or _DAY_FIRST.match(text, at):
            return _written(match)
        if match := _EPOCH.match(text, at):
            return Epoch(int(match[1]), match[2])
        match = _COMPACT.match(text, at)
    else:
        match = _MONTH_FIRST.match(text, at) or _DAY_FIRST.match(text, at) or _KLOG.match(text, at)
    return _written(match) if match else None


def _value(text: bytes) -> Written | Epoch | None:
    """Return the time in a field of logfmt or JSON."""
    if number := _NUMBER.fullmatch(text):
        return _epoch(number[1], number[2] or b"")
    return _at(text, 0)


def _epoch(digits: bytes, fraction: bytes) -> Epoch | None:
    """Return a time from seconds since the epoch, or from milli-, micro- or nanoseconds, recognized by their size."""
    for places in (0, 3, 6, 9):
        whole = digits[: len(digits) - places]
        if len(whole) in {9, 10}:
            return Epoch(int(whole), digits[len(whole) :] + fraction)
    return None


def _json(line: bytes) -> Written | Epoch | None:
    """Return the time of a JSON object: its first field with such a name, but none of a nested object."""
    for count, match in enumerate(_FIELD.finditer(line)):
        if count == _FIELDS_TRIED:
            break
        around = _STRING.sub(b"", line[: match.start() + 1])
        depth = around.count(b"{") + around.count(b"[") - around.count(b"}") - around.count(b"]")
        if depth == 1 and (found := _value(match[1] or match[2])):
            return found
    return None


def _logfmt(line: bytes) -> Written | Epoch | None:
    match = _LOGFMT.match(line)
    return _value(match[1] or match[2]) if match else None


def _inside(line: bytes) -> Written | Epoch | None:
    """Return the time in a line of an access log, or of Rails."""
    match = _ACCESS.search(line, 0, _SEARCHED) or _BRACKETED.search(line, 0, _SEARCHED) or _RAILS.match(line)
    return _at(line, match.end()) if match else None


def _written(match: re.Match[bytes]) -> Written:
    """Return what a pattern has matched, by the names of its groups."""
    found = match.groupdict(b"")
    month = found["month"]
    hour = int(found["hour"])
    if half := found.get("half"):
        hour = hour % _HALF_DAY + (_HALF_DAY if half == b"P" else 0)
    return Written(
        year=int(found.get("year") or found.get("late_year") or 0),
        month=int(month) if month.isdigit() else _MONTHS[month.lower()],
        day=int(found["day"]),
        hour=hour,
        minute=int(found["minute"]),
        second=int(found["second"] or 0),
        fraction=found.get("fraction", b""),
        zone=next((found[name] for name in _ZONES if found.get(name)), b""),
        end=match.end(),
    )
