"""Rows of the audit, as stored in the database and as exported in JSON lines."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

CUT = "left_out"
"""The key in a shortened line that lists the texts left out of the row."""
_TEXTS = ("detail", "subject", "actor", "action")


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row of the audit chain. `hash` covers all other fields, including `previous`."""

    number: int
    at: float
    actor: str
    action: str
    subject: str
    detail: str
    previous: str
    hash: str

    def fields(self) -> dict[str, object]:
        """Return all fields by name, in the order of the columns."""
        return dataclasses.asdict(self)

    def line(self) -> str:
        """Return the row as one line of JSON, without a line end. Works for any row, even a tampered one."""
        text = json.dumps(self.fields(), ensure_ascii=False, default=repr)
        # Bytes that are not UTF-8 were read as lone surrogates, which JSON can only hold as escapes.
        return text if _is_utf8(text) else json.dumps(self.fields(), default=repr)

    def short_line(self, longest: int) -> str:
        """Return the row as ASCII JSON of up to `longest` characters.

        If the row is too long, its longest texts are dropped and listed in `left_out`. The line proves as much as
        before, because the hash covers the dropped texts. Number and hashes always stay, so `longest` should be 400 or
        more.
        """
        fields = self.fields()
        while len(line := json.dumps(fields, default=repr)) > longest:
            there = [name for name in _TEXTS if name in fields]
            if not there:
                break
            longest_text = max(there, key=lambda name: len(json.dumps(fields[name], default=repr)))
            fields = {key: value for key, value in fields.items() if key not in {longest_text, CUT}}
            fields[CUT] = [name for name in _TEXTS if name not in fields]
        return line


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class SinkState:
    """How far the audit was exported to one sink: up to row `number` with hash `hash`; 0 and empty for none.

    `mark` is the sink's own note of its position. `attempts` counts failures in a row, the first at `since` (0.0 for
    none). The next attempt is due at `next_at`.
    """

    number: int = 0
    hash: str = ""
    mark: str = ""
    attempts: int = 0
    since: float = 0.0
    next_at: float = 0.0


@dataclass(frozen=True, slots=True)
class SinkSight:
    """The last known state of an audit sink.

    `problem` is why rows are not exported, empty if they are. `fix` is what to do, `waiting` counts the waiting rows.
    """

    problem: str = ""
    fix: str = ""
    waiting: int = 0
