"""Checks and copies of the database."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
import time
from pathlib import Path

from deploybot.disk_files import sync_folder
from deploybot.store.sqlite_errors import damaged

_FINDING = 200
_UNFINISHED = ".new"
_LEFT_SECONDS = 3600.0


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError if the database is damaged, with the command that restores it."""
    findings = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
    if findings != ["ok"]:
        raise damaged(path, " ".join("; ".join(findings).split())[:_FINDING])


def back_up(connection: sqlite3.Connection, path: Path, copy: Path) -> None:
    """Back up the database to another file: checked, durable and private, or not at all.

    Raises StoreError if the copy shows that the database is damaged. An older good backup stays.
    """
    _sweep(copy)
    descriptor, name = tempfile.mkstemp(dir=copy.parent, prefix=f"{copy.name}.", suffix=_UNFINISHED)
    new = Path(name)
    try:
        with contextlib.closing(sqlite3.connect(new)) as target:
            connection.backup(target)
            check(target, path)
        os.fsync(descriptor)
        new.replace(copy)
        sync_folder(copy.parent)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _sweep(copy: Path) -> None:
    """Delete unfinished copies of killed programs. Keep recent ones: another program may still be writing them."""
    for left in copy.parent.glob(f"{copy.name}.*{_UNFINISHED}*"):
        with contextlib.suppress(FileNotFoundError):
            if left.stat().st_mtime < time.time() - _LEFT_SECONDS:
                left.unlink()
