"""Which lines of a log are about errors and panics, and how many there are in each few seconds. No I/O.

In an access log, only the status says whether a line is about an error: a visitor chooses the path. In other lines a
field with a status of 5xx does, then the level if the line names one, then words.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from deploybot.applogs.line_levels import ERRORS, PANICS, LineLevel, level_of, top_of
from deploybot.domain import MINUTE, MOST_KINDS, WINDOW, LogCounts

ERROR = re.compile(
    rb"\b(?:err(?:or)?s?|exceptions?|fatal|panic(?:ked)?|traceback|segfault|sigsegv|critical|emerg|out of memory)\b"
    rb"|\b(?:segmentation fault|unhandled|uncaught)\b"
    rb"|(?-i:\w(?:Error|Exception))\b",
    re.IGNORECASE,
)
"""A line that names no level is about an error if it has one of these words."""
_ACCESS = re.compile(
    rb'"[A-Z]{3,10} \S+(?: HTTP/[\d.]+)?" (?P<quoted>\d{3})\b'
    rb"|(?:^|[\s|])(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /\S* (?:HTTP/[\d.]+ )?(?P<plain>\d{3})(?=[\s,]|$)"
)
_STATUS = re.compile(
    rb'"(?:http_)?(?:status|status_?code)"\s*:\s*"?5\d\d\b|(?:^|\s)status=5\d\d\b|\|\s*5\d\d\s*\|', re.IGNORECASE
)
_QUOTED_VALUE = re.compile(rb'="(?:[^"\\]|\\.)*"?')
_ADDRESS = re.compile(rb"https?://[^\s\"']*|(?<![\w.])/(?:\\.|[^\s\"'\\,;)\]}])*")
_NO_ERROR = re.compile(
    rb"\b(?:no|0|without|zero) (?:errors?|exceptions?|fatals?|panics?)\b"
    rb"|\bnon-?\s?(?:fatal|critical|error)\b"
    rb"|\b(?:err(?:or)?s?|exceptions?|fatal|panic|critical)(?:[ _](?:rate|count))?[\"']?\s*[:=]?\s*"
    rb"(?:0(?:\.0+)?\b%?|null|none|<?nil>?|false|\"\"|''|\[\]|\{\})",
    re.IGNORECASE,
)
_FORMS = re.compile(
    rb"(?P<constant>Traceback \(most recent call last\)|(?:\S*sh: )?(?:line \d+: )?(?:\d+ )?Segmentation fault\b"
    rb"|segfault\b|sigsegv\b|Out of memory(?=[:.]|\s*$)|UnhandledPromiseRejection\w*)"
    rb"|(?P<form>panic: |http: panic serving(?= )|Fatal Python error: |Uncaught PHP Exception "
    rb"|Exception in thread \"[^\"]*\" |thread (?:'[^']*' )?(?:\(\d+\) )?panicked |(?:\w+: )?PHP Fatal error: "
    rb"|fatal(?: error)?: |(?:Unhandled|Uncaught) (?:promise )?(?:exception|rejection|error)\b"
    rb"(?=[:.]| in | at | occurred |$))(?:(?<=panic serving) \S+:(?= ))?"
    rb"|(?P<name>(?:Uncaught )?(?-i:\w*(?:Error|Exception)))(?=:|\s*$)",
    re.IGNORECASE,
)
_LOGGER = re.compile(rb"[\w.]+:(?=\S)")
_MESSAGES = tuple(
    re.compile(rb'"(?:' + names + rb')"\s*:\s*"((?:[^"\\]|\\.)*)', re.IGNORECASE)
    for names in (rb"msg|message", rb"error|err|exception")
)
_LOGFMT_MESSAGES = tuple(
    re.compile(rb"(?:^|\s)(?:" + names + rb')=(?:"((?:[^"\\]|\\.)*)|(\S*))', re.IGNORECASE)
    for names in (rb"msg|message", rb"error|err|exception")
)
_CONTINUES = re.compile(rb"\s|at |\.\.\. \d|Caused by:")
_VARIES = re.compile(rb"\\?\"[^\"]*\"|'[^']*'|0x[0-9a-f]+|[0-9a-f]{8,}|\d+", re.IGNORECASE)
_KIND_LONGEST = 80
_KIND_WORDS = 3
_MOST_HELD = 2_000


def is_error(line: bytes) -> bool:
    """Return whether a line is about an error."""
    if access := _ACCESS.search(line):
        return (access["quoted"] or access["plain"]).startswith(b"5")
    plain = _ADDRESS.sub(b"/", line)
    if _STATUS.search(_QUOTED_VALUE.sub(b"=", plain)):
        return True
    if level := level_of(plain).name:
        return level in ERRORS
    return ERROR.search(_NO_ERROR.sub(b"", plain)) is not None


def panic_kind(line: bytes) -> str:
    """Return the kind of a panic, without what differs each time; empty if the line is none.

    A panic has the level of one, or its message begins as one: a visitor may choose what comes later. Its kind is the
    class that it names, or its level or form and a few words.
    """
    if _ACCESS.search(line):
        return ""
    plain = _ADDRESS.sub(b"/", line)
    level = level_of(plain)
    if level.name and level.name not in ERRORS:
        return ""
    message = _message_of(plain, level)
    known = _NO_ERROR.sub(b"", message)
    logger = _LOGGER.match(known) if level.name else None
    form = _FORMS.match(known) or (_FORMS.match(known, logger.end()) if logger else None)
    if level.leads and level.name in PANICS:
        return _kind(level.name.encode() + b":", message)
    if not form:
        return ""
    if form["form"]:
        return _kind(form["form"].strip(), known[form.end() :])
    return _kind(form["constant"] or form["name"], b"")


def _message_of(line: bytes, level: LineLevel) -> bytes:
    """Return the message of a line: of JSON and of `key=value` only its text, and nothing if it has none."""
    is_json = line.lstrip().startswith(b"{")
    if not is_json and not level.pairs:
        return line[level.end :].lstrip()
    text = top_of(line) if is_json else line
    found = next(filter(None, (one.search(text) for one in (_MESSAGES if is_json else _LOGFMT_MESSAGES))), None)
    return next(filter(None, found.groups()), b"") if found else b""


def _kind(name: bytes, message: bytes) -> str:
    words = _VARIES.sub(b"#", message).split()[:_KIND_WORDS]
    return b" ".join((*_VARIES.sub(b"#", name).split(), *words))[:_KIND_LONGEST].decode("utf-8", errors="replace")


class ErrorCounter:
    """Counts the lines of a log between two times, which may come from several sources."""

    def __init__(self, since: float, until: float) -> None:
        """Take the times (Unix). Only whole windows between them are counted."""
        self._since = since
        self._windows = max(int((until - since) // WINDOW), 0)
        self._first = 0
        self._errors: Counter[int] = Counter()
        self._fine: Counter[int] = Counter()
        self._kinds: defaultdict[str, set[int]] = defaultdict(set)
        self._full = False

    def add(self, lines: Iterable[tuple[float, bytes]]) -> None:
        """Count some lines, each with its time. A line outside of the windows does not count."""
        for at, line in lines:
            window = int((at - self._since) // WINDOW)
            if not 0 <= window < self._windows:
                continue
            if not is_error(line):
                # The lines of a stack trace are no load.
                self._fine[window] += not _CONTINUES.match(line)
                continue
            self._errors[window] += 1
            if kind := panic_kind(line):
                if kind in self._kinds or len(self._kinds) < _MOST_HELD:
                    self._kinds[kind].add(window)
                else:
                    self._full = True

    def begins(self, at: float) -> None:
        """Count only from a time on: the source has no earlier lines, or more than were read."""
        self._first = max(self._first, -int((self._since - at) // WINDOW))

    def counts(self, trouble: str = "") -> LogCounts:
        """Return what was counted, and where the next part begins."""
        there = range(self._first, self._windows)
        kinds = sorted(((kind, len(windows)) for kind, windows in self._kinds.items()), key=lambda one: -one[1])
        newest = self._windows - 1
        ages = ((kind, tuple(sorted(newest - at for at in found))) for kind, found in self._kinds.items())
        recent = [(kind, found) for kind, some in ages if (found := tuple(age for age in some if age < MINUTE))]
        return LogCounts(
            windows=tuple(self._errors[at] for at in there),
            fine=tuple(self._fine[at] for at in there),
            kinds=tuple(kinds[:MOST_KINDS]),
            recent_kinds=tuple(sorted(recent, key=lambda one: -len(one[1]))[:MOST_KINDS]),
            full=self._full or len(kinds) > MOST_KINDS,
            end=self._since + self._windows * WINDOW,
            trouble=trouble,
        )
