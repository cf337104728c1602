"""Run the database thread's transactions on its only connection, and recover from failures."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploybot.errors import StoreDown, StoreError
from deploybot.masking import Redactor
from deploybot.ports import Tables
from deploybot.store.all_tables import Rows
from deploybot.store.audit_chain import Head, HeadFile
from deploybot.store.audit_rows import GAP
from deploybot.store.database_connection import Way, connect, open_database
from deploybot.store.database_copies import back_up
from deploybot.store.sqlite_errors import backup_of, explain, has_room, is_full, is_trouble

_IMPATIENT = 0.5
_log = logging.getLogger(__name__)


class Job:
    """Work on the tables, and the caller waiting for its value or error."""

    __slots__ = ("error", "future", "value", "work", "writes")

    def __init__(self, work: Callable[[Tables], object], future: asyncio.Future[object], *, writes: bool) -> None:
        """Take the work, and the future in the caller's event loop that gets the result."""
        self.work = work
        self.future = future
        self.writes = writes
        self.value: object = None
        self.error: BaseException | None = None

    def run(self, rows: Rows) -> bool:
        """Run the work, store its value or error, and return whether it succeeded. Raises failures of the database."""
        try:
            self.value = self.work(rows)
        except sqlite3.Error as error:
            if is_trouble(error):
                raise
            self.error = StoreError(f"the database refused a change: {error}")
            self.error.__cause__ = error
        except StopIteration as error:
            # A future can't hold this exception.
            self.error = RuntimeError("the work ran out of what it iterated over")
            self.error.__cause__ = error
        except BaseException as error:  # noqa: BLE001 - every exception goes to the caller
            self.error = error
        return self.error is None

    def settle(self) -> None:
        """Give the caller the result. Call it in the event loop."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.value)
        else:
            self.future.set_exception(self.error)


class Writer:
    """The only connection. Everything here runs in the database's thread, but any thread may read `problem`."""

    def __init__(self, path: Path, way: Way, redactor: Redactor) -> None:
        """Take the database file, how it is used, and the redactor for rows that leave the bot."""
        self._path = path
        self._way = way
        self._redactor = redactor
        self._head = HeadFile(path.with_name("audit.head"))
        self._connection: sqlite3.Connection | None = None
        self._rows: Rows | None = None
        self._file: tuple[int, int] | None = None
        self._broken = False
        self._full = False
        self.problem = ""
        self.commits = 0
        self._changed = False

    def open(self) -> None:
        """Open, check and migrate the database. Raises StoreError."""
        try:
            self._use(open_database(self._path, self._way))
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise explain(error, self._path) from error

    def close(self) -> None:
        """Close the connection. Uncommitted changes are lost."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = self._rows = None

    def commit(self, jobs: Sequence[Job]) -> bool:
        """Run all jobs in one durable commit, each in its own savepoint. Return whether there is something to send."""
        try:
            connection, rows = self._ready()
            rows.outbox.touched = rows.reports.touched = rows.audit.touched = False
            changes = connection.total_changes
            connection.execute("BEGIN IMMEDIATE")
            if len(jobs) > 1:
                _in_savepoints(connection, rows, jobs)
            elif not jobs[0].run(rows):
                connection.execute("ROLLBACK")
                return False
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - the thread keeps running, and every caller gets the error
            self._fail(jobs, error)
            return False
        if connection.total_changes != changes:
            self._succeeded()
        return rows.outbox.touched or rows.reports.touched or rows.audit.touched

    def read(self, job: Job) -> None:
        """Run one job on a consistent read-only view."""
        try:
            connection, rows = self._ready()
            connection.execute("PRAGMA query_only = 1")
            connection.execute("BEGIN")
            try:
                job.run(rows)
            finally:
                connection.execute("ROLLBACK")
                connection.execute("PRAGMA query_only = 0")
        except Exception as error:  # noqa: BLE001 - same
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY:
                job.error = StoreError("a read tried to change the database")
            else:
                self._fail([job], error)

    def probe(self) -> None:
        """Try a write while writes fail, to detect when they work again."""
        try:
            connection, _ = self._ready()
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            connection.execute(f"PRAGMA user_version = {1 - version}")
        except Exception as error:  # noqa: BLE001 - same
            self._trouble(error)
        else:
            self._succeeded()

    def record_head(self) -> None:
        """Write the audit's head beside the database if the last commit added to the audit."""
        if self._rows is None or not self._rows.audit.touched:
            return
        try:
            self._head.write(Head(*self._rows.audit.head()))
        except (OSError, sqlite3.Error) as error:
            _log.warning("The audit's head could not be recorded: %s", error)

    def back_up(self) -> None:
        """Back up the database if it changed since the last backup."""
        if self._connection is None or self.problem or not self._changed:
            return
        self._changed = False
        try:
            back_up(self._connection, self._path, backup_of(self._path))
        except (OSError, sqlite3.Error) as error:
            _log.warning("No copy of the database could be made: %s", error)
        except StoreError as error:
            self._trouble(error)

    def _note_gap(self, connection: sqlite3.Connection, rows: Rows) -> None:
        """Record a permanent gap in the audit if it lacks the row that was recorded as its last."""
        gap = _gap(rows, self._head.read())
        if gap:
            _log.error("The audit has a gap: %s.", gap)
            connection.execute("BEGIN IMMEDIATE")
            rows.audit.append(actor="deploybot", action=GAP, subject="audit", detail=gap, now=time.time())
            connection.execute("COMMIT")
        self._head.write(Head(*rows.audit.head()), durable=True)

    def _ready(self) -> tuple[sqlite3.Connection, Rows]:
        """Return the connection. Open and check a new one after a failure, or if the file was replaced."""
        if self._connection is not None and self._rows is not None and not self._broken and not self._replaced():
            return self._connection, self._rows
        self.close()
        return self._use(connect(self._path, self._hurried if self.problem else self._way))

    @property
    def _hurried(self) -> Way:
        """Return the settings with a shorter wait, so callers get an error soon while others hold the file."""
        return dataclasses.replace(self._way, busy_within=min(self._way.busy_within, _IMPATIENT))

    def _use(self, connection: sqlite3.Connection) -> tuple[sqlite3.Connection, Rows]:
        rows = Rows(connection, self._redactor)
        self._connection, self._rows, self._file = connection, rows, _file(self._path)
        self._note_gap(connection, rows)
        self._broken = False
        return connection, rows

    def _replaced(self) -> bool:
        """Return whether the path now leads to another file. Writes to the old one would be lost."""
        return _file(self._path) != self._file

    def _fail(self, jobs: Sequence[Job], error: Exception) -> None:
        self._trouble(error)
        for job in jobs:
            job.error = StoreDown(self.problem)
            job.error.__cause__ = error

    def _trouble(self, error: Exception) -> None:
        if self._connection is not None and self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
        self._broken, self._full = True, is_full(error)
        sentence = str(error if isinstance(error, StoreError) else explain(error, self._path))
        if not self.problem:
            _log.error("The database cannot be written: %s", sentence)
        self.problem = sentence

    def _succeeded(self) -> None:
        self.commits += 1
        self._changed = True
        # On a full disk, a row may still fit where another one was. The failure is not over then.
        if self.problem and not (self._full and not has_room(self._path)):
            _log.warning("The database can be written again.")
            self.problem = ""
            if self._connection is not None:
                self._connection.execute(f"PRAGMA busy_timeout = {self._way.busy_within * 1000:.0f}")


def _file(path: Path) -> tuple[int, int] | None:
    """Return what identifies a file, or None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _in_savepoints(connection: sqlite3.Connection, rows: Rows, jobs: Sequence[Job]) -> None:
    for job in jobs:
        connection.execute("SAVEPOINT job")
        if not job.run(rows):
            connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")


def _gap(rows: Rows, recorded: Head | None) -> str:
    """Describe what the audit lacks, compared with its recorded head; empty if nothing."""
    last, _ = rows.audit.head()
    if recorded is None:
        return "" if last == 0 else f"the record of its last row is missing; row {last} is the last here"
    if last < recorded.number:
        return f"row {recorded.number} was recorded as written, but row {last} is the last here"
    if recorded.number and rows.audit.page(recorded.number - 1, 1)[0].hash != recorded.hash:
        return f"row {recorded.number} differs from the one that was recorded as written"
    return ""
