"""Store the one-time codes that link accounts: salted hashes with five tries that expire soon."""

from __future__ import annotations

import hashlib
import hmac
import os
import sqlite3
from dataclasses import replace

from deploybot.domain import AccountLink, Identity
from deploybot.store.codec import decode, encode

TRIES = 5
PAUSE = 900.0


class LinkRows:
    """Implement `ports.LinkCodeTable` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def issue(self, link: AccountLink, code: str) -> None:
        """Replace the person's earlier code with this one."""
        salt = os.urandom(16)
        sql = "INSERT OR REPLACE INTO links (person, link, salt, hash, until) VALUES (?, ?, ?, ?, ?)"
        self._run(sql, (link.person, encode(link), salt, _hash(salt, code), link.until))

    def take(self, code: str, other: Identity, now: float) -> AccountLink | None:
        """Use up a code for another account and return its link once; None for a wrong, used or expired code.

        All codes are compared, so the timing reveals nothing.
        """
        rows = self._run("SELECT link, salt, hash FROM links WHERE until > ?", (now,)).fetchall()
        found = [decode(AccountLink, link) for link, salt, kept in rows if hmac.compare_digest(_hash(salt, code), kept)]
        if not found:
            return None
        link = replace(found[0], other=other)
        self._run("UPDATE links SET link = ?, hash = x'' WHERE person = ?", (encode(link), link.person))
        return link

    def get(self, person: int, now: float) -> AccountLink | None:
        """Return a person's link that waits for its confirmation or its code."""
        row = self._run("SELECT link FROM links WHERE person = ? AND until > ?", (person, now)).fetchone()
        return decode(AccountLink, row[0]) if row else None

    def typed(self, other: Identity, now: float) -> AccountLink | None:
        """Return the link whose code this account typed last, if not confirmed from this account yet."""
        rows = self._run("SELECT link FROM links WHERE until > ? ORDER BY until DESC", (now,)).fetchall()
        links = (decode(AccountLink, row[0]) for row in rows)
        return next((link for link in links if link.other == other and not link.agreed), None)

    def agree(self, link: AccountLink) -> None:
        """Record that the account that typed the code confirmed the link."""
        self._run("UPDATE links SET link = ? WHERE person = ?", (encode(replace(link, agreed=True)), link.person))

    def end(self, person: int) -> None:
        """Delete a person's link."""
        self._run("DELETE FROM links WHERE person = ?", (person,))

    def fail(self, identity: Identity, now: float) -> None:
        """Count an account's wrong code. The fifth in a row blocks its tries for a quarter of an hour."""
        self._run("DELETE FROM link_tries WHERE until <= ?", (now,))
        sql = """
            INSERT INTO link_tries (identity, tries, until) VALUES (?, 1, ?)
            ON CONFLICT (identity) DO UPDATE SET tries = tries + 1, until = excluded.until"""
        self._run(sql, (encode(identity), now + PAUSE))

    def paused(self, identity: Identity, now: float) -> bool:
        """Return whether an account is blocked after too many tries."""
        sql = "SELECT 1 FROM link_tries WHERE identity = ? AND tries >= ? AND until > ?"
        return self._run(sql, (encode(identity), TRIES, now)).fetchone() is not None


def _hash(salt: bytes, code: str) -> bytes:
    return hashlib.sha256(salt + code.encode("utf-8", "surrogatepass")).digest()
