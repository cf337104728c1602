"""The append-only chain in rows.

Each row holds the hash of the row before it and its own: the SHA-256 (hex) of the canonical JSON array
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
"""The action of the row that says that rows before it were lost, as found at a start."""
_SELECT = "SELECT number, at, actor, action, subject, detail, previous, hash FROM audit "


def link(content: tuple[int, float, str, str, str, str, str]) -> str:
    """The hash of a row, of all that stands before it."""
    return hashlib.sha256(encode(content).encode()).hexdigest()


class AuditRows:
    """`ports.Audit` on a connection. `touched` says whether a row was added since it was last set to False.

    Secrets are masked in every text before it is hashed: rows also leave the machine.
    """

    def __init__(self, connection: sqlite3.Connection, redactor: Redactor) -> None:
        """Take the connection whose transaction this works in, and what masks texts."""
        self._redactor = redactor
        self._connection = connection
        self.touched = False

    def append(self, *, actor: str, action: str, subject: str, detail: str = "", now: float) -> AuditRow:
        """Add a link, its texts masked."""
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
        """The last row's number and hash; 0 and the genesis where there is none."""
        rows = self._rows("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")
        return (rows[0][0], rows[0][1]) if rows else (0, GENESIS)

    def tail(self, count: int) -> tuple[AuditRow, ...]:
        """The last rows, oldest first."""
        rows = self._rows(_SELECT + "ORDER BY number DESC LIMIT ?", count)
        return tuple(AuditRow(*row) for row in reversed(rows))

    def page(self, after: int, limit: int = 1000) -> tuple[AuditRow, ...]:
        """Up to `limit` rows that follow row number `after`."""
        rows = self._rows(_SELECT + "WHERE number > ? ORDER BY number LIMIT ?", after, limit)
        return tuple(AuditRow(*row) for row in rows)

    def _rows(self, sql: str, *values: int) -> list[sqlite3.Row]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if is_trouble(error):
                raise
        # Somebody wrote text that is no UTF-8 past the bot: it has to be read to be found wrong.
        self._connection.text_factory = _as_it_is
        try:
            return self._connection.execute(sql, values).fetchall()
        finally:
            self._connection.text_factory = str


def _as_it_is(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
