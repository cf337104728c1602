"""`deploybot audit verify --against`: what it prints and how it exits, on real files."""

from __future__ import annotations

import gzip
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploybot.cli import main

BOT = '[bot]\ndata = "data"\n'


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database with three rows, and what `[audit]` wrote of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEPLOYBOT_CONFIG", raising=False)
    Path("bot.toml").write_text(BOT)
    for name, number in (("ana", 1), ("ben", 2), ("cleo", 3)):
        assert _run("allow", name, "admin", "--identity", f"console:{number}").exit_code == 0
    Path("audit.jsonl").write_text(_run("audit", "export").output)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def _against(*files: str) -> Result:
    return _run("audit", "verify", "--against", *files)


def _forge(sql: str) -> None:
    with closing(sqlite3.connect("data/deploybot.db")) as database, database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute(sql)


def test_a_whole_database_is_said_to_be_whole() -> None:
    result = _against("audit.jsonl")
    assert result.exit_code == 0
    first, second = result.output.splitlines()
    assert first == "3 of 3 rows of the database are unchanged in audit.jsonl."
    assert second.startswith("The audit is intact: 3 rows, head 3:")


def test_several_files_may_stand_behind_it_as_a_shell_writes_them() -> None:
    lines = Path("audit.jsonl").read_bytes().splitlines(keepends=True)
    Path("audit.jsonl").write_bytes(lines[2])
    Path("audit.jsonl.1").write_bytes(lines[1])
    Path("audit.jsonl.2.gz").write_bytes(gzip.compress(lines[0]))
    result = _against("audit.jsonl", "audit.jsonl.1", "audit.jsonl.2.gz")
    assert result.exit_code == 0
    assert "3 of 3 rows of the database are unchanged in audit.jsonl, audit.jsonl.1, audit.jsonl.2.gz" in result.output
    result = _run("audit", "verify", "audit.jsonl")
    assert result.exit_code == 2
    assert "give files after --against" in result.output


def test_a_changed_row_is_reported_with_its_time_and_what_differs() -> None:
    _forge("UPDATE audit SET subject = 'eve' WHERE number = 2")
    result = _against("audit.jsonl")
    assert result.exit_code == 1
    assert "Row 2, 20" in result.output
    assert "UTC, was changed: subject was “ben”, is “eve”" in result.output
    assert "The database does not match the exported rows in audit.jsonl." in result.output
    assert "And the chain in the database is broken at row 2" in result.output
    assert "Copy the data folder and the files" in result.output


def test_a_removed_end_is_reported_even_where_its_record_was_removed_too() -> None:
    _forge("DELETE FROM audit WHERE number = 3")
    Path("data/audit.head").unlink()
    result = _against("audit.jsonl")
    assert result.exit_code == 1
    removed, added = result.output.splitlines()[:2]
    assert "was removed: it was “" in removed
    assert "cleo" in removed
    assert "was added: the database has “deploybot  audit-gap" in added


def test_what_the_file_lacks_is_unproven_and_exits_with_0() -> None:
    lines = Path("audit.jsonl").read_bytes().splitlines(keepends=True)
    Path("audit.jsonl").write_bytes(lines[1] + lines[2][:50])
    result = _against("audit.jsonl")
    assert result.exit_code == 0
    assert result.output.splitlines()[:4] == [
        "audit.jsonl, line 2: it is cut off, and proves nothing.",
        "Unproven: row 1 of the database, not in the file.",
        "Unproven: row 3 of the database, after the last row of the file.",
        "1 of 3 rows of the database are unchanged in audit.jsonl.",
    ]


def test_a_file_that_is_another_one_is_refused() -> None:
    Path("other").write_text("nothing\n")
    result = _against("other")
    assert result.exit_code == 1
    assert "other has no row of the audit: is it the right file?" in result.output
    assert _against("missing").exit_code == 2


def test_what_a_row_holds_steers_no_terminal() -> None:
    _forge("UPDATE audit SET detail = char(27) || '[2Jgone' WHERE number = 1")
    result = _against("audit.jsonl")
    assert result.exit_code == 1
    assert chr(27) not in result.output


def test_check_says_of_each_sink_whether_it_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    (tmp_path / "secret").chmod(0o600)
    audit = f"""
[audit]
file = "missing/audit.jsonl"
syslog = "unix://{tmp_path}/log"
call = {{ url = "http://127.0.0.1:9/hook", secret = {{ file = "secret" }} }}
"""
    Path("bot.toml").write_text(BOT + audit)
    result = _run("check")
    assert result.exit_code == 1
    said = {line[:12].strip(): line for line in result.output.splitlines() if line.startswith("audit")}
    assert [*said] == ["audit file", "audit syslog", "audit call"]
    assert "failed" in said["audit file"]
    assert "no such file or directory" in said["audit file"]
    assert "no such file or directory" in said["audit syslog"]
    assert "connection refused" in said["audit call"]
    assert "Create its folder for the bot's user" in result.output
    assert f"the audit to {tmp_path}/missing/audit.jsonl" in result.output
    os.mkdir("missing")  # noqa: PTH102  as one would in a shell
    said = {line[:12].strip(): line for line in _run("check").output.splitlines() if line.startswith("audit")}
    assert "  ok  " in said["audit file"]
