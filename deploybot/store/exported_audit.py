"""Read exported audit files: from the file sink, a syslog service, or the receiver of calls."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from deploybot.domain import AuditRow
from deploybot.store.audit_rows import link

TEXTS = ("actor", "action", "subject", "detail")
_LONGEST = 1 << 20
_HIGHEST = 1 << 62
_GZIP = b"\x1f\x8b"
_START = '{"number"'


@dataclass(frozen=True, slots=True)
class ExportedRow:
    """A row parsed from a line. `fields` may lack texts that were too long for syslog. `position` is `FILE, line N`."""

    position: str
    number: int
    hash: str
    previous: str
    fields: Mapping[str, object]

    @property
    def row(self) -> AuditRow | None:
        """Return the whole row, or None if a text is missing or has the wrong type."""
        at, texts = self.fields.get("at"), [self.fields.get(name) for name in TEXTS]
        # Other programs may write 1800000000.0 as 1800000000.
        if type(at) not in {float, int} or not all(isinstance(text, str) for text in texts):
            return None
        actor, action, subject, detail = map(str, texts)
        return AuditRow(self.number, float(str(at)), actor, action, subject, detail, self.previous, self.hash)

    @property
    def is_short(self) -> bool:
        """Return whether a text was left out."""
        return any(name not in self.fields for name in TEXTS)

    @property
    def is_sound(self) -> bool:
        """Return whether the hash matches the row. A line with missing texts can't be checked and passes."""
        return self.is_short or (self.row is not None and hash_of(self.row) == self.hash)


@dataclass(frozen=True, slots=True)
class Unread:
    """A line, or the rest of a file, that has no complete row."""

    position: str
    why: str


def hash_of(row: AuditRow, previous: str | None = None) -> str:
    """Compute a row's hash, with its own `previous` or another; empty if that is impossible."""
    before = row.previous if previous is None else previous
    try:
        return link((row.number, row.at, row.actor, row.action, row.subject, row.detail, before))
    except (TypeError, ValueError):
        return ""


def read(path: Path) -> Iterator[ExportedRow | Unread]:
    """Read every line of a file that is not blank, gzipped or not. Raises OSError if it can't be opened."""
    with path.open("rb") as plain:
        packed = plain.read(len(_GZIP)) == _GZIP
        plain.seek(0)
        if not packed:
            yield from _lines(plain, path.name)
            return
        with gzip.open(plain) as file:
            try:
                yield from _lines(file, path.name)  # type: ignore[arg-type]
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                yield Unread(path.name, f"it is incomplete: {error}")


def _lines(file: IO[bytes], name: str) -> Iterator[ExportedRow | Unread]:
    number, begins = 0, True
    while line := file.readline(_LONGEST):
        whole, begun, begins = line.endswith(b"\n"), begins, line.endswith(b"\n")
        number += begun
        if not begun or not line.strip():
            continue
        position = f"{name}, line {number}"
        row = _row(line.decode("utf-8", "replace"), position)
        if row is not None:
            yield row
        else:
            yield Unread(position, "it contains no row" if whole else "it is cut off")


def _row(text: str, position: str) -> ExportedRow | None:
    """Find the row in a line: the line itself, the `data` of a call, or an object after a syslog prefix."""
    found = _object(text, 0)
    if found is None and (start := text.find(_START)) >= 0:
        found = _object(text, start)
    data = found.get("data") if found else None
    fields = data if isinstance(data, dict) else found or {}
    number, digest, previous = fields.get("number"), fields.get("hash"), fields.get("previous")
    if type(number) is not int or not 0 < number < _HIGHEST:
        return None
    if not isinstance(digest, str) or not isinstance(previous, str):
        return None
    return ExportedRow(position, number, digest, previous, fields)


def _object(text: str, start: int) -> dict[str, object] | None:
    with suppress(ValueError, RecursionError):
        found, _ = json.JSONDecoder().raw_decode(text, start)
        return found if isinstance(found, dict) else None
    return None
