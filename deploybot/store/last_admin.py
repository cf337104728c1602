"""Keep the last admin of everything: changes of grants and accounts that would leave none are refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from deploybot.errors import UserError

_ADMIN = "role = 'admin' AND app = '*' AND environment = '*' AND until = 0"


@contextmanager
def keep_last_admin(connection: sqlite3.Connection) -> Iterator[None]:
    """Raise UserError if a change of grants leaves no admin of everything. The caller's savepoint is then undone."""
    had_one = _has_admin(connection)
    yield
    if had_one and not _has_admin(connection):
        raise UserError(
            "that would remove the last administrator of everything",
            hint="Make someone else admin first: `allow @name admin`.",
        )


@contextmanager
def keep_last_account(connection: sqlite3.Connection) -> Iterator[None]:
    """Raise UserError if a change of accounts leaves no admin of everything with an account to send commands from."""
    had_one = _has_reachable_admin(connection)
    yield
    if had_one and not _has_reachable_admin(connection):
        raise UserError(
            "that would remove the last account of the last administrator of everything",
            hint="Make someone else admin first, or give another account: `allow PLATFORM:ID:NAME`.",
        )


def _has_admin(connection: sqlite3.Connection) -> bool:
    sql = f"SELECT 1 FROM grants WHERE {_ADMIN} LIMIT 1"  # noqa: S608  a constant
    return connection.execute(sql).fetchone() is not None


def _has_reachable_admin(connection: sqlite3.Connection) -> bool:
    sql = f"""
        SELECT 1 FROM grants JOIN identities USING (person)
        WHERE {_ADMIN} AND NOT detached AND platform IN ('console', 'slack', 'telegram') LIMIT 1"""  # noqa: S608  a constant
    return connection.execute(sql).fetchone() is not None
