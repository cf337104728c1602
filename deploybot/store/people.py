"""The allowlist in rows: persons, identities, grants."""

from __future__ import annotations

import re
import sqlite3

from deploybot.domain import AUTO, BOT_NAME, Grant, Identity, Person, Role
from deploybot.errors import UserError

_MERGE = (
    "UPDATE identities SET person = :stays WHERE person = :gone",
    "UPDATE deployments SET requester = :stays WHERE requester = :gone",
    "UPDATE OR IGNORE approvals SET person = :stays WHERE person = :gone",
    "DELETE FROM approvals WHERE person = :gone",
    "UPDATE locks SET person = :stays, holder = :name WHERE person = :gone",
    """
    UPDATE codes SET step = max(step, (SELECT step FROM codes WHERE person = :gone))
    WHERE person = :stays AND EXISTS (SELECT 1 FROM codes WHERE person = :gone)""",
    "UPDATE OR IGNORE codes SET person = :stays WHERE person = :gone",
    "DELETE FROM codes WHERE person = :gone",
    "DELETE FROM links WHERE person IN (:gone, :stays)",
    "DELETE FROM grants WHERE person = :gone",
    "DELETE FROM persons WHERE id = :gone",
)
_RANK = {role: rank for rank, role in enumerate(Role)}
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}", re.ASCII)


class PeopleRows:
    """`ports.People` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take the connection whose transaction this works in."""
        self._run = connection.execute

    def of(self, identity: Identity) -> Person | None:
        """Whose identity this is; None for a stranger."""
        sql = """
            SELECT persons.id, persons.name FROM identities JOIN persons ON persons.id = identities.person
            WHERE platform = ? AND team = ? AND user = ?"""
        row = self._run(sql, (identity.platform, identity.team, identity.user)).fetchone()
        return Person(*row) if row else None

    def named(self, name: str) -> Person | None:
        """The person of that name."""
        row = self._run("SELECT id, name FROM persons WHERE name = ?", (name.lower(),)).fetchone()
        return Person(*row) if row else None

    def everybody(self) -> tuple[Person, ...]:
        """All persons, by name."""
        return tuple(Person(*row) for row in self._run("SELECT id, name FROM persons ORDER BY name"))

    def add(self, name: str, identity: Identity | None = None) -> Person:
        """Make a person; UserError when the name or the identity is taken, or the name cannot be typed."""
        name = self._free(name, own=identity == AUTO)
        cursor = self._run("INSERT INTO persons (name) VALUES (?)", (name,))
        person = Person(cursor.lastrowid or 0, name)
        if identity:
            self.link(person.id, identity)
        return person

    def rename(self, person: int, name: str) -> None:
        """Give a person another name; UserError when it is taken, or the person is the bot itself. The past stays."""
        if self._is_itself(person):
            raise _own()
        name = self._free(name)
        self._run("UPDATE persons SET name = ? WHERE id = ?", (name, person))
        self._run("UPDATE locks SET holder = ? WHERE person = ?", (name, person))

    def _free(self, name: str, *, own: bool = False) -> str:
        """The name as it is kept; UserError where nobody, or nobody more, can have it."""
        name = name.lower()
        if not _NAME.fullmatch(name):
            raise UserError(
                f"`{name}` cannot be a person's name",
                hint="A name has up to 40 of the characters a-z, 0-9, `.`, `_` and `-`, a letter or digit first.",
            )
        if name == BOT_NAME and not own:
            raise _own()
        if self.named(name):
            raise UserError(f"there is a person named {name} already", hint="Choose another name.")
        return name

    def link(self, person: int, identity: Identity) -> None:
        """Give a person a further identity; UserError when somebody has it."""
        holder = self.of(identity)
        if holder:
            raise UserError(
                f"the {identity.platform} user {identity.user} is {holder.name} already",
                hint=f"Use the name {holder.name}.",
            )
        if identity != AUTO and self._is_itself(person):
            raise _own()
        sql = "INSERT INTO identities (platform, team, user, person) VALUES (?, ?, ?, ?)"
        self._run(sql, (identity.platform, identity.team, identity.user, person))

    def identities(self, person: int) -> tuple[Identity, ...]:
        """A person's identities."""
        sql = "SELECT platform, user, team FROM identities WHERE person = ? ORDER BY platform, team, user"
        return tuple(Identity(*row) for row in self._run(sql, (person,)))

    def grants(self, person: int | None = None) -> tuple[Grant, ...]:
        """The grants of one person, or of everybody."""
        sql = "SELECT person, role, app, environment FROM grants"
        if person is None:
            rows = self._run(sql + " ORDER BY person, app, environment")
        else:
            rows = self._run(sql + " WHERE person = ? ORDER BY app, environment", (person,))
        return tuple(Grant(person, Role(role), app, environment) for person, role, app, environment in rows)

    def grant(self, person: int, role: Role, app: str = "*", environment: str = "*") -> None:
        """Set a person's role on an app and environment. The last admin of all stays one: UserError."""
        if self._is_itself(person):
            raise _own()
        governed = self._admins()
        sql = """
            INSERT INTO grants (person, app, environment, role) VALUES (?, ?, ?, ?)
            ON CONFLICT (person, app, environment) DO UPDATE SET role = excluded.role"""
        self._run(sql, (person, app, environment, role.value))
        self._refuse_anarchy(governed)

    def revoke(self, person: int, app: str | None = None, environment: str | None = None) -> int:
        """Take grants away: all, an app's, or one; how many went. The last admin of all stays: UserError."""
        governed = self._admins()
        sql = """
            DELETE FROM grants
            WHERE person = ?1 AND (?2 IS NULL OR app = ?2) AND (?3 IS NULL OR environment = ?3)"""
        gone = self._run(sql, (person, app, environment)).rowcount
        self._refuse_anarchy(governed)
        return gone

    def merge(self, person: int, into: Person) -> None:
        """Make two persons one: all that was one's is the other's. Of two roles for a place the higher one stays.

        An approval that both gave is one.
        """
        mine = {(grant.app, grant.environment): grant.role for grant in self.grants(into.id)}
        for grant in self.grants(person):
            there = mine.get((grant.app, grant.environment))
            if there is None or _RANK[grant.role] > _RANK[there]:
                self.grant(into.id, grant.role, grant.app, grant.environment)
        for statement in _MERGE:
            self._run(statement, {"gone": person, "stays": into.id, "name": into.name})

    def _is_itself(self, person: int) -> bool:
        itself = self.of(AUTO)
        return itself is not None and itself.id == person

    def _admins(self) -> bool:
        sql = "SELECT 1 FROM grants WHERE role = 'admin' AND app = '*' AND environment = '*' LIMIT 1"
        return self._run(sql).fetchone() is not None

    def _refuse_anarchy(self, governed: bool) -> None:  # noqa: FBT001 - what _admins said before the change
        """Raising undoes the change: it is in the caller's savepoint."""
        if governed and not self._admins():
            raise UserError(
                "that would take the last administrator of everything away",
                hint="Make somebody else admin first: `allow @name admin`.",
            )


def _own() -> UserError:
    return UserError(
        f"{BOT_NAME} is the bot itself, and nobody else",
        hint="What it may do by itself is what `auto` in bot.toml says; give a person another name.",
    )
