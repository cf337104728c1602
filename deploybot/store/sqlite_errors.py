"""Explain SQLite errors, with how to fix them."""

from __future__ import annotations

import errno
import os
import shlex
import sqlite3
from pathlib import Path

from deploybot.errors import StoreError

_ROOM = 256 << 10
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_LOCKED = "another program has locked the database {path}, such as a `sqlite3` shell or a backup: end that program"
_SENTENCES = {
    sqlite3.SQLITE_FULL: "the disk with the database {path} is full: free some space there",
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: "the database {path} cannot be written: check that it belongs to the bot's user "
    "and that its disk is not mounted read-only",
    sqlite3.SQLITE_CANTOPEN: "the database {path} cannot be opened: check that its folder exists and belongs to "
    "the bot's user",
    sqlite3.SQLITE_IOERR: "the disk with the database {path} has read or write errors ({code}): check its free "
    "space and the system's log",
    sqlite3.SQLITE_NOMEM: "no memory is left for the database {path}: check what else runs on this machine",
    sqlite3.SQLITE_PROTOCOL: _LOCKED,
}


def _primary(error: Exception) -> int:
    """Return the primary result code (sqlite.org/rescode.html); 0 if the error is not from SQLite."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_trouble(error: sqlite3.Error) -> bool:
    """Return whether the database itself failed, and not only the statement."""
    return _primary(error) in _DAMAGE or _primary(error) in _SENTENCES


def is_full(error: Exception) -> bool:
    """Return whether the disk was full."""
    return _primary(error) == sqlite3.SQLITE_FULL or (isinstance(error, OSError) and error.errno == errno.ENOSPC)


def has_room(path: Path) -> bool:
    """Return whether the disk has space for more than a few rows. If that is unknown, assume it has."""
    try:
        state = os.statvfs(path.parent)
    except OSError:
        return True
    return state.f_bavail * state.f_frsize >= _ROOM


def explain(error: Exception, path: Path) -> StoreError:
    """Return the error to raise, with how to fix it."""
    primary = _primary(error)
    if primary in _DAMAGE:
        return damaged(path, str(error))
    if isinstance(error, OSError):
        return StoreError(
            f"{error.filename or path} cannot be used ({error.strerror}): check that its disk has space "
            "and that it belongs to the bot's user"
        )
    if primary in _SENTENCES:
        return StoreError(_SENTENCES[primary].format(path=path, code=getattr(error, "sqlite_errorname", "")))
    return StoreError(f"the database refused a change: {error}")


def damaged(path: Path, finding: str) -> StoreError:
    """Return the error for a damaged file, with the command that restores the last good backup."""
    return StoreError(f"the database {path} is damaged ({finding}). {_fix_of(path)}")


def vanished(path: Path) -> StoreError | None:
    """Return the error for a missing or empty database that has a backup, which a new database would replace."""
    copy = backup_of(path)
    if (path.exists() and path.stat().st_size) or not copy.is_file() or not copy.stat().st_size:
        return None
    name, old = shlex.quote(path.name), shlex.quote(copy.name)
    return StoreError(
        f"the database {path} is {'empty' if path.exists() else 'gone'}, but a copy of it exists: check that the right "
        f"disk is mounted. Restore the copy with: {_swept(path)} && cp -p {old} {name}; or, to start without "
        f"people and history, move the copy away: mv {old} {old}.old"
    )


def _fix_of(path: Path) -> str:
    name, copy = shlex.quote(path.name), backup_of(path)
    command = _swept(path, f"mv {name} {name}.damaged && ")
    if not copy.exists():
        return f"No copy exists yet. Stop the bot and start empty with: {command}"
    restore = f"cp -p {shlex.quote(copy.name)} {name}"
    return f"Stop the bot and restore the last good copy with: {command} && {restore}"


def _swept(path: Path, first: str = "") -> str:
    """Return the command that deletes journals: SQLite would apply an old one to the restored file."""
    name = shlex.quote(path.name)
    return f"cd {shlex.quote(str(path.absolute().parent))} && {first}rm -f {name}-journal {name}-wal {name}-shm"


def backup_of(path: Path) -> Path:
    """Return the path of a database's last good backup."""
    return path.with_name(path.name + ".bak")
