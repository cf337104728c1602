"""Store the allowlist: people, their accounts and their grants."""

from __future__ import annotations

import re
import sqlite3

from deploybot.domain import AUTO, BOT_NAME, Account, Grant, Identity, Person, Role
from deploybot.errors import UserError
from deploybot.store.last_admin import keep_last_account, keep_last_admin

_MERGE = (
    "UPDATE identities SET person = :stays WHERE person = :gone",
    "UPDATE identities SET giver = :stays WHERE giver = :gone",
    "UPDATE identities SET second_giver = :stays WHERE second_giver = :gone",
    "UPDATE deployments SET requester = :stays WHERE requester = :gone",
    "UPDATE OR IGNORE approvals SET person = :stays WHERE person = :gone",
    "DELETE FROM approvals WHERE person = :gone",
    "UPDATE locks SET person = :stays, holder = :name WHERE person = :gone",
    "UPDATE freezes SET person = :stays, holder = :name WHERE person = :gone",
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
_GRANT = "SELECT person, role, app, environment, until, since, given_by, after FROM grants"
_ACCOUNT = "SELECT platform, user, team, person, since, given_by, after, detached, giver, second_giver FROM identities "


class PeopleRows:
    """Implement `ports.People` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._connection = connection
        self._run = connection.execute

    def of(self, identity: Identity) -> Person | None:
        """Return the person with this account, or None if it is unknown."""
        sql = """
            SELECT persons.id, persons.name FROM identities JOIN persons ON persons.id = identities.person
            WHERE platform = ? AND team = ? AND user = ? AND NOT detached"""
        row = self._run(sql, (identity.platform, identity.team, identity.user)).fetchone()
        return Person(*row) if row else None

    def named(self, name: str) -> Person | None:
        """Return the person of this name, or None."""
        row = self._run("SELECT id, name FROM persons WHERE name = ?", (name.lower(),)).fetchone()
        return Person(*row) if row else None

    def everybody(self) -> tuple[Person, ...]:
        """Return all people, sorted by name."""
        return tuple(Person(*row) for row in self._run("SELECT id, name FROM persons ORDER BY name"))

    def add(
        self,
        name: str,
        identity: Identity | None = None,
        *,
        by: str = "",
        givers: tuple[int, ...] = (),
        now: float = 0.0,
    ) -> Person:
        """Create a person. Raises UserError if the name or account is taken, or the name is invalid."""
        name = self._free(name, own=identity == AUTO)
        cursor = self._run("INSERT INTO persons (name) VALUES (?)", (name,))
        person = Person(cursor.lastrowid or 0, name)
        if identity:
            self.link(person.id, identity, by=by, givers=givers, now=now)
        return person

    def rename(self, person: int, name: str) -> None:
        """Rename a person; past records keep the old name. Raises UserError for a taken name or the bot itself."""
        if self._is_itself(person):
            raise _own()
        name = self._free(name)
        self._run("UPDATE persons SET name = ? WHERE id = ?", (name, person))
        self._run("UPDATE locks SET holder = ? WHERE person = ?", (name, person))
        self._run("UPDATE freezes SET holder = ? WHERE person = ?", (name, person))

    def _free(self, name: str, *, own: bool = False) -> str:
        """Return the name in lower case. Raises UserError if it is invalid, reserved or taken."""
        name = name.lower()
        if not _NAME.fullmatch(name):
            raise UserError(
                f"`{name}` cannot be a person's name",
                hint="Use up to 40 of the characters a-z, 0-9, `.`, `_` and `-`, starting with a letter or digit.",
            )
        if name == BOT_NAME and not own:
            raise _own()
        if self.named(name):
            raise UserError(f"a person named {name} already exists", hint="Choose another name.")
        return name

    def link(
        self, person: int, identity: Identity, *, by: str = "", givers: tuple[int, ...] = (), now: float = 0.0
    ) -> None:
        """Give a person another account, even one that was detached. Raises UserError if it is in use.

        `givers` are the one or two people who give it, whom `by` names.
        """
        holder = self.of(identity)
        if holder:
            raise UserError(
                f"the {identity.platform} user {identity.user} is already {holder.name}",
                hint=f"Use the name {holder.name}.",
            )
        if identity != AUTO and self._is_itself(person):
            raise _own()
        sql = f"""
            INSERT OR REPLACE INTO identities
                (platform, team, user, person, since, given_by, giver, second_giver, after)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, {_NEWEST})"""  # noqa: S608  a constant
        giver, second, *_ = (*givers, 0, 0)
        self._run(sql, (identity.platform, identity.team, identity.user, person, now, by, giver, second))

    def identities(self, person: int) -> tuple[Identity, ...]:
        """Return a person's accounts."""
        return tuple(one.identity for one in self.accounts() if one.person == person)

    def account(self, identity: Identity) -> Account | None:
        """Return the account with its details, even if it is detached; None if it is unknown."""
        sql = _ACCOUNT + "WHERE platform = ? AND team = ? AND user = ?"
        row = self._run(sql, (identity.platform, identity.team, identity.user)).fetchone()
        return _account(row) if row else None

    def accounts(self) -> tuple[Account, ...]:
        """Return the accounts of all people, without detached ones."""
        sql = _ACCOUNT + "WHERE NOT detached ORDER BY person, platform, team, user"
        return tuple(map(_account, self._run(sql)))

    def detach(self, identity: Identity) -> bool:
        """Detach an account from its person; return False if it has none.

        Raises UserError if it is the last account of the last admin of everything.
        """
        holder = self.of(identity)
        if holder is None:
            return False
        sql = "UPDATE identities SET detached = 1 WHERE platform = ? AND team = ? AND user = ?"
        with keep_last_account(self._connection):
            self._run(sql, (identity.platform, identity.team, identity.user))
        return True

    def grants(self, person: int | None = None) -> tuple[Grant, ...]:
        """Return the grants of one person or of all, including expired ones that are not removed yet."""
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
        """Grant a person a role on a target. Raises UserError if this demotes the last admin of everything.

        A permanent grant replaces all others for the same target. A temporary one is added to the permanent one. If the
        person already has the role or a higher one, the earlier start is kept.
        """
        if self._is_itself(person):
            raise _own()
        had = self._had(Grant(person, role, app, environment, until), now)
        target = (person, app, environment)
        sql = f"""
            INSERT OR REPLACE INTO grants (person, app, environment, role, until, since, given_by, after)
            VALUES (?, ?, ?, ?, ?, ?, ?, coalesce(?, {_NEWEST}))"""  # noqa: S608  a constant
        since = (had.since, had.by, had.after) if had else (now, by, None)
        with keep_last_admin(self._connection):
            if not until:
                self._run("DELETE FROM grants WHERE person = ? AND app = ? AND environment = ?", target)
            self._run(sql, (*target, role.value, until, *since))

    def _had(self, new: Grant, now: float) -> Grant | None:
        """Return the current grant of the same or a higher role for this target, or None.

        Raises UserError if a temporary role adds nothing to a permanent one.
        """
        target = (new.app, new.environment)
        here = [one for one in self.grants(new.person) if (one.app, one.environment) == target]
        enough = [one for one in here if _RANK[one.role] >= _RANK[new.role]]
        if new.until and any(not one.until for one in enough):
            raise UserError("that role already exists, without an end time", hint="`deny` removes it.")
        return next((one for one in enough if not one.until or now < one.until), None)

    def end_grants(self, now: float) -> tuple[Grant, ...]:
        """Remove the expired grants and return them."""
        over = f"{_GRANT} WHERE until <> 0 AND until <= ? ORDER BY until, person"
        ended = tuple(map(_grant, self._run(over, (now,))))
        self._run("DELETE FROM grants WHERE until <> 0 AND until <= ?", (now,))
        return ended

    def revoke(self, person: int, app: str | None = None, environment: str | None = None) -> int:
        """Revoke a person's grants: all, an app's, or one. Return how many were revoked.

        Raises UserError if no admin of everything would be left.
        """
        sql = """
            DELETE FROM grants
            WHERE person = ?1 AND (?2 IS NULL OR app = ?2) AND (?3 IS NULL OR environment = ?3)"""
        with keep_last_admin(self._connection):
            return self._run(sql, (person, app, environment)).rowcount

    def merge(self, person: int, into: Person) -> None:
        """Merge two people: everything of one goes to the other. The higher of two roles for a target stays.

        If both approved the same deployment, only one approval remains.
        """
        mine = {(one.app, one.environment, bool(one.until)): one.role for one in self.grants(into.id)}
        for one in self.grants(person):
            there = mine.get((one.app, one.environment, bool(one.until)))
            if there is None or _RANK[one.role] > _RANK[there]:
                self._take_over(one, into.id)
        for statement in _MERGE:
            self._run(statement, {"gone": person, "stays": into.id, "name": into.name})

    def _take_over(self, grant: Grant, into: int) -> None:
        """Copy a grant to another person, including when and by whom it was given."""
        sql = """
            INSERT OR REPLACE INTO grants (person, app, environment, role, until, since, given_by, after)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
        what = (grant.app, grant.environment, grant.role.value, grant.until, grant.since, grant.by, grant.after)
        self._run(sql, (into, *what))

    def _is_itself(self, person: int) -> bool:
        itself = self.of(AUTO)
        return itself is not None and itself.id == person


def _own() -> UserError:
    return UserError(
        f"{BOT_NAME} is the bot itself",
        hint="Only `auto` in bot.toml decides what it may do; give a person another name.",
    )


def _grant(row: sqlite3.Row) -> Grant:
    person, role, app, environment, until, since, by, after = row
    return Grant(person, Role(role), app, environment, until=until, since=since, by=by, after=after)


def _account(row: sqlite3.Row) -> Account:
    platform, user, team, person, since, by, after, detached, *people = row
    givers = tuple(dict.fromkeys(filter(None, people)))
    identity = Identity(platform, user, team)
    return Account(identity, person, since, by, after, detached=bool(detached), givers=givers)
