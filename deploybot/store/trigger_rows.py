"""Store triggers of automatic deployments: one open per environment, and one deployment per release there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import replace

from deploybot.domain import Author, AutoRule, Build, BuildState, Trigger, TriggerState
from deploybot.errors import StoreError, UserError
from deploybot.store.codec import decode, encode
from deploybot.store.stored_text import clean

_KEPT = 90 * 86400.0
_SELECT = """
    SELECT number, app, environment, rule, source, commit_id, release, ref, why, made, state, problem, shown, tries,
           next_at, deployment
    FROM triggers """
_INSERT = """
    INSERT INTO triggers (app, environment, rule, source, commit_id, release, ref, why, made, state, problem, shown,
                        tries, next_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_PUT = "UPDATE triggers SET state = ?, problem = ?, shown = ?, tries = ?, next_at = ? WHERE number = ?"
_BUILD = """
    INSERT OR REPLACE INTO builds (app, commit_id, key, name, state, attempt, at, kept, event)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_BUILDS = "SELECT commit_id, key, name, state, attempt, at, event FROM builds "


def _trigger(row: sqlite3.Row) -> Trigger:
    number, app, environment, rule, source, commit, release, ref, why, made, state, *rest = row
    problem, shown, tries, next_at, deployment = rest
    return Trigger(
        number=number,
        app=app,
        environment=environment,
        rule=AutoRule(rule),
        source=source,
        commit=commit,
        release=release,
        ref=ref,
        why=why,
        made=made,
        state=TriggerState(state),
        problem=problem,
        shown=shown,
        tries=tries,
        next_at=next_at,
        deployment=deployment,
    )


def _build(row: sqlite3.Row) -> Build:
    """Decode a build. Rows from before migration 15 have only columns."""
    commit, key, name, state, attempt, at, event = row
    if event:
        return decode(Build, event)
    sender, _, own = key.partition(" ")
    return Build(
        sender=sender, key=own, name=name, state=BuildState(state), commit=commit, attempt=attempt, at=at
    )  # fmt: skip


def _key(build: Build) -> str:
    return clean(f"{build.sender} {build.key}")


class TriggerRows:
    """Implement `ports.TriggerTable` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def considered(self, app: str, environment: str) -> dict[str, str]:
        """Return what was last considered in an environment, by source."""
        sql = "SELECT source, what FROM considered WHERE app = ? AND environment = ?"
        return dict(self._run(sql, (app, environment)).fetchall())

    def consider(self, app: str, environment: str, source: str, what: str) -> None:
        """Store what was considered last."""
        sql = "INSERT OR REPLACE INTO considered (app, environment, source, what) VALUES (?, ?, ?, ?)"
        self._run(sql, (app, environment, clean(source), clean(what)))

    def forget(self, app: str, environment: str, source: str) -> None:
        """Delete what was considered last."""
        sql = "DELETE FROM considered WHERE app = ? AND environment = ? AND source = ?"
        self._run(sql, (app, environment, clean(source)))

    def add(self, trigger: Trigger) -> Trigger:
        """Store a new trigger and return it with its number."""
        kept = replace(trigger, source=clean(trigger.source), why=clean(trigger.why), problem=clean(trigger.problem))
        found = (kept.app, kept.environment, kept.rule.value, kept.source)
        what = (kept.commit, kept.release, kept.ref, kept.why, kept.made)
        state = (kept.state.value, kept.problem, kept.shown, kept.tries, kept.next_at)
        return replace(kept, number=self._run(_INSERT, found + what + state).lastrowid or 0)

    def get(self, number: int) -> Trigger | None:
        """Return one trigger, or None."""
        row = self._run(_SELECT + "WHERE number = ?", (number,)).fetchone()
        return _trigger(row) if row else None

    def put(self, trigger: Trigger) -> None:
        """Update a stored trigger. Raises StoreError if it is unknown or already ended in another state."""
        kept = self.get(trigger.number)
        if kept is None or (kept.state.ended and kept.state is not trigger.state):
            raise StoreError(f"trigger {trigger.number} has ended and cannot become {trigger.state}")
        values = (trigger.state.value, clean(trigger.problem), trigger.shown, trigger.tries, trigger.next_at)
        self._run(_PUT, (*values, trigger.number))

    def pending(self, app: str) -> tuple[Trigger, ...]:
        """Return an app's triggers that have not ended, or whose card is out of date; oldest first."""
        where = "WHERE app = ? AND (state IN ('open', 'asked') OR (shown <> '' AND shown <> state)) ORDER BY number"
        return tuple(map(_trigger, self._run(_SELECT + where, (app,))))

    def current(self, app: str, environment: str) -> Trigger | None:
        """Return the trigger that is open or asked in an environment, or None."""
        where = "WHERE app = ? AND environment = ? AND state IN ('open', 'asked')"
        row = self._run(_SELECT + where, (app, environment)).fetchone()
        return _trigger(row) if row else None

    def mark_deployed(self, number: int, deployment: int) -> Trigger:
        """Record the deployment of an open trigger.

        Raises UserError for any other trigger, and for a release that was already deployed automatically.
        """
        trigger = self.get(number)
        if trigger is None or trigger.state is not TriggerState.OPEN:
            raise UserError("This automatic deployment is no longer wanted.")
        if before := self.deployment_of(trigger.app, trigger.environment, trigger.release):
            raise UserError(f"It was already deployed automatically, as #{before}.")
        sql = "UPDATE triggers SET state = 'deployed', deployment = ?, problem = '' WHERE number = ?"
        self._run(sql, (deployment, number))
        return replace(trigger, state=TriggerState.DEPLOYED, deployment=deployment, problem="")

    def deployment_of(self, app: str, environment: str, release: str) -> int:
        """Return the automatic deployment of a release in an environment that was not replaced; 0 if there is none."""
        sql = """
            SELECT deployment FROM triggers
            WHERE app = ? AND environment = ? AND release = ? AND deployment <> 0 AND replaced = 0"""
        row = self._run(sql, (app, environment, release)).fetchone()
        return int(row[0]) if row else 0

    def put_author(self, app: str, what: str, author: Author, now: float) -> None:
        """Record the author of a commit, a tag or a digest."""
        self._run("DELETE FROM change_authors WHERE at < ?", (now - _KEPT,))
        sql = "INSERT OR REPLACE INTO change_authors (app, what, author, at) VALUES (?, ?, ?, ?)"
        self._run(sql, (app, clean(what), encode(replace(author, name=clean(author.name))), now))

    def authors(self, app: str, whats: Iterable[str]) -> tuple[Author, ...]:
        """Return the authors of any of these, each once."""
        sql = "SELECT author FROM change_authors WHERE app = ? AND what = ? ORDER BY at, author"
        found = (decode(Author, row[0]) for what in whats for row in self._run(sql, (app, clean(what))))
        return tuple(dict.fromkeys(found))

    def build(self, app: str, build: Build, now: float) -> None:
        """Store the state of a commit's build, replacing the earlier one."""
        self._run("DELETE FROM builds WHERE kept < ?", (now - _KEPT,))
        what = (clean(build.name), build.state.value, build.attempt, build.at, now, encode(build))
        self._run(_BUILD, (app, build.commit, _key(build), *what))

    def built(self, app: str, build: Build) -> Build | None:
        """Return the stored state of the same build, by its commit, sender and key, or None."""
        where = "WHERE app = ? AND commit_id = ? AND key = ?"
        row = self._run(_BUILDS + where, (app, build.commit, _key(build))).fetchone()
        return _build(row) if row else None

    def builds(self, app: str, commit: str) -> tuple[Build, ...]:
        """Return all known builds of a commit, sorted by name."""
        found = self._run(_BUILDS + "WHERE app = ? AND commit_id = ? ORDER BY name, key", (app, commit))
        return tuple(map(_build, found))

    def publish(self, app: str, tag: str, now: float) -> None:
        """Record that a release was published."""
        self._run("INSERT OR IGNORE INTO published (app, tag, at) VALUES (?, ?, ?)", (app, clean(tag), now))

    def unpublish(self, app: str, tag: str) -> None:
        """Record that a release was deleted."""
        self._run("DELETE FROM published WHERE app = ? AND tag = ?", (app, clean(tag)))

    def published(self, app: str) -> tuple[str, ...]:
        """Return the tags of all published releases."""
        return tuple(row[0] for row in self._run("SELECT tag FROM published WHERE app = ? ORDER BY tag", (app,)))
