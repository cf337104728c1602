"""Store the audit as an append-only chain of rows.

Each row has the hash of the row before it and its own: the SHA-256 (hex) of the canonical JSON array
`[number, at, actor, action, subject, detail, previous]`. Numbers count from 1 without a gap. The first row's
`previous` is the genesis, 64 zeros. `deploybot.store.audit_chain` checks it.
"""

from __future__ import annotations

import hashlib
import sqlite3

from deploybot.domain import AuditRow
from deploybot.masking import Redactor
from deploybot.store.codec import encode
from deploybot.store.sqlite_errors import is_trouble
from deploybot.store.stored_text import clean

GENESIS = "0" * 64
GAP = "audit-gap"
"""The action of the row that records a loss of earlier rows, added when a start detects it."""
_SELECT = "SELECT number, at, actor, action, subject, detail, previous, hash FROM audit "


def link(content: tuple[int, float, str, str, str, str, str]) -> str:
    """Return the hash of a row's other fields."""
    return hashlib.sha256(encode(content).encode()).hexdigest()


class AuditRows:
    """Implement `ports.Audit` on a connection. `touched` is True if rows were added since it was last cleared.

    Secrets are masked in every text before it is hashed, because rows also leave the machine.
    """

    def __init__(self, connection: sqlite3.Connection, redactor: Redactor) -> None:
        """Use `connection` in the caller's transaction; `redactor` masks texts."""
        self._redactor = redactor
        self._connection = connection
        self.touched = False

    def append(self, *, actor: str, action: str, subject: str, detail: str = "", now: float) -> AuditRow:
        """Append a row with masked texts."""
        self.touched = True
        number, previous = self.head()
        content = (
            number + 1,
            float(now),
            self._text(actor),
            self._text(action),
            self._text(subject),
            self._text(detail),
            previous,
        )
        row = AuditRow(*content, hash=link(content))
        self._connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*content, row.hash))
        return row

    def _text(self, text: str) -> str:
        return clean(self._redactor.text(text))

    def head(self) -> tuple[int, str]:
        """Return the last row's number and hash, or 0 and the genesis if there is none."""
        rows = self._rows("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")
        return (rows[0][0], rows[0][1]) if rows else (0, GENESIS)

    def tail(self, count: int) -> tuple[AuditRow, ...]:
        """Return the last `count` rows, oldest first."""
        rows = self._rows(_SELECT + "ORDER BY number DESC LIMIT ?", count)
        return tuple(AuditRow(*row) for row in reversed(rows))

    def page(self, after: int, limit: int = 1000) -> tuple[AuditRow, ...]:
        """Return up to `limit` rows after row number `after`."""
        rows = self._rows(_SELECT + "WHERE number > ? ORDER BY number LIMIT ?", after, limit)
        return tuple(AuditRow(*row) for row in rows)

    def _rows(self, sql: str, *values: int) -> list[sqlite3.Row]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if is_trouble(error):
                raise
        # Something else wrote text that is not UTF-8. It must be readable, so that a check can report it.
        self._connection.text_factory = _as_it_is
        try:
            return self._connection.execute(sql, values).fetchall()
        finally:
            self._connection.text_factory = str


def _as_it_is(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
