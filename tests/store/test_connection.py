"""Opening: private, checked, copied, brought up to date."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlite_utils

from deploybot.errors import StoreError
from deploybot.store.database import Database
from deploybot.store.database_connection import Way, journal_mode, open_database
from deploybot.store.schema import STEPS
from tests.store.examples import ann

WAY = Way(durable=False)


def m002_colours(database: sqlite_utils.Database) -> None:
    database.execute("CREATE TABLE colours (name TEXT)")


def m003_broken(database: sqlite_utils.Database) -> None:
    database.execute("INSERT INTO colours VALUES ('red')")
    database.execute("INSERT INTO void VALUES (1)")


@contextmanager
def _opened(path: Path, *more: object) -> Iterator[sqlite3.Connection]:
    with closing(open_database(path, WAY, steps=(*STEPS, *more))) as connection:  # type: ignore[arg-type]
        yield connection


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("version", "mode"), [((3, 40, 1), "PERSIST"), ((3, 51, 2), "PERSIST"), ((3, 51, 3), "WAL"), ((4, 0, 0), "WAL")]
)
def test_the_journal_is_chosen_by_the_version_of_sqlite(version: tuple[int, ...], mode: str) -> None:
    assert journal_mode(version) == mode


def test_a_commit_waits_for_the_disk_and_keys_are_held(path: Path) -> None:
    with closing(open_database(path, Way())) as connection:
        found = [connection.execute(f"PRAGMA {one}").fetchone()[0] for one in ("synchronous", "foreign_keys")]
        assert found == [2, 1]
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == journal_mode().lower()


async def test_everything_in_the_folder_is_private(store: Database, path: Path) -> None:
    await store.write(ann)
    assert _mode(path.parent) == 0o700
    assert {file.name for file in path.parent.iterdir()} >= {"deploybot.db", "deploybot.db.bak", "audit.head"}
    assert {_mode(file) for file in path.parent.iterdir()} == {0o600}


def test_what_others_can_read_is_shut_and_reported(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with _opened(path):
        pass
    path.parent.chmod(0o755)
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING), _opened(path):
        pass
    assert (_mode(path.parent), _mode(path)) == (0o700, 0o600)
    assert "0755" in caplog.text
    assert "0644" in caplog.text


def test_a_folder_with_other_things_is_not_touched(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    (path.parent / "photos").mkdir()
    path.parent.chmod(0o755)
    with pytest.raises(StoreError, match=f"chmod 700 {path.parent}"):
        open_database(path, WAY)
    assert _mode(path.parent) == 0o755


def test_a_folder_that_a_check_began_is_shut(path: Path) -> None:
    (path.parent / "mirrors").mkdir(parents=True)
    path.parent.chmod(0o755)
    with _opened(path):
        pass
    assert _mode(path.parent) == 0o700


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used: Not a directory"):
        open_database(tmp_path / "file" / "data" / "deploybot.db", WAY)


def test_a_database_that_is_a_folder_is_reported(path: Path) -> None:
    path.mkdir(parents=True, mode=0o700)
    path.parent.chmod(0o700)
    with pytest.raises(StoreError, match="cannot be opened: check that"):
        open_database(path, WAY)


def test_a_file_that_cannot_be_looked_at_is_reported(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.symlink_to("deploybot.db")
    with pytest.raises(StoreError, match="cannot be used: Too many levels of symbolic links"):
        open_database(path, WAY)


def test_each_migration_is_applied_once_and_after_a_copy(path: Path) -> None:
    with _opened(path):
        assert not list(path.parent.glob("*.before-*"))
    for _ in range(2):
        with _opened(path, m002_colours) as connection:
            assert connection.execute("SELECT count(*) FROM colours").fetchone() == (0,)
    assert [file.name for file in path.parent.glob("*.before-*")] == ["deploybot.db.before-m002_colours"]


def test_the_key_of_a_table_without_row_ids_comes_first(path: Path) -> None:
    """Otherwise the check of SQLite 3.40 (Debian 12) reports good rows as damage, and the bot does not start."""
    with closing(open_database(path, Way(durable=False))) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%WITHOUT ROWID%'").fetchall()
        columns = {name: database.execute(f"PRAGMA table_info({name})").fetchall() for (name,) in tables}
    assert len(tables) > 10
    keys = {name: [number for number, *_, in_key in found if in_key] for name, found in columns.items()}
    assert {name: key for name, key in keys.items() if key != [*range(len(key))]} == {}


def test_a_new_database_needs_no_copy(path: Path) -> None:
    with _opened(path, m002_colours):
        assert not list(path.parent.glob("*.before-*"))


def test_a_migration_that_fails_leaves_everything_as_it_was(path: Path) -> None:
    with _opened(path, m002_colours):
        pass
    with pytest.raises(StoreError, match=r"m003_broken.*no such table: void; it is unchanged"):
        open_database(path, WAY, steps=(*STEPS, m002_colours, m003_broken))
    with _opened(path, m002_colours) as connection:
        assert connection.execute("SELECT count(*) FROM colours").fetchone() == (0,)


def test_the_database_of_a_newer_deploybot_is_refused_and_the_copy_named(path: Path) -> None:
    with _opened(path):
        pass
    with _opened(path, m002_colours):
        pass
    with pytest.raises(StoreError, match=r"newer deploybot \(it has m002_colours\)") as raised:
        open_database(path, WAY)
    copy = Path(str(raised.value).rpartition(" ")[2])
    shutil.copy(copy, path)
    with _opened(path):
        pass


def test_no_migration_without_a_copy(path: Path) -> None:
    with _opened(path):
        pass
    (path.parent / "deploybot.db.before-m002_colours").mkdir()
    with pytest.raises(StoreError, match="cannot be made first"):
        open_database(path, WAY, steps=(*STEPS, m002_colours))
    with _opened(path):
        pass


def test_a_copy_that_cannot_be_made_at_the_start_is_reported(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with _opened(path):
        pass
    copy = path.with_name("deploybot.db.bak")
    copy.unlink()
    copy.mkdir()
    with _opened(path):
        pass
    assert "No copy of the database could be made" in caplog.text
    assert not list(path.parent.glob("*.new"))


def test_what_is_left_of_killed_copies_is_swept_away(path: Path) -> None:
    with _opened(path):
        pass
    old, recent = (path.with_name(f"deploybot.db.bak.{name}.new") for name in ("old", "recent"))
    old.touch()
    recent.touch()
    os.utime(old, (0, 0))
    with _opened(path):
        pass
    assert (old.exists(), recent.exists()) == (False, True)


async def test_a_changed_database_is_copied_while_it_runs(path: Path) -> None:
    copy = path.with_name("deploybot.db.bak")
    async with Database(path, durable=False, copy_every=0.01) as store:
        await store.write(ann)
        found = 0
        while not found:  # the copy is made when the thread is idle
            await store.read(lambda _: None)
            with closing(sqlite3.connect(copy)) as connection:
                found = connection.execute("SELECT count(*) FROM persons").fetchone()[0]
    assert found == 1
