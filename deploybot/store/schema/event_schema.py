"""Create the tables of webhook deliveries, event notifications, triggers and reports."""

from __future__ import annotations

from sqlite_utils import Database

_DELIVERIES = (
    """
    CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        app TEXT NOT NULL,
        sender TEXT NOT NULL CHECK (sender <> ''),
        delivery TEXT NOT NULL,
        digest BLOB,
        headers TEXT NOT NULL,
        query TEXT NOT NULL,
        received REAL NOT NULL,
        fate TEXT NOT NULL DEFAULT 'waiting' CHECK (fate IN ('waiting', 'done', 'failed')),
        tries INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0),
        made TEXT NOT NULL DEFAULT '',
        body BLOB
    )""",
    "CREATE UNIQUE INDEX deliveries_delivery ON deliveries (delivery, sender, app) WHERE delivery <> ''",
    "CREATE UNIQUE INDEX deliveries_digest ON deliveries (digest, sender, app)",
    "CREATE INDEX deliveries_waiting ON deliveries (id) WHERE fate = 'waiting'",
    "CREATE INDEX deliveries_failed ON deliveries (id) WHERE fate = 'failed'",
)


def m006_deliveries(db: Database) -> None:
    """Create the table of webhook deliveries, which are stored before they are answered."""
    for statement in _DELIVERIES:
        db.execute(statement)


_REPORTS = (
    """
    CREATE TABLE reports (
        id INTEGER PRIMARY KEY,
        target TEXT NOT NULL CHECK (target <> ''),
        deployment INTEGER NOT NULL REFERENCES deployments (number),
        environment TEXT NOT NULL,
        word TEXT NOT NULL,
        key TEXT NOT NULL UNIQUE,
        report TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'dead')),
        remote TEXT NOT NULL DEFAULT '',
        made REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
        next_at REAL NOT NULL,
        error TEXT NOT NULL DEFAULT ''
    )""",
    "CREATE INDEX reports_deployment ON reports (deployment, target, id)",
    "CREATE INDEX reports_due ON reports (id) WHERE state = 'waiting'",
    "CREATE INDEX reports_made ON reports (made) WHERE remote = ''",
    "CREATE INDEX reports_good ON reports (target, environment, id) WHERE word = 'succeeded'",
    "CREATE INDEX deployments_counted ON deployments (app, environment, kind, state, started, finished)",
)


def m010_reports(db: Database) -> None:
    """Create the table of reports to other services, and an index for counting deployments."""
    for statement in _REPORTS:
        db.execute(statement)


_WISHES = (
    "ALTER TABLE deployments ADD COLUMN wish INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE deployments ADD COLUMN skipped TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE deployments ADD COLUMN replaced_by INTEGER NOT NULL DEFAULT 0",
    """
    CREATE TABLE considered (
        app TEXT NOT NULL,
        environment TEXT NOT NULL,
        source TEXT NOT NULL CHECK (source <> ''),
        what TEXT NOT NULL,
        PRIMARY KEY (app, environment, source)
    ) WITHOUT ROWID""",
    """
    CREATE TABLE wishes (
        number INTEGER PRIMARY KEY,
        app TEXT NOT NULL,
        environment TEXT NOT NULL,
        source TEXT NOT NULL,
        commit_id TEXT NOT NULL,
        release TEXT NOT NULL CHECK (release <> ''),
        ref TEXT NOT NULL,
        why TEXT NOT NULL,
        made REAL NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'asked', 'deployed', 'done', 'overtaken', 'left')),
        problem TEXT NOT NULL,
        shown TEXT NOT NULL,
        tries INTEGER NOT NULL,
        next_at REAL NOT NULL,
        deployment INTEGER NOT NULL DEFAULT 0 CHECK ((deployment <> 0) = (state = 'deployed'))
    )""",
    "CREATE UNIQUE INDEX wishes_standing ON wishes (app, environment) WHERE state IN ('open', 'asked')",
    "CREATE UNIQUE INDEX wishes_once ON wishes (app, environment, release) WHERE deployment <> 0",
    """
    CREATE INDEX wishes_pending ON wishes (app, number)
    WHERE state IN ('open', 'asked') OR (shown <> '' AND shown <> state)""",
    """
    CREATE TRIGGER wishes_end BEFORE UPDATE OF state, deployment ON wishes
    WHEN OLD.state NOT IN ('open', 'asked') AND (NEW.state <> OLD.state OR NEW.deployment <> OLD.deployment)
    BEGIN SELECT RAISE(ABORT, 'a wish that has ended never moves'); END""",
    """
    CREATE TABLE brought (
        app TEXT NOT NULL,
        what TEXT NOT NULL CHECK (what <> ''),
        author TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (app, what, author)
    ) WITHOUT ROWID""",
    "CREATE INDEX brought_at ON brought (at)",
    """
    CREATE TABLE builds (
        app TEXT NOT NULL,
        commit_id TEXT NOT NULL CHECK (commit_id <> ''),
        key TEXT NOT NULL,
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        at REAL NOT NULL,
        kept REAL NOT NULL,
        PRIMARY KEY (app, commit_id, key)
    ) WITHOUT ROWID""",
    "CREATE INDEX builds_kept ON builds (kept)",
    """
    CREATE TABLE published (
        app TEXT NOT NULL,
        tag TEXT NOT NULL CHECK (tag <> ''),
        at REAL NOT NULL,
        PRIMARY KEY (app, tag)
    ) WITHOUT ROWID""",
)


