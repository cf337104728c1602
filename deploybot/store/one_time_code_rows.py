"""Store how people use their one-time codes, and the files with the secrets behind the codes.

The database holds no secrets: it is copied every hour, and every copy would have them. So each person's secret is a
separate file in `codes/` of the data folder, 0600, named by the person's number.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

from deploybot import trusted_files
from deploybot.errors import StoreError

TRIES = 5
PAUSE = 900.0


class CodeRows:
    """Implement `ports.Codes` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def use(self, person: int, step: int) -> bool:
        """Use up the code of a time step. Return True if it is later than all used ones."""
        sql = """
            INSERT INTO codes (person, step) VALUES (?, ?)
            ON CONFLICT (person) DO UPDATE SET step = excluded.step, tries = 0, until = 0
            WHERE excluded.step > step"""
        return self._run(sql, (person, step)).rowcount == 1

    def fail(self, person: int, now: float) -> None:
        """Count a wrong code. The fifth in a row blocks all further tries for a quarter of an hour."""
        sql = """
            INSERT INTO codes (person, tries) VALUES (?1, 1)
            ON CONFLICT (person) DO UPDATE SET
                until = CASE WHEN tries + 1 >= ?2 THEN ?3 ELSE until END,
                tries = CASE WHEN tries + 1 >= ?2 THEN 0 ELSE tries + 1 END"""
        self._run(sql, (person, TRIES, now + PAUSE))

    def paused(self, person: int, now: float) -> float:
        """Return until when codes are blocked; 0.0 if they are not."""
        row = self._run("SELECT until FROM codes WHERE person = ? AND until > ?", (person, now)).fetchone()
        return float(row[0]) if row else 0.0


class CodeFiles:
    """Implement `ports.CodeSecrets` in a folder: `7` is an active secret, `7.new` one that is not confirmed yet.

    When a secret was offered is the time of its file.
    """

    def __init__(self, folder: Path) -> None:
        """Use `folder`. It is created for the owner only when first needed."""
        self._folder = folder

    async def get(self, person: int) -> str | None:
        """Return a person's secret (base32), or None if they have not enrolled."""
        return await asyncio.to_thread(_read, self._folder / str(person))

    async def offered(self, person: int, *, since: float = 0.0) -> str | None:
        """Return the secret that a person was shown at `since` or later (Unix time) but has not confirmed."""
        return await asyncio.to_thread(_read, self._folder / f"{person}.new", since)

    async def offer(self, person: int, secret: str, *, at: float = 0.0) -> None:
        """Store a secret that a person is shown at this time, until it is confirmed."""
        await asyncio.to_thread(_write, self._folder / f"{person}.new", secret, at)

    async def confirm(self, person: int) -> None:
        """Activate the offered secret."""
        await asyncio.to_thread(_rename, self._folder / f"{person}.new", self._folder / str(person))

    async def copy(self, person: int, into: int) -> bool:
        """Give a person's secret to another who has none, also in place of one that was offered. Return whether."""
        secret = await self.get(person)
        if secret is None or await self.get(into) is not None:
            return False
        await self.offer(into, secret)
        await self.confirm(into)
        return True

    async def move(self, person: int, into: int) -> None:
        """Move a person's secret to another who has none; otherwise delete it."""
        await self.copy(person, into)
        await self.forget(person)

    async def forget(self, person: int) -> bool:
        """Delete a person's secrets. Return whether one was active."""
        known = await asyncio.to_thread((self._folder / str(person)).exists)
        for path in (self._folder / f"{person}.new", self._folder / str(person)):
            await asyncio.to_thread(_delete, path)
        return known


def _read(path: Path, since: float = 0.0) -> str | None:
    try:
        if path.stat().st_mtime < since:
            return None
        return trusted_files.read(path, private=True).decode("ascii").strip()
    except FileNotFoundError:
        return None
    except trusted_files.UnsafeFileError as error:
        raise StoreError(f"{error}, and set up one-time codes again: it holds a secret for them") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {error}; it should belong to the bot's user") from error


def _write(path: Path, secret: str, at: float) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{secret}\n")
            file.flush()
            os.utime(descriptor, (at, at))
            os.fsync(descriptor)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def _rename(old: Path, new: Path) -> None:
    try:
        old.replace(new)
    except OSError as error:
        raise StoreError(f"{new} cannot be written: {error.strerror}") from error


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be deleted: {error.strerror}") from error
