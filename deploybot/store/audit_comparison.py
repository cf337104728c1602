"""Compare the audit with exported rows, to find what was changed, removed or added in the database since.

A rewritten chain is valid in itself, but exported rows do not match it: their texts or hashes differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field

from deploybot.bounded_memory import BoundedDict
from deploybot.domain import AuditRow
from deploybot.ports import Store
from deploybot.store.codec import encode
from deploybot.store.exported_audit import TEXTS, ExportedRow, Unread, hash_of

_PAGE = 1000
_PAGES = 8
_MOST = 10_000
_HIGHEST = 1 << 27
_CONTENT = ("at", *TEXTS)

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class AuditChange:
    """A row that differs. `was` is the exported row, `now` the database's; one is None for added and removed rows."""

    number: int
    was: ExportedRow | None
    now: AuditRow | None

    @property
    def at(self) -> object:
        """Return when the row was written, if known, in seconds since the epoch."""
        return self.was.fields.get("at") if self.was else self.now.at if self.now else None

    def differences(self) -> Iterator[tuple[str, object, object]]:
        """Yield the differences of a changed row: the field, its exported value and the database's value."""
        if self.was is not None and self.now is not None:
            now = self.now.fields()
            for name in _CONTENT:
                if name in self.was.fields and self.was.fields[name] != now[name]:
                    yield name, self.was.fields[name], now[name]


@dataclass(slots=True)
class Comparison:
    """The result of a comparison. Spans are first and last numbers.

    `relinked` rows have the same texts but another hash, as after a change of an earlier row. `moved` are rows with a
    new number, as pairs. `edited` are lines with a wrong hash: somebody changed the file. `unproven` rows are in no
    file; those after the last row of the files are `newer`.
    """

    rows: int = 0
    proven: int = 0
    head: int = 0
    changes: list[AuditChange] = field(default_factory=list)
    more: int = 0
    moved: list[Span] = field(default_factory=list)
    relinked: list[Span] = field(default_factory=list)
    edited: list[str] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    unproven: list[Span] = field(default_factory=list)
    newer: Span | None = None

    @property
    def contradicted(self) -> bool:
        """Return whether the database and the files contradict each other."""
        return bool(self.changes or self.more or self.moved or self.relinked or self.edited)


