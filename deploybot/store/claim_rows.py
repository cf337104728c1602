"""Store the first administrator's one-time code as a salted hash that expires. Wrong tries count for the sender."""

from __future__ import annotations

import hashlib
import hmac
import os
import sqlite3


class ClaimRows:
    """Implement `ports.Claims` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def issue(self, code: str, until: float) -> None:
        """Replace any earlier code with this one."""
        salt = os.urandom(16)
        sql = "INSERT OR REPLACE INTO claim (id, salt, hash, until) VALUES (1, ?, ?, ?)"
        self._run(sql, (salt, _hash(salt, code), until))

    def consume(self, code: str, now: float) -> bool:
        """Use up the right code in time and return True once. A wrong try changes nothing, so others can't burn it."""
        row = self._run("SELECT salt, hash, until FROM claim").fetchone()
        if row is None:
            return False
        salt, expected, until = row
        right = hmac.compare_digest(_hash(salt, code), expected)
        if right or now >= until:
            self._run("DELETE FROM claim")
        return right and now < until


def _hash(salt: bytes, code: str) -> bytes:
    return hashlib.sha256(salt + code.encode("utf-8", "surrogatepass")).digest()
