"""The lines that `deploybot audit verify --against` prints."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploybot.domain import AuditRow
    from deploybot.store.audit_comparison import AuditChange, Comparison, Span

_SHOWN = 50
_SPANS = 10
_NAMED = 3
_LONGEST = 200


def row_line(row: AuditRow) -> str:
    """Return a row of the audit on one line, for people."""
    detail = f": {row.detail}" if row.detail else ""
    return plain(f"{row.number:>6}  {moment(row.at)}  {row.actor}  {row.action}  {row.subject}{detail}")


def plain(text: str) -> str:
    """Return a text without the characters that control a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def moment(at: object) -> str:
    """Return a time in UTC, for people. Anything else in a tampered row is shown as it is."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(float(str(at))))
    except (ValueError, OverflowError, OSError):
        return f"at {at!r}"


def findings(found: Comparison) -> Iterator[str]:
    """Yield a line for each thing that contradicts the database."""
    for change in found.changes[:_SHOWN]:
        yield plain(_change(change))
    if hidden := len(found.changes[_SHOWN:]) + found.more:
        yield f"… and {hidden:,} more rows differ."
    if found.moved:
        was, now = found.moved[0]
        yield f"{_rows(len(found.moved))} another number now: row {was} of the file is row {now} of the database."
    if found.relinked:
        count = sum(last - first + 1 for first, last in found.relinked)
        text = "the same texts, but other hashes: a row before them differs, or the chain was rebuilt"
        yield f"{_rows(count)} {text} ({spans(found.relinked)})."
    for position in found.edited[:_SHOWN]:
        yield f"{position}: the hash does not match the row: the file itself was changed there."
    if len(found.edited) > _SHOWN:
        yield f"… and {len(found.edited) - _SHOWN:,} more such lines."


def limits(found: Comparison) -> Iterator[str]:
    """Yield a line for each thing that the files do not prove."""
    for unread in found.unread[:_SPANS]:
        yield f"{unread.position}: {unread.why}, and proves nothing."
    if len(found.unread) > _SPANS:
        yield f"… and {len(found.unread) - _SPANS:,} more lines contain no row."
    if found.unproven:
        yield f"Unproven: {spans(found.unproven)} of the database, not in the file."
    if found.newer:
        yield f"Unproven: {spans([found.newer])} of the database, after the last row of the file."


def spans(numbers: Sequence[Span]) -> str:
    """Return `row 5`, `rows 1 to 3 and 7`."""
    shown = [str(first) if first == last else f"{first} to {last}" for first, last in itertools.islice(numbers, _SPANS)]
    more = f" and {len(numbers) - _SPANS:,} more gaps" if len(numbers) > _SPANS else ""
    single = not more and len(numbers) == 1 and numbers[0][0] == numbers[0][1]
    return f"{'row' if single else 'rows'} {', '.join(shown)}{more}"


def names(files: Sequence[object]) -> str:
    """Return the names of the files, for people; of many, the first ones."""
    more = f" and {len(files) - _NAMED} more files" if len(files) > _NAMED else ""
    return ", ".join(map(str, files[:_NAMED])) + more


def _rows(count: int) -> str:
    return "1 row has" if count == 1 else f"{count:,} rows have"


def _change(change: AuditChange) -> str:
    head = f"Row {change.number}, {moment(change.at)},"
    if change.was is None:
        return f"{head} was added: the database has {_texts(change.now.fields() if change.now else {})}"
    if change.now is None:
        return f"{head} was removed: it was {_texts(change.was.fields)}"
    changes = [f"{name} was {_cut(was)}, is {_cut(now)}" for name, was, now in change.differences()]
    return f"{head} was changed: {'; '.join(changes) or 'a text that the line leaves out'}"


def _texts(fields: object) -> str:
    texts = fields if isinstance(fields, dict) else {}
    return _cut("  ".join(str(texts[name]) for name in ("actor", "action", "subject", "detail") if texts.get(name)))


def _cut(value: object) -> str:
    text = f"“{value}”" if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
