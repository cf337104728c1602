"""Open the database: check it, back it up and migrate it."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlite_utils

from deploybot.errors import StoreError
from deploybot.store.data_folder import private_file, private_folder, sync_folder
from deploybot.store.schema import STEPS
from deploybot.store.sqlite_errors import backup_of, damaged, explain, vanished

_WAL_FROM = (3, 51, 3)
_FINDING = 200
_UNFINISHED = ".new"
_LEFT_SECONDS = 3600.0
Step = Callable[[sqlite_utils.Database], None]
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
        _migrate(connection, path, steps)
    except sqlite3.Error as error:
        connection.close()
        raise explain(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, way: Way) -> None:
    _check(connection, path)
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


def _check(connection: sqlite3.Connection, path: Path) -> None:
    findings = [str(row[0]) for row in connection.execute("PRAGMA quick_check(3)")]
    if findings != ["ok"]:
        raise damaged(path, " ".join("; ".join(findings).split())[:_FINDING])


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


def _migrate(connection: sqlite3.Connection, path: Path, steps: Sequence[Step]) -> None:
    migrations = sqlite_utils.Migrations("deploybot")
    for step in steps:
        migrations()(step)
    database = sqlite_utils.Database(connection, execute_plugins=False)
    applied = [migration.name for migration in migrations.applied(database)]
    names = [step.__name__ for step in steps]
    if unknown := [name for name in applied if name not in names]:
        raise StoreError(
            f"the database {path} was made by a newer deploybot (it has {unknown[-1]}): run that version again, "
            f"or restore the copy it made before, {_before(path, unknown[0])}"
        )
    for position, name in enumerate(names[len(applied) :], len(applied) + 1):
        if applied:
            _copy_before(connection, path, name)
        _apply(migrations, database, path, name, names[position:])


def _before(path: Path, name: str) -> Path:
    return path.with_name(f"{path.name}.before-{name}")


def _copy_before(connection: sqlite3.Connection, path: Path, name: str) -> None:
    copy = _before(path, name)
    try:
        back_up(connection, path, copy)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"the database {path} cannot be upgraded, because its copy {copy} cannot be made first: {error}"
        ) from error


def _apply(
    migrations: sqlite_utils.Migrations, database: sqlite_utils.Database, path: Path, name: str, later: Sequence[str]
) -> None:
    try:
        migrations.apply(database, stop_before=later)
    except sqlite3.Error as error:
        raise StoreError(f"the database {path} could not be upgraded ({name}): {error}; it is unchanged") from error


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
            _check(target, path)
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