class _Numbers:
    """A set of row numbers, one bit each. Impossibly high numbers are ignored."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, number: int) -> None:
        if number < _HIGHEST:
            index = number // 8
            self._bits.extend(bytes(max(index + 1 - len(self._bits), 0)))
            self._bits[index] |= 1 << number % 8

    def __contains__(self, number: int) -> bool:
        return number // 8 < len(self._bits) and bool(self._bits[number // 8] & 1 << number % 8)

    def __iter__(self) -> Iterator[int]:
        for index, byte in enumerate(self._bits):
            yield from (index * 8 + bit for bit in range(8) if byte & 1 << bit)


class Comparer:
    """Compare rows in any order, even repeated ones, in bounded memory."""

    def __init__(self, store: Store) -> None:
        """Take the database, which may be in use."""
        self._store = store
        self._pages: BoundedDict[int, dict[int, AuditRow]] = BoundedDict(_PAGES)
        self._seen = _Numbers()
        self._proven = _Numbers()
        self._relinked = _Numbers()
        self._wrong: dict[tuple[int, str], ExportedRow] = {}
        self._found = Comparison()

    async def add(self, line: ExportedRow | Unread) -> None:
        """Compare one line of a file."""
        if isinstance(line, Unread):
            self._found.unread.append(line)
            del self._found.unread[_MOST:]
            return
        self._found.rows += 1
        if not line.is_sound:
            self._found.edited.append(line.position)
            del self._found.edited[_MOST:]
            return
        self._seen.add(line.number)
        now = await self._row(line.number)
        if now is not None and _same_content(line, now):
            (self._proven if now.hash == line.hash else self._relinked).add(line.number)
        elif len(self._wrong) < _MOST:
            self._wrong.setdefault((line.number, line.hash), line)
        elif (line.number, line.hash) not in self._wrong:
            self._found.more += 1

    async def found(self) -> Comparison:
        """Return the result after all lines were added."""
        found = self._found
        found.head, _ = await self._store.read(lambda tables: tables.audit.head())
        found.proven = sum(1 for _ in self._proven)
        found.relinked = [*_spans(self._relinked)]
        if self._wrong:
            await self._sort_out(found)
        last = max(self._seen, default=0)
        found.unproven = [*_spans(number for number in range(1, min(last, found.head) + 1) if number not in self._seen)]
        found.newer = (last + 1, found.head) if found.head > last else None
        return found

    async def _row(self, number: int) -> AuditRow | None:
        page = (number - 1) // _PAGE
        rows = self._pages.get(page)
        if rows is None or (number not in rows and len(rows) < _PAGE):
            start = page * _PAGE
            read = await self._store.read(lambda tables: tables.audit.page(start, _PAGE))
            rows = {row.number: row for row in read if row.number <= start + _PAGE}
            self._pages[page] = rows
        return rows.get(number)

    async def _sort_out(self, found: Comparison) -> None:
        """Sort the differing rows into changed, removed, added and moved ones, by where their content is now."""
        left = {_digest(row): number for (number, _), line in self._wrong.items() if (row := line.row) is not None}
        numbers = {number for number, _ in self._wrong}
        now_at: dict[str, int] = {}
        news: dict[int, AuditRow] = {}
        async for row in self._from(min(numbers)):
            digest = _digest(row)
            if digest in left:
                now_at[digest] = row.number
            elif row.number in numbers:
                news[row.number] = row
        for (number, _), line in sorted(self._wrong.items()):
            whole = line.row
            moved = now_at.get(_digest(whole)) if whole is not None else None
            if moved is not None:
                found.moved.append((number, moved))
            elif number in news and _is_the_same_changed(line, news[number]):
                found.changes.append(AuditChange(number, line, news.pop(number)))
            else:
                found.changes.append(AuditChange(number, line, None))
        found.changes += [AuditChange(number, None, row) for number, row in news.items()]
        found.changes.sort(key=lambda change: (change.number, change.was is None))

    async def _from(self, number: int) -> AsyncIterator[AuditRow]:
        """Yield all rows of the database from a number on."""
        after = number - 1
        while rows := await self._page(after):
            for row in rows:
                yield row
            after = rows[-1].number

    async def _page(self, after: int) -> tuple[AuditRow, ...]:
        return await self._store.read(lambda tables: tables.audit.page(after, _PAGE))


def _same_content(line: ExportedRow, row: AuditRow) -> bool:
    """Return whether a line and a row have the same texts and time. The hash is compared if texts were left out."""
    now = row.fields()
    if any(name in line.fields and line.fields[name] != now[name] for name in _CONTENT):
        return False
    return not line.is_short or hash_of(row, line.previous) == line.hash


def _is_the_same_changed(line: ExportedRow, row: AuditRow) -> bool:
    """Return whether a row was changed rather than replaced: its time or all its texts are the same."""
    now = row.fields()
    return line.fields.get("at") == row.at or all(line.fields.get(name, now[name]) == now[name] for name in TEXTS)


def _digest(row: AuditRow) -> str:
    """Return a digest that identifies a row's content, whatever its number."""
    try:
        text = encode((row.at, row.actor, row.action, row.subject, row.detail))
    except (TypeError, ValueError):
        text = repr(row)
    return hashlib.sha256(text.encode()).hexdigest()


def _spans(numbers: Iterable[int]) -> Iterator[Span]:
    """Group rising numbers into spans without gaps."""
    first = last = 0
    for number in numbers:
        if first and number == last + 1:
            last = number
            continue
        if first:
            yield first, last
        first = last = number
    if first:
        yield first, last
