"""The first administrator's one-time code: a salted hash, five tries, a short life."""

from __future__ import annotations

import hashlib
import hmac
import os
import sqlite3

_TRIES = 5


class ClaimRows:
    """`ports.Claims` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take the connection whose transaction this works in."""
        self._run = connection.execute

    def issue(self, code: str, until: float) -> None:
        """Replace any earlier code by this one."""
        salt = os.urandom(16)
        sql = "INSERT OR REPLACE INTO claim (id, salt, hash, until, tries) VALUES (1, ?, ?, ?, 0)"
        self._run(sql, (salt, _hash(salt, code), until))

    def consume(self, code: str, now: float) -> bool:
        """True once for the right code in time; each wrong try counts, and the fifth ends the code."""
        row = self._run("SELECT salt, hash, until, tries FROM claim").fetchone()
        if row is None:
            return False
        salt, expected, until, tries = row
        right = hmac.compare_digest(_hash(salt, code), expected) and now < until
        if right or now >= until or tries + 1 >= _TRIES:
            self._run("DELETE FROM claim")
        else:
            self._run("UPDATE claim SET tries = tries + 1")
        return right


def _hash(salt: bytes, code: str) -> bytes:
    return hashlib.sha256(salt + code.encode("utf-8", "surrogatepass")).digest()
