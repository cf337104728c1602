"""One-time codes by which people link their identities: salted hashes, five tries, a short life."""

from __future__ import annotations

import hashlib
import hmac
import os
import sqlite3

from deploybot.domain import Identity, LinkCode, Place
from deploybot.store.codec import decode, encode

TRIES = 5
PAUSE = 900.0


class LinkRows:
    """`ports.Links` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take the connection whose transaction this works in."""
        self._run = connection.execute

    def issue(self, link: LinkCode, code: str) -> None:
        """Replace the person's earlier code by this one."""
        salt = os.urandom(16)
        sql = "INSERT OR REPLACE INTO links (person, identity, place, salt, hash, until) VALUES (?, ?, ?, ?, ?, ?)"
        place = encode(link.place) if link.place else None
        self._run(sql, (link.person, encode(link.identity), place, salt, _hash(salt, code), link.until))

    def find(self, code: str, now: float) -> LinkCode | None:
        """The link of a code that is in time. All are compared, so that the time tells nothing."""
        rows = self._run("SELECT person, identity, place, salt, hash, until FROM links WHERE until > ?", (now,))
        found = [row for row in rows if hmac.compare_digest(_hash(row[3], code), row[4])]
        if not found:
            return None
        person, identity, place, _, _, until = found[0]
        return LinkCode(person, decode(Identity, identity), decode(Place, place) if place else None, until)

    def consume(self, person: int) -> bool:
        """Use up the person's code: True exactly once."""
        return self._run("DELETE FROM links WHERE person = ?", (person,)).rowcount == 1

    def fail(self, identity: Identity, now: float) -> None:
        """Count a wrong code of somebody; the fifth in a row stops their tries for a quarter of an hour."""
        self._run("DELETE FROM link_tries WHERE until <= ?", (now,))
        sql = """
            INSERT INTO link_tries (identity, tries, until) VALUES (?, 1, ?)
            ON CONFLICT (identity) DO UPDATE SET tries = tries + 1, until = excluded.until"""
        self._run(sql, (encode(identity), now + PAUSE))

    def paused(self, identity: Identity, now: float) -> bool:
        """Whether somebody has tried too often."""
        sql = "SELECT 1 FROM link_tries WHERE identity = ? AND tries >= ? AND until > ?"
        return self._run(sql, (encode(identity), TRIES, now)).fetchone() is not None


def _hash(salt: bytes, code: str) -> bytes:
    return hashlib.sha256(salt + code.encode("utf-8", "surrogatepass")).digest()
