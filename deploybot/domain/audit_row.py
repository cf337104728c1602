"""The audit's rows, as they stand in the database and as JSON lines that leave the machine."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

CUT = "left_out"
"""The key of a shortened line that lists which texts of the row it lacks."""
_TEXTS = ("detail", "subject", "actor", "action")


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One link of the audit's chain; `hash` covers everything else in it and `previous`."""

    number: int
    at: float
    actor: str
    action: str
    subject: str
    detail: str
    previous: str
    hash: str

    def fields(self) -> dict[str, object]:
        """Everything in it, by name, in the order of the columns."""
        return dataclasses.asdict(self)

    def line(self) -> str:
        """The row as one line of JSON, without a line end. Any row can be written, also one that was tampered with."""
        text = json.dumps(self.fields(), ensure_ascii=False, default=repr)
        # Bytes that are no UTF-8 were read as halves of surrogate pairs, which only an escape can hold.
        return text if _is_utf8(text) else json.dumps(self.fields(), default=repr)

    def short_line(self, longest: int) -> str:
        """The row as ASCII JSON of up to `longest` characters.

        A row that is too long loses its longest texts, which `left_out` then lists. It proves as much: the hash covers
        what was left out. Number and hashes always stay, so `longest` should be 400 or more.
        """
        told = self.fields()
        while len(line := json.dumps(told, default=repr)) > longest:
            there = [name for name in _TEXTS if name in told]
            if not there:
                break
            longest_text = max(there, key=lambda name: len(json.dumps(told[name], default=repr)))
            told = {key: value for key, value in told.items() if key not in {longest_text, CUT}}
            told[CUT] = [name for name in _TEXTS if name not in told]
        return line


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class SinkState:
    """How far the audit has left by one sink: up to row `number`, whose hash is `hash`; 0 and empty for none.

    `mark` is the sink's own note of where it was. `attempts` failed in a row, the first at `since` (0.0 for none);
    the next is due at `next_at`.
    """

    number: int = 0
    hash: str = ""
    mark: str = ""
    attempts: int = 0
    since: float = 0.0
    next_at: float = 0.0


@dataclass(frozen=True, slots=True)
class SinkSight:
    """How a sink of the audit was seen last: why rows do not leave (empty: they do), what to do, how many wait."""

    problem: str = ""
    cure: str = ""
    waiting: int = 0
