"""Upgrade the database to the schema of this version, and refuse one of a newer version. A copy is made first."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import sqlite_utils

from deploybot.errors import StoreError
from deploybot.store.database_copies import back_up

Step = Callable[[sqlite_utils.Database], None]


def migrate(connection: sqlite3.Connection, path: Path, steps: Sequence[Step]) -> None:
    """Apply the migrations that are missing, each after a copy. Raises StoreError for a newer database, with a fix."""
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
