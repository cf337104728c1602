"""`deploybot allow`, `deny` and `audit`, on a real database."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploybot.cli import main
from deploybot.domain import Grant, Identity, Role
from deploybot.store.database import Database
from deploybot.store.single_bot import single_bot

BOT = """
[bot]
data = "data"
[servers.web1]
ssh = "deploy@203.0.113.10"
agent = true
[apps.shop]
repo = "git@example.com:acme/shop.git"
strategy = "compose"
directory = "/srv/shop"
secrets = { KEY = { env = "NOT_SET_IN_THIS_SHELL" } }
environments.production.servers = ["web1"]
"""
ME = f"console:{os.getuid()}"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot.toml whose secrets this shell does not have."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEPLOYBOT_CONFIG", raising=False)
    Path("bot.toml").write_text(BOT)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def _grants() -> tuple[Grant, ...]:
    async def read() -> tuple[Grant, ...]:
        async with Database(Path("data/deploybot.db"), durable=False) as store:
            return await store.read(lambda tables: tables.people.grants())

    return asyncio.run(read())


def test_the_first_administrator_is_whoever_calls_at_the_console() -> None:
    result = _run("allow", "ana", "admin")
    assert result.exit_code == 0, result.output
    assert result.output == f"ana ({ME}) is admin on every app.\n"
    assert _grants() == (Grant(1, Role.ADMIN),)


def test_roles_are_given_at_targets_and_taken_away_again() -> None:
    _run("allow", "ana", "admin")
    result = _run("allow", "@Ben", "Deployer", "--on", "shop", "--identity", "slack:T012/U345")
    assert result.output == "ben (slack:T012/U345) is deployer on every environment of shop.\n"
    result = _run("allow", "ben", "viewer", "--on", "shop/production", "--identity", "telegram:77")
    assert result.output == (
        "ben (slack:T012/U345, telegram:77) is deployer on every environment of shop, viewer on shop/production.\n"
    )
    assert _run("deny", "ben", "--on", "shop/production").output == "ben lost 1 role.\n"
    assert _run("deny", "ben").output == "ben lost 1 role and all chat accounts.\n"
    assert _run("deny", "ben").output == "ben had no such role.\n"
    assert _grants() == (Grant(1, Role.ADMIN),)


def test_a_further_identity_without_a_role() -> None:
    _run("allow", "ana", "admin")
    result = _run("allow", "ana", "--identity", "github:583231")
    assert result.output == f"ana ({ME}, github:583231) is admin on every app.\n"
    result = _run("allow", "fay", "--identity", "gitlab:7")
    assert result.output == "fay (gitlab:7) has no role yet.\n"
    assert _grants() == (Grant(1, Role.ADMIN),)


def test_an_account_may_be_written_as_in_chat() -> None:
    _run("allow", "ana", "admin")
    assert _run("allow", "slack:T012/U345:@ben", "viewer").output == "ben (slack:T012/U345) is viewer on every app.\n"
    assert _run("allow", "gitlab:git.example.com/3:fay").output == "fay (gitlab:git.example.com/3) has no role yet.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("allow", "gitlab:3"), "Whose account is gitlab:3?"),
        (("allow", "ben", "viewer"), "Your console account already belongs to ana."),
        (("allow", "ben", "viewer", "--on", "shpo"), 'unknown app "shpo", did you mean "shop"?'),
        (("allow", "ben", "viewer", "--on", "shop/prod"), 'shop has no environment "prod", did you mean "production"?'),
        (("allow", "ben", "viewer", "--on", "*/x"), "--on */x: an environment belongs to an app"),
        (("allow", "ben", "viewer", "--identity", "ben"), "--identity ben: should be PLATFORM:ID"),
        (("allow", "ben", "viewer", "--identity", "slack:ben"), "`ben` is not a Slack id such as T012/U345"),
        (("allow", "ben", "viewer", "--identity", ME), f"console:{os.getuid()} is @ana already"),
        (("allow", "be n", "viewer", "--identity", "console:7"), "`be n` cannot be a person's name"),
        (("allow", "ana"), "Which role should ana have?"),
        (("allow", "ana", "--on", "shop", "--identity", "github:5"), "Which role should ana have?"),
        (
            ("allow", "ana", "--identity", "github:ana"),
            "`ana` is not a number. On github, people are identified by number, not by name.",
        ),
        (("allow", "ana", "viewer"), "that would remove the last administrator of everything"),
        (("deny", "ana"), "that would remove the last administrator of everything"),
        (("deny", "anna"), 'unknown person "anna", did you mean "ana"?'),
    ],
)
def test_what_cannot_be_is_one_sentence_and_changes_nothing(arguments: tuple[str, ...], sentence: str) -> None:
    _run("allow", "ana", "admin")
    result = _run(*arguments)
    assert result.exit_code == 1
    assert result.output.splitlines()[0].startswith(sentence)
    assert _grants() == (Grant(1, Role.ADMIN),)
    assert len(_run("audit", "tail").output.splitlines()) == 1


def test_it_works_while_a_bot_runs() -> None:
    async def beside() -> tuple[str, str]:
        async with Database(Path("data/deploybot.db"), durable=False) as store:
            done = await asyncio.to_thread(_run, "allow", "ana", "admin")
            person = await store.read(lambda tables: tables.people.of(Identity("console", str(os.getuid()))))
            return done.output, person.name if person else ""

    Path("data").mkdir(mode=0o700)
    with single_bot(Path("data")):
        assert asyncio.run(beside()) == (f"ana ({ME}) is admin on every app.\n", "ana")


@pytest.mark.needs("root")
def test_another_users_database_is_not_touched() -> None:
    _run("allow", "ana", "admin")
    os.chown("data", 4711, 4711)
    result = _run("allow", "ben", "viewer", "--identity", "console:7")
    assert result.exit_code == 1
    assert "data belongs to 4711: " in result.output
    assert "Run this as 4711: sudo -u '#4711' deploybot …" in result.output


def test_the_audit_is_shown_exported_and_verified() -> None:
    assert "There is no database at" in _run("audit", "tail").output
    _run("allow", "ana", "admin")
    _run("allow", "ben", "viewer", "--identity", "console:7", "--on", "shop")
    (last,) = _run("audit", "tail", "1").output.splitlines()
    assert last.endswith(f"UTC  {ME} (command line)  allow  ben: viewer on every environment of shop")
    rows = [json.loads(line) for line in _run("audit", "export").output.splitlines()]
    assert [row["number"] for row in rows] == [1, 2]
    assert rows[1]["previous"] == rows[0]["hash"]
    result = _run("audit", "verify")
    assert result.exit_code == 0
    assert result.output == f"The audit is intact: 2 rows, head 2:{rows[1]['hash']}\n"
    assert _run("audit", "verify", "--head", f"1:{rows[0]['hash']}").exit_code == 0


def test_a_tampered_audit_is_found() -> None:
    for name, uid in (("ana", ME), ("ben", "console:7"), ("cleo", "console:8")):
        _run("allow", name, "admin", "--identity", uid)
    with sqlite3.connect("data/deploybot.db") as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute("UPDATE audit SET subject = 'eve' WHERE number = 2")
    database.close()
    result = _run("audit", "verify")
    assert result.exit_code == 1
    assert "The audit is broken at row 2: row 2 was changed." in result.output
    assert "Rows 1 to 1 are intact." in result.output


def test_a_head_that_is_not_there_is_found() -> None:
    _run("allow", "ana", "admin")
    assert _run("audit", "verify", "--head", "7:" + "0" * 64).exit_code == 1
    result = _run("audit", "verify", "--head", "x")
    assert result.exit_code == 1
    assert "should be NUMBER:HASH" in result.output


def test_a_person_gets_another_name_and_keeps_all_else() -> None:
    Path("bot.toml").write_text(
        BOT + 'environments.production.approvals = 1\nenvironments.production.approvers = ["@anna"]\n'
    )
    _run("allow", "anna", "admin")
    result = _run("rename", "@Anna", "ana")
    assert result.exit_code == 0, result.output
    assert result.output == (
        'anna is now called ana.\nAlso write "@ana" in bot.toml: apps.shop.environments.production.approvers.\n'
    )
    assert (
        _run("allow", "ana", "viewer", "--on", "shop").output
        == f"ana ({ME}) is admin on every app, viewer on every environment of shop.\n"
    )
    assert "rename" in _run("audit", "tail").output


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("anna", "ben", "a person named ben already exists"),
        ("anna", "an na", "`an na` cannot be a person's name"),
        ("anna", "deploybot", "deploybot is the bot itself"),
        ("ana", "cem", 'unknown person "ana", did you mean "anna"?'),
    ],
)
def test_a_name_that_cannot_be_given_is_refused(old: str, new: str, why: str) -> None:
    _run("allow", "anna", "admin")
    _run("allow", "ben", "viewer", "--identity", "console:99999")
    result = _run("rename", old, new)
    assert result.exit_code == 1
    assert why.lower() in result.output.lower()


def _told() -> list[tuple[str, str]]:
    """What the bot will say, and where."""

    async def read() -> list[tuple[str, str]]:
        async with Database(Path("data/deploybot.db"), durable=False) as store:
            items = await store.read(lambda tables: tables.outbox.due(9e12, 100))
        return [(item.channel.platform, item.card.title) for item in items]

    return asyncio.run(read())


def test_a_role_for_a_time_is_given_and_reported() -> None:
    _run("allow", "ana", "admin")
    result = _run("allow", "ben", "deployer", "--on", "shop", "--for", "8h", "--identity", "telegram:5")
    assert result.exit_code == 0, result.output
    assert "is deployer on every environment of shop until " in result.output
    (grant,) = (one for one in _grants() if one.person == 2)
    assert (grant.role, grant.until - grant.since, grant.by) == (Role.DEPLOYER, 28800.0, f"{ME} (command line)")
    platform, text = _told()[-1]
    assert platform == "console"
    assert text.startswith(f"{ME} (command line) made ben (telegram:5) deployer on every environment of shop until ")
    _run("deny", "ben")
    assert _told()[-1][1] == f"{ME} (command line) took 1 role from ben on every app."


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("allow", "ben", "viewer", "--for", "soon"), "--for soon: should be a time such as 90m or 8h"),
        (("allow", "ben", "--identity", "telegram:5", "--for", "8h"), "--for needs a role."),
    ],
)
def test_a_time_that_cannot_be(arguments: tuple[str, ...], sentence: str) -> None:
    result = _run(*arguments)
    assert result.exit_code == 1
    assert sentence in result.output
