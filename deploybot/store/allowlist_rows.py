"""The allowlist in rows: persons, identities, grants."""

from __future__ import annotations

import re
import sqlite3

from deploybot.domain import AUTO, BOT_NAME, Account, Grant, Identity, Person, Role
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
_NEWEST = "(SELECT coalesce(max(number), 0) FROM deployments)"
_ADMIN = "role = 'admin' AND app = '*' AND environment = '*' AND until = 0"
_GRANT = "SELECT person, role, app, environment, until, since, given_by, after FROM grants"
_ACCOUNT = "SELECT platform, user, team, person, since, given_by, after, detached FROM identities "


class PeopleRows:
    """`ports.People` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take the connection whose transaction this works in."""
        self._run = connection.execute

    def of(self, identity: Identity) -> Person | None:
        """Whose identity this is; None for a stranger."""
        sql = """
            SELECT persons.id, persons.name FROM identities JOIN persons ON persons.id = identities.person
            WHERE platform = ? AND team = ? AND user = ? AND NOT detached"""
        row = self._run(sql, (identity.platform, identity.team, identity.user)).fetchone()
        return Person(*row) if row else None

    def named(self, name: str) -> Person | None:
        """The person of that name."""
        row = self._run("SELECT id, name FROM persons WHERE name = ?", (name.lower(),)).fetchone()
        return Person(*row) if row else None

    def everybody(self) -> tuple[Person, ...]:
        """All persons, by name."""
        return tuple(Person(*row) for row in self._run("SELECT id, name FROM persons ORDER BY name"))

    def add(self, name: str, identity: Identity | None = None, *, by: str = "", now: float = 0.0) -> Person:
        """Make a person; UserError when the name or the identity is taken, or the name cannot be typed."""
        name = self._free(name, own=identity == AUTO)
        cursor = self._run("INSERT INTO persons (name) VALUES (?)", (name,))
        person = Person(cursor.lastrowid or 0, name)
        if identity:
            self.link(person.id, identity, by=by, now=now)
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

    def link(self, person: int, identity: Identity, *, by: str = "", now: float = 0.0) -> None:
        """Give a person a further identity, also one that was detached; UserError when somebody has it."""
        holder = self.of(identity)
        if holder:
            raise UserError(
                f"the {identity.platform} user {identity.user} is {holder.name} already",
                hint=f"Use the name {holder.name}.",
            )
        if identity != AUTO and self._is_itself(person):
            raise _own()
        sql = f"""
            INSERT OR REPLACE INTO identities (platform, team, user, person, since, given_by, after)
            VALUES (?, ?, ?, ?, ?, ?, {_NEWEST})"""  # noqa: S608  a constant
        self._run(sql, (identity.platform, identity.team, identity.user, person, now, by))

    def identities(self, person: int) -> tuple[Identity, ...]:
        """A person's identities."""
        return tuple(one.identity for one in self.accounts() if one.person == person)

    def account(self, identity: Identity) -> Account | None:
        """An identity's account, also a detached one; None for a stranger."""
        sql = _ACCOUNT + "WHERE platform = ? AND team = ? AND user = ?"
        row = self._run(sql, (identity.platform, identity.team, identity.user)).fetchone()
        return _account(row) if row else None

    def accounts(self) -> tuple[Account, ...]:
        """Everybody's accounts, without detached ones."""
        sql = _ACCOUNT + "WHERE NOT detached ORDER BY person, platform, team, user"
        return tuple(map(_account, self._run(sql)))

    def detach(self, identity: Identity) -> bool:
        """Take an identity from its person; False where nobody has it. The last admin keeps one: UserError."""
        holder = self.of(identity)
        if holder is None:
            return False
        reached = self._reached()
        sql = "UPDATE identities SET detached = 1 WHERE platform = ? AND team = ? AND user = ?"
        self._run(sql, (identity.platform, identity.team, identity.user))
        if reached and not self._reached():
            raise UserError(
                "that would take the last account from the last administrator of everything",
                hint="Make somebody else admin first, or give another account: `allow PLATFORM:ID:NAME`.",
            )
        return True

    def grants(self, person: int | None = None) -> tuple[Grant, ...]:
        """The grants of one person, or of everybody; also those whose time is over and that are not removed yet."""
        order = "ORDER BY person, app, environment, until"
        sql = f"{_GRANT} WHERE ?1 IS NULL OR person = ?1 {order}"
        return tuple(map(_grant, self._run(sql, (person,))))

    def grant(
        self,
        person: int,
        role: Role,
        app: str = "*",
        environment: str = "*",
        *,
        by: str = "",
        now: float = 0.0,
        until: float = 0.0,
    ) -> None:
        """Set a person's role on an app and environment. The last admin of all stays one: UserError.

        One without an end replaces all that were there; one with an end stands beside the one without. Who had the
        role already, or a higher one, has it since then.
        """
        if self._is_itself(person):
            raise _own()
        governed = self._admins()
        had = self._had(Grant(person, role, app, environment, until), now)
        place = (person, app, environment)
        if not until:
            self._run("DELETE FROM grants WHERE person = ? AND app = ? AND environment = ?", place)
        sql = f"""
            INSERT OR REPLACE INTO grants (person, app, environment, role, until, since, given_by, after)
            VALUES (?, ?, ?, ?, ?, ?, ?, coalesce(?, {_NEWEST}))"""  # noqa: S608  a constant
        since = (had.since, had.by, had.after) if had else (now, by, None)
        self._run(sql, (*place, role.value, until, *since))
        self._refuse_anarchy(governed)

    def _had(self, new: Grant, now: float) -> Grant | None:
        """The grant that gave as much in that place until now; UserError where a role that ends would add nothing."""
        place = (new.app, new.environment)
        here = [one for one in self.grants(new.person) if (one.app, one.environment) == place]
        enough = [one for one in here if _RANK[one.role] >= _RANK[new.role]]
        if new.until and any(not one.until for one in enough):
            raise UserError("that role is there already, without an end", hint="`deny` takes it away.")
        return next((one for one in enough if not one.until or now < one.until), None)

    def end_grants(self, now: float) -> tuple[Grant, ...]:
        """Remove the grants whose time is over; which they were."""
        over = f"{_GRANT} WHERE until <> 0 AND until <= ? ORDER BY until, person"
        ended = tuple(map(_grant, self._run(over, (now,))))
        self._run("DELETE FROM grants WHERE until <> 0 AND until <= ?", (now,))
        return ended

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
        mine = {(one.app, one.environment, bool(one.until)): one.role for one in self.grants(into.id)}
        for one in self.grants(person):
            there = mine.get((one.app, one.environment, bool(one.until)))
            if there is None or _RANK[one.role] > _RANK[there]:
                self._take_over(one, into.id)
        for statement in _MERGE:
            self._run(statement, {"gone": person, "stays": into.id, "name": into.name})

    def _take_over(self, grant: Grant, into: int) -> None:
        """Give a grant to another person as it is, with since when and by whom."""
        sql = """
            INSERT OR REPLACE INTO grants (person, app, environment, role, until, since, given_by, after)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
        what = (grant.app, grant.environment, grant.role.value, grant.until, grant.since, grant.by, grant.after)
        self._run(sql, (into, *what))

    def _is_itself(self, person: int) -> bool:
        itself = self.of(AUTO)
        return itself is not None and itself.id == person

    def _admins(self) -> bool:
        return self._run(f"SELECT 1 FROM grants WHERE {_ADMIN} LIMIT 1").fetchone() is not None  # noqa: S608  a constant

    def _reached(self) -> bool:
        """Whether an admin of everything has an account to speak by."""
        sql = f"""
            SELECT 1 FROM grants JOIN identities USING (person)
            WHERE {_ADMIN} AND NOT detached AND platform IN ('console', 'slack', 'telegram') LIMIT 1"""  # noqa: S608  a constant
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
        f"{BOT_NAME} is the bot itself",
        hint="Only `auto` in bot.toml decides what it may do; give a person another name.",
    )


def _grant(row: sqlite3.Row) -> Grant:
    person, role, app, environment, until, since, by, after = row
    return Grant(person, Role(role), app, environment, until=until, since=since, by=by, after=after)


def _account(row: sqlite3.Row) -> Account:
    platform, user, team, person, since, by, after, detached = row
    return Account(Identity(platform, user, team), person, since, by, after, detached=bool(detached))
