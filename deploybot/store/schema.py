"""The schema, as migrations: each is applied once, in order, in a transaction of its own.

Never change one that was released: add the next. Text that must be exact and structured is canonical
JSON (`deploybot.store.codec`); times are seconds since the epoch. No secret is ever stored here.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlite_utils import Database

_FIRST = (
    """
    CREATE TABLE persons (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE CHECK (name <> '' AND name = lower(name))
    )""",
    """
    CREATE TABLE identities (
        platform TEXT NOT NULL CHECK (platform <> ''),
        team TEXT NOT NULL,
        user TEXT NOT NULL CHECK (user <> ''),
        person INTEGER NOT NULL REFERENCES persons (id),
        PRIMARY KEY (platform, team, user)
    ) WITHOUT ROWID""",
    "CREATE INDEX identities_person ON identities (person)",
    """
    CREATE TABLE grants (
        person INTEGER NOT NULL REFERENCES persons (id),
        app TEXT NOT NULL CHECK (app <> ''),
        environment TEXT NOT NULL CHECK (environment <> ''),
        role TEXT NOT NULL CHECK (role IN ('viewer', 'deployer', 'approver', 'admin')),
        PRIMARY KEY (person, app, environment)
    ) WITHOUT ROWID""",
    """
    CREATE TABLE claim (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        salt BLOB NOT NULL,
        hash BLOB NOT NULL,
        until REAL NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND 4)
    )""",
    """
    CREATE TABLE deployments (
        number INTEGER PRIMARY KEY,
        app TEXT NOT NULL,
        environment TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('deploy', 'rollback', 'restart', 'run')),
        commit_id TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN (
            'waiting', 'running', 'restoring', 'succeeded', 'failed', 'restored', 'cancelled', 'unknown')),
        plan TEXT NOT NULL,
        requester INTEGER NOT NULL REFERENCES persons (id),
        requester_name TEXT NOT NULL,
        reason TEXT NOT NULL,
        place TEXT,
        created REAL NOT NULL,
        started REAL NOT NULL DEFAULT 0,
        finished REAL NOT NULL DEFAULT 0,
        cancel_by TEXT NOT NULL DEFAULT '',
        outcome TEXT NOT NULL DEFAULT '',
        tail TEXT NOT NULL DEFAULT '[]'
    )""",
    "CREATE INDEX deployments_app ON deployments (app, environment, number)",
    """
    CREATE INDEX deployments_good ON deployments (app, environment, commit_id, number)
    WHERE state = 'succeeded' AND kind IN ('deploy', 'rollback')
    """,
    """
    CREATE INDEX deployments_open ON deployments (number) WHERE state IN ('waiting', 'running', 'restoring')
    """,
    """
    CREATE TRIGGER deployments_end BEFORE UPDATE OF state ON deployments
    WHEN OLD.state NOT IN ('waiting', 'running', 'restoring')
    BEGIN SELECT RAISE(ABORT, 'a deployment that has ended never moves'); END""",
    """
    CREATE TABLE steps (
        id INTEGER PRIMARY KEY,
        deployment INTEGER NOT NULL REFERENCES deployments (number),
        phase TEXT NOT NULL CHECK (phase IN ('forward', 'restore', 'cleanup')),
        server TEXT NOT NULL,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        job TEXT NOT NULL UNIQUE CHECK (job <> ''),
        state TEXT NOT NULL CHECK (state IN ('pending', 'started', 'done', 'failed', 'cancelled', 'unknown')),
        code INTEGER NOT NULL,
        offset INTEGER NOT NULL CHECK (offset >= 0),
        size INTEGER NOT NULL CHECK (size >= 0),
        started REAL NOT NULL,
        finished REAL NOT NULL,
        detail TEXT NOT NULL,
        UNIQUE (deployment, phase, server, position)
    )""",
    """
    CREATE TABLE running (
        app TEXT NOT NULL,
        environment TEXT NOT NULL,
        server TEXT NOT NULL,
        release TEXT NOT NULL,
        deployment INTEGER NOT NULL REFERENCES deployments (number),
        since REAL NOT NULL,
        healthy INTEGER NOT NULL CHECK (healthy IN (0, 1)),
        PRIMARY KEY (app, environment, server)
    ) WITHOUT ROWID""",
    """
    CREATE TABLE locks (
        app TEXT NOT NULL,
        environment TEXT NOT NULL,
        person INTEGER NOT NULL REFERENCES persons (id),
        holder TEXT NOT NULL,
        reason TEXT NOT NULL,
        since REAL NOT NULL,
        until REAL NOT NULL,
        PRIMARY KEY (app, environment)
    ) WITHOUT ROWID""",
    """
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY,
        place TEXT NOT NULL,
        key TEXT NOT NULL,
        card TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'dead')),
        message TEXT NOT NULL DEFAULT '',
        revision INTEGER NOT NULL DEFAULT 1 CHECK (revision >= 1),
        attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
        next_at REAL NOT NULL,
        error TEXT NOT NULL DEFAULT ''
    )""",
    "CREATE UNIQUE INDEX outbox_card ON outbox (key, place) WHERE key <> ''",
    "CREATE INDEX outbox_due ON outbox (state, next_at)",
    """
    CREATE TABLE seen (
        platform TEXT NOT NULL,
        message TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (platform, message)
    ) WITHOUT ROWID""",
    "CREATE INDEX seen_at ON seen (at)",
    """
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        detail TEXT NOT NULL,
        previous TEXT NOT NULL,
        hash TEXT NOT NULL
    )""",
    """
    CREATE TRIGGER audit_update BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is never changed'); END""",
    """
    CREATE TRIGGER audit_delete BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is never shortened'); END""",
)


