"""Open the database: check it, upgrade it and back it up."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploybot.errors import StoreError
from deploybot.store.data_folder import private_file, private_folder
from deploybot.store.database_copies import back_up, check
from deploybot.store.migrations import Step, migrate
from deploybot.store.schema import STEPS
from deploybot.store.sqlite_errors import backup_of, explain, vanished

_WAL_FROM = (3, 51, 3)
_log = logging.getLogger(__name__)


def journal_mode(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    """Return WAL if SQLite has the fix for its rare corruption (3.51.3), otherwise a rollback journal that is kept.

    PERSIST is as safe as DELETE and TRUNCATE, and does not change the journal's size at each commit.
    """
    return "WAL" if version >= _WAL_FROM else "PERSIST"


@dataclass(frozen=True, slots=True)
class Way:
    """How a database is used.

    `durable`: whether commits wait for the disk. `busy_within`: seconds to wait for other programs.
    `journal`: the journal mode.
    """

    durable: bool = True
    busy_within: float = 5.0
    journal: str = journal_mode()


def connect(path: Path, way: Way, *, steps: Sequence[Step] = STEPS) -> sqlite3.Connection:
    """Connect to an existing database, check it and migrate it to the current schema.

    `steps` are all migrations. Raises StoreError with a fix, such as the command that restores a damaged file.
    """
    existing = f"{path.absolute().as_uri()}?mode=rw"
    try:
        connection = sqlite3.connect(
            existing, uri=True, timeout=way.busy_within, isolation_level=None, cached_statements=256
        )
    except sqlite3.Error as error:
        raise explain(error, path) from error
    try:
        _prepare(connection, path, way)
        migrate(connection, path, steps)
    except sqlite3.Error as error:
        connection.close()
        raise explain(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, way: Way) -> None:
    check(connection, path)
    for pragma in (
        f"journal_mode = {way.journal}",
        f"synchronous = {'FULL' if way.durable else 'OFF'}",
        "foreign_keys = ON",
        "cache_size = -8000",
        "recursive_triggers = ON",  # otherwise INSERT OR REPLACE would bypass the audit's triggers
        "trusted_schema = OFF",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def open_database(path: Path, way: Way, *, steps: Sequence[Step] = STEPS) -> sqlite3.Connection:
    """Create the database if it is missing, private to its user. Connect, and back it up.

    Raises StoreError if it is missing but has a backup, with the command to restore it. A new database would replace
    the backup.
    """
    private_folder(path.parent)
    if (lost := vanished(path)) is not None:
        raise lost
    private_file(path)
    connection = connect(path, way, steps=steps)
    try:
        back_up(connection, path, backup_of(path))
    except (OSError, sqlite3.Error, StoreError) as error:
        _log.warning("No copy of the database could be made: %s", error)
    return connection
