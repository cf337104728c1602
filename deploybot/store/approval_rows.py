"""Store deployments that wait for approvals; one approval per person."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from deploybot.domain import Approval, Binding, Identity, Request, RequestVerdict
from deploybot.store.codec import decode, encode
from deploybot.store.stored_text import clean

_SELECT = """
    SELECT deployment, binding, wanted, approvers, expires, remind_at, code, compare, reminded, verdict, note,
           more, missing
    FROM requests WHERE deployment = ?"""


class RequestRows:
    """Implement `ports.Requests` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def add(self, request: Request) -> None:
        """Store a new request without approvals."""
        sql = """
            INSERT INTO requests (deployment, binding, wanted, approvers, expires, remind_at, code, compare, more,
                                  missing)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
        asked = (request.wanted, encode(request.approvers), request.expires, request.remind_at, request.code)
        more = (clean(request.compare), clean(request.more), request.lacks)
        self._run(sql, (request.deployment, encode(request.binding), *asked, *more))

    def get(self, number: int) -> Request | None:
        """Return the request of a deployment, or None if it needs no approval."""
        row = self._run(_SELECT, (number,)).fetchone()
        if row is None:
            return None
        deployment, binding, wanted, approvers, expires, remind_at, code, compare, reminded, verdict, *rest = row
        note, more, missing = rest
        return Request(
            deployment=deployment,
            binding=decode(Binding, binding),
            wanted=wanted,
            approvers=decode(tuple[str, ...], approvers),
            expires=expires,
            remind_at=remind_at,
            code=bool(code),
            compare=compare,
            reminded=bool(reminded),
            verdict=RequestVerdict(verdict),
            note=note,
            more=more,
            missing=missing,
            approvals=self._approvals(number),
        )

    def ask(self, number: int, *, wanted: int, approvers: Sequence[str], code: bool) -> bool:
        """Update the required approvals to bot.toml's current settings. Return False if nothing changed."""
        sql = """
            UPDATE requests SET wanted = ?1, approvers = ?2, code = ?3
            WHERE deployment = ?4 AND (wanted, approvers, code) <> (?1, ?2, ?3)"""
        return self._run(sql, (wanted, encode(tuple(approvers)), code, number)).rowcount == 1

    def approve(self, number: int, approval: Approval) -> bool:
        """Store a person's approval. Return False if theirs already counts, from the same account."""
        sql = """
            INSERT INTO approvals (deployment, person, name, at, counts, account) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (deployment, person) DO UPDATE SET at = excluded.at, counts = 1, account = excluded.account
            WHERE NOT counts OR account <> excluded.account"""
        account = encode(approval.account) if approval.account else ""
        row = (number, approval.person, approval.name, approval.at, approval.counts, account)
        return self._run(sql, row).rowcount == 1

    def count_only(self, number: int, persons: Sequence[int]) -> bool:
        """Count only the approvals of these people. Return False if nothing changed."""
        some = ", ".join("?" * len(persons))
        sql = f"""
            UPDATE approvals SET counts = (person IN ({some}))
            WHERE deployment = ? AND counts <> (person IN ({some}))"""  # noqa: S608  only question marks
        return self._run(sql, (*persons, number, *persons)).rowcount > 0

    def lack(self, number: int, *, missing: int, more: str) -> bool:
        """Store how many approvals are missing and why an extra one is needed. Return False if nothing changed."""
        sql = """
            UPDATE requests SET missing = ?1, more = ?2 WHERE deployment = ?3 AND (missing, more) <> (?1, ?2)"""
        return self._run(sql, (missing, clean(more), number)).rowcount == 1

    def remind(self, number: int) -> bool:
        """Record that a reminder was sent. Return True only the first time."""
        sql = "UPDATE requests SET reminded = 1 WHERE deployment = ? AND NOT reminded AND verdict = ''"
        return self._run(sql, (number,)).rowcount == 1

    def close(self, number: int, verdict: RequestVerdict) -> None:
        """Record how an open request ended."""
        sql = "UPDATE requests SET verdict = ?, note = '' WHERE deployment = ? AND verdict = ''"
        self._run(sql, (verdict.value, number))

    def note(self, number: int, text: str) -> None:
        """Store what went wrong with an approval; an empty text clears it."""
        self._run("UPDATE requests SET note = ? WHERE deployment = ?", (clean(text), number))

    def _approvals(self, number: int) -> tuple[Approval, ...]:
        sql = "SELECT person, name, at, counts, account FROM approvals WHERE deployment = ? ORDER BY at, person"
        return tuple(
            Approval(person, name, at, bool(counts), decode(Identity, account) if account else None)
            for person, name, at, counts, account in self._run(sql, (number,))
        )