def m001_first(db: Database) -> None:
    """Persons, deployments, what runs, locks, messages and the audit."""
    for statement in _FIRST:
        db.execute(statement)


def m002_not_before(db: Database) -> None:
    """Deployments that begin at a time."""
    db.execute("ALTER TABLE deployments ADD COLUMN not_before REAL NOT NULL DEFAULT 0")


_BUTTONS = (
    """
    CREATE TABLE buttons (
        hash TEXT PRIMARY KEY CHECK (length(hash) = 64),
        platform TEXT NOT NULL,
        channel TEXT NOT NULL,
        message TEXT NOT NULL DEFAULT '',
        command TEXT NOT NULL CHECK (command <> ''),
        made REAL NOT NULL,
        used REAL NOT NULL DEFAULT 0
    ) WITHOUT ROWID""",
    "CREATE INDEX buttons_message ON buttons (platform, channel, message)",
    "CREATE INDEX buttons_made ON buttons (made)",
)


def m003_buttons(db: Database) -> None:
    """What stands behind the buttons of messages."""
    for statement in _BUTTONS:
        db.execute(statement)


_REQUESTS = (
    "ALTER TABLE deployments ADD COLUMN needs_approval INTEGER NOT NULL DEFAULT 0 CHECK (needs_approval IN (0, 1))",
    "ALTER TABLE deployments ADD COLUMN approved REAL NOT NULL DEFAULT 0",
    """
    CREATE TABLE requests (
        deployment INTEGER PRIMARY KEY REFERENCES deployments (number),
        binding TEXT NOT NULL,
        wanted INTEGER NOT NULL CHECK (wanted > 0),
        approvers TEXT NOT NULL,
        expires REAL NOT NULL,
        remind_at REAL NOT NULL,
        code INTEGER NOT NULL CHECK (code IN (0, 1)),
        compare TEXT NOT NULL,
        reminded INTEGER NOT NULL DEFAULT 0 CHECK (reminded IN (0, 1)),
        verdict TEXT NOT NULL DEFAULT '' CHECK (verdict IN ('', 'rejected', 'void', 'expired')),
        note TEXT NOT NULL DEFAULT ''
    )""",
    """
    CREATE TABLE approvals (
        deployment INTEGER NOT NULL REFERENCES requests (deployment),
        person INTEGER NOT NULL REFERENCES persons (id),
        name TEXT NOT NULL,
        at REAL NOT NULL,
        counts INTEGER NOT NULL DEFAULT 1 CHECK (counts IN (0, 1)),
        PRIMARY KEY (deployment, person)
    ) WITHOUT ROWID""",
)


def m004_requests(db: Database) -> None:
    """Deployments that wait for approvals, and the approvals."""
    for statement in _REQUESTS:
        db.execute(statement)


_CODES = (
    """
    CREATE TABLE codes (
        person INTEGER PRIMARY KEY REFERENCES persons (id),
        step INTEGER NOT NULL DEFAULT 0,
        tries INTEGER NOT NULL DEFAULT 0,
        until REAL NOT NULL DEFAULT 0
    )""",
    """
    CREATE TABLE links (
        person INTEGER PRIMARY KEY REFERENCES persons (id),
        link TEXT NOT NULL,
        salt BLOB NOT NULL,
        hash BLOB NOT NULL,
        until REAL NOT NULL
    )""",
    """
    CREATE TABLE link_tries (
        identity TEXT PRIMARY KEY,
        tries INTEGER NOT NULL,
        until REAL NOT NULL
    ) WITHOUT ROWID""",
)


def m005_codes(db: Database) -> None:
    """Uses of one-time codes, and codes by which identities are linked; no secret is in either."""
    for statement in _CODES:
        db.execute(statement)


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
    """What others have told the bot, kept before they are answered."""
    for statement in _DELIVERIES:
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
    """What was heard of the things that events are about, and where it was told."""
    for statement in _TOLD:
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
    """What is deployed by itself: what was considered, what is wanted, who brought it about, builds of commits."""
    for statement in _WISHES:
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
    """What others are told of deployments, and an index by which deployments are counted."""
    for statement in _REPORTS:
        db.execute(statement)


STEPS: tuple[Callable[[Database], None], ...] = (
    m001_first,
    m002_not_before,
    m003_buttons,
    m004_requests,
    m005_codes,
    m006_deliveries,
    m007_told,
    m008_wishes,
    m010_reports,
)
"""All migrations, in order."""
