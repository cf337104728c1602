"""Store the commands behind the buttons of messages."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from deploybot.ports import ButtonRow

_KEPT = 30 * 86400.0


class ButtonRows:
    """Implement `ports.Buttons` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def add(self, row: ButtonRow) -> None:
        """Store a new button and delete those older than thirty days."""
        self._run("DELETE FROM buttons WHERE made < ?", (row.made - _KEPT,))
        sql = """
            INSERT INTO buttons (hash, platform, channel, message, command, made, used)
            VALUES (?, ?, ?, ?, ?, ?, ?)"""
        self._run(sql, (row.hash, row.platform, row.channel, row.message, row.command, row.made, row.used))

    def get(self, token_hash: str) -> ButtonRow | None:
        """Return the button with this hash, or None."""
        sql = "SELECT hash, platform, channel, message, command, made, used FROM buttons WHERE hash = ?"
        row = self._run(sql, (token_hash,)).fetchone()
        if row is None:
            return None
        kept, platform, channel, message, command, made, used = row
        return ButtonRow(
            hash=kept, platform=platform, channel=channel, message=message, command=command, made=made, used=used
        )

    def bind(self, token_hash: str, message: str) -> bool:
        """Bind a button to its message. Return False if it is already bound to another."""
        sql = "UPDATE buttons SET message = ?2 WHERE hash = ?1 AND message IN ('', ?2)"
        return self._run(sql, (token_hash, message)).rowcount == 1

    def use(self, token_hash: str, now: float) -> bool:
        """Mark a button as used. Return True only the first time."""
        return self._run("UPDATE buttons SET used = ? WHERE hash = ? AND used = 0", (now, token_hash)).rowcount == 1

    def keep_only(self, platform: str, channel: str, message: str, hashes: Sequence[str]) -> int:
        """Delete the unused buttons that a message no longer shows. Return their number."""
        keep = ", ".join("?" * len(hashes))
        sql = f"""
            DELETE FROM buttons
            WHERE platform = ? AND channel = ? AND message = ? AND used = 0 AND hash NOT IN ({keep})"""  # noqa: S608  only question marks
        return self._run(sql, (platform, channel, message, *hashes)).rowcount