def m008_wishes(db: Database) -> None:
    """Create the tables of automatic deployments: considered refs, triggers, authors, builds and published releases."""
    for statement in _WISHES:
        db.execute(statement)


_TOLD = (
    """
    CREATE TABLE told_things (
        app TEXT NOT NULL,
        thing TEXT NOT NULL,
        changed REAL NOT NULL,
        PRIMARY KEY (app, thing)
    ) WITHOUT ROWID""",
    "CREATE INDEX told_things_changed ON told_things (changed)",
    """
    CREATE TABLE told_parts (
        app TEXT NOT NULL,
        thing TEXT NOT NULL,
        part TEXT NOT NULL,
        kind TEXT NOT NULL,
        event TEXT NOT NULL,
        series TEXT NOT NULL,
        position REAL NOT NULL,
        commit_id TEXT NOT NULL,
        heard REAL NOT NULL,
        PRIMARY KEY (app, thing, part),
        FOREIGN KEY (app, thing) REFERENCES told_things (app, thing) ON DELETE CASCADE
    ) WITHOUT ROWID""",
    "CREATE INDEX told_parts_part ON told_parts (app, part)",
    "CREATE INDEX told_parts_commit ON told_parts (app, commit_id) WHERE commit_id <> ''",
    "CREATE INDEX told_parts_series ON told_parts (app, series, position) WHERE series <> ''",
    """
    CREATE TABLE told_places (
        id INTEGER PRIMARY KEY,
        app TEXT NOT NULL,
        thing TEXT NOT NULL,
        place TEXT NOT NULL,
        messages INTEGER NOT NULL CHECK (messages >= 0),
        said REAL NOT NULL,
        due REAL NOT NULL,
        mood TEXT NOT NULL,
        UNIQUE (app, thing, place),
        FOREIGN KEY (app, thing) REFERENCES told_things (app, thing) ON DELETE CASCADE
    )""",
    "CREATE INDEX told_places_due ON told_places (due) WHERE due > 0",
)


def m007_told(db: Database) -> None:
    """Create the tables of event subjects and of their notifications."""
    for statement in _TOLD:
        db.execute(statement)


def m015_builds(db: Database) -> None:
    """Store the event of each build. Delete GitHub's checks, which combined several runs and those of forks."""
    db.execute("ALTER TABLE builds ADD COLUMN event TEXT NOT NULL DEFAULT ''")
    db.execute("DELETE FROM builds WHERE key LIKE 'github github:%:check:%'")
    db.execute("DELETE FROM told_parts WHERE kind = 'Build' AND event LIKE '%\"key\":\"github:%:check:%'")


_RENAMED = (
    "ALTER TABLE wishes RENAME TO triggers",
    "UPDATE considered SET source = 'trouble reported' WHERE source = 'trouble told'",
    "ALTER TABLE deployments RENAME COLUMN wish TO trigger_number",
    "ALTER TABLE brought RENAME TO change_authors",
    "DROP INDEX brought_at",
    "CREATE INDEX change_authors_at ON change_authors (at)",
    "ALTER TABLE told_things RENAME TO event_subjects",
    "ALTER TABLE told_parts RENAME TO event_parts",
    "ALTER TABLE event_parts RENAME COLUMN heard TO arrived_at",
    "ALTER TABLE told_places RENAME TO notifications",
    "ALTER TABLE notifications RENAME COLUMN said TO posted_at",
    "ALTER TABLE told_storms RENAME TO storms",
    *(
        f"DROP INDEX {name}"
        for name in (
            *("wishes_standing", "wishes_once", "wishes_pending", "told_things_changed", "told_parts_part"),
            *("told_parts_commit", "told_parts_series", "told_places_due", "told_places_stream", "told_places_storm"),
            *("told_storms_open", "told_storms_began"),
        )
    ),
    "CREATE UNIQUE INDEX triggers_current ON triggers (app, environment) WHERE state IN ('open', 'asked')",
    "CREATE UNIQUE INDEX triggers_deployed ON triggers (app, environment, release) WHERE deployment <> 0",
    """
    CREATE INDEX triggers_pending ON triggers (app, number)
    WHERE state IN ('open', 'asked') OR (shown <> '' AND shown <> state)""",
    "DROP TRIGGER wishes_end",
    """
    CREATE TRIGGER triggers_end BEFORE UPDATE OF state, deployment ON triggers
    WHEN OLD.state NOT IN ('open', 'asked') AND (NEW.state <> OLD.state OR NEW.deployment <> OLD.deployment)
    BEGIN SELECT RAISE(ABORT, 'a trigger that has ended never changes'); END""",
    "CREATE INDEX event_subjects_changed ON event_subjects (changed)",
    "CREATE INDEX event_parts_part ON event_parts (app, part)",
    "CREATE INDEX event_parts_commit ON event_parts (app, commit_id) WHERE commit_id <> ''",
    "CREATE INDEX event_parts_series ON event_parts (app, series, position) WHERE series <> ''",
    "CREATE INDEX notifications_due ON notifications (due) WHERE due > 0",
    "CREATE INDEX notifications_stream ON notifications (place, stream, posted_at) WHERE stream <> ''",
    "CREATE INDEX notifications_storm ON notifications (storm, id) WHERE storm <> 0",
    "CREATE INDEX storms_open ON storms (closes) WHERE closes > 0",
    "CREATE INDEX storms_began ON storms (began)",
)


def m020_triggers(db: Database) -> None:
    """Rename the tables of triggers, events and notifications after what they hold. All rows stay."""
    for statement in _RENAMED:
        db.execute(statement)
