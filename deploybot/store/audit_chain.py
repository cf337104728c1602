"""Check the audit's chain, and record its head beside the database.

A chain alone can't show that its end was cut off. So after each commit the last row's number and hash are written to
`audit.head` in the data folder (`NUMBER HASH`, fixed width, in place). The table may have more rows if the bot was
killed in between, but it must still contain the recorded row. If it does not, the next start adds a row (`audit-gap`)
to the audit, and every later check reports it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deploybot.domain import AuditRow
from deploybot.ports import Store
from deploybot.store.audit_rows import GAP, GENESIS, link

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Head:
    """The last row of the chain: its number, 0 for an empty one, and its hash."""

    number: int = 0
    hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """The result of a check. `broken` is the number of the first wrong or missing row, 0 for none."""

    head: Head
    broken: int = 0
    why: str = ""

    @property
    def ok(self) -> bool:
        """Return whether the chain is complete and unchanged."""
        return self.broken == 0


class ChainCheck:
    """Check the chain row by row, in constant memory; `expected` is a head recorded elsewhere."""

    def __init__(self, expected: Head | None = None) -> None:
        """Start before the first row."""
        self._expected = expected
        self._head = Head()
        self._broken = 0
        self._why = ""
        self._gap: AuditRow | None = None

    @property
    def head(self) -> Head:
        """Return the last row that is correct."""
        return self._head

    def follow(self, rows: Iterable[AuditRow]) -> bool:
        """Check more rows. Return False once the chain is broken."""
        for row in rows:
            why = self._wrong(row)
            if why:
                self._broken, self._why = self._head.number + 1, why
                return False
            self._head = Head(row.number, row.hash)
            if row.action == GAP and self._gap is None:
                self._gap = row
        return True

    def verdict(self) -> ChainVerdict:
        """Return the result after all rows were checked."""
        expected = self._expected
        if not self._broken and expected and self._head.number < expected.number:
            why = f"row {self._head.number} is the last, but row {expected.number} was recorded as written"
            return ChainVerdict(self._head, self._head.number + 1, why)
        if not self._broken and self._gap:
            return ChainVerdict(
                self._head, self._gap.number, f"rows before it were lost, as found at a start: {self._gap.detail}"
            )
        return ChainVerdict(self._head, self._broken, self._why)

    def _wrong(self, row: AuditRow) -> str:
        if row.number != self._head.number + 1:
            return f"row {row.number} follows row {self._head.number}"
        if row.previous != self._head.hash:
            return f"row {row.number} does not continue the row before it"
        if not _right(row):
            return f"row {row.number} was changed"
        if self._expected and self._expected.number == row.number and self._expected.hash != row.hash:
            return f"row {row.number} differs from the one that was recorded as written"
        return ""


def _right(row: AuditRow) -> bool:
    content = (row.number, row.at, row.actor, row.action, row.subject, row.detail, row.previous)
    try:
        return type(row.at) is float and link(content) == row.hash
    except (TypeError, ValueError):
        return False


async def verify(store: Store, expected: Head | None = None) -> ChainVerdict:
    """Check the whole chain page by page, so the bot can keep working."""
    check = ChainCheck(expected)
    while rows := await store.read(lambda tables: tables.audit.page(check.head.number, _PAGE)):
        if not check.follow(rows):
            break
    return check.verdict()


class HeadFile:
    """The file `audit.head`."""

    def __init__(self, path: Path) -> None:
        """Take the path; the first write creates the file."""
        self._path = path

    def read(self) -> Head | None:
        """Return the recorded head, or None if the file is missing or invalid."""
        try:
            number, digest = self._path.read_text("ascii").split()
            return Head(int(number), digest)
        except (OSError, ValueError):
            return None

    def write(self, head: Head, *, durable: bool = False) -> None:
        """Record a head in place. The size is always the same, so every read sees a complete record.

        It may lag behind the table, so only the first write of a run waits for the disk (`durable`).
        """
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, f"{head.number:020d} {head.hash}\n".encode(), 0)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
