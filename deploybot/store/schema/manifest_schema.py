"""Create the table of what releases were seen to run, and add to the rows of deployments."""

from __future__ import annotations

from sqlite_utils import Database


def m011_manifests(db: Database) -> None:
    """Create the table of releases' images by server."""
    db.execute("""
        CREATE TABLE manifests (
            app TEXT NOT NULL,
            environment TEXT NOT NULL,
            server TEXT NOT NULL,
            release TEXT NOT NULL CHECK (release <> ''),
            manifest TEXT NOT NULL,
            at REAL NOT NULL,
            verified INTEGER NOT NULL CHECK (verified IN (0, 1)),
            PRIMARY KEY (app, environment, server, release)
        ) WITHOUT ROWID""")


def m013_glass(db: Database) -> None:
    """Add the rules that a deployment bypassed with break glass."""
    db.execute("ALTER TABLE deployments ADD COLUMN glass TEXT NOT NULL DEFAULT ''")


def m017_stages(db: Database) -> None:
    """Store the kind of each stage, and what a watch compares with."""
    db.execute("ALTER TABLE steps ADD COLUMN kind TEXT NOT NULL DEFAULT 'run'")
    db.execute("ALTER TABLE steps ADD COLUMN baseline TEXT NOT NULL DEFAULT ''")


def m019_attempts(db: Database) -> None:
    """Keep what a deployment only prepared beside what was verified. What once succeeded counts as verified."""
    db.execute("ALTER TABLE manifests RENAME TO manifests_before")
    # The key's columns come first: SQLite 3.40 (Debian 12) calls such a table damaged if another column is among them.
    db.execute("""
        CREATE TABLE manifests (
            app TEXT NOT NULL,
            environment TEXT NOT NULL,
            server TEXT NOT NULL,
            release TEXT NOT NULL CHECK (release <> ''),
            verified INTEGER NOT NULL CHECK (verified IN (0, 1)),
            manifest TEXT NOT NULL,
            at REAL NOT NULL,
            PRIMARY KEY (app, environment, server, release, verified)
        ) WITHOUT ROWID""")
    db.execute("""
        INSERT INTO manifests (app, environment, server, release, manifest, at, verified)
        SELECT app, environment, server, release, manifest, at, verified OR EXISTS (
            SELECT 1 FROM deployments
            WHERE deployments.app = manifests_before.app AND deployments.environment = manifests_before.environment
            AND commit_id = release AND state = 'succeeded' AND kind IN ('deploy', 'rollback')
        )
        FROM manifests_before""")
    db.execute("DROP TABLE manifests_before")
