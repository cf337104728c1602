"""Grants with an end, since when and by whom; accounts that are taken away; and a database of the version before."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from deploybot.domain import Account, Grant, GrantChange, Identity, Person, Role
from deploybot.errors import UserError
from deploybot.ports import Tables
from deploybot.store.allowlist_rows import PeopleRows
from deploybot.store.database import Database
from deploybot.store.database_connection import Way, open_database
from deploybot.store.schema import STEPS
from tests.store.examples import NOW

SLACK, TELEGRAM = Identity("slack", "U1", "T1"), Identity("telegram", "5")


def facts(grant: Grant) -> tuple[object, ...]:
    """All of a grant, also what does not tell two apart."""
    return (grant.role, grant.app, grant.environment, grant.until, grant.since, grant.by, grant.after)


def hire(tables: Tables) -> int:
    ann = tables.people.add("ann", SLACK, by="ana", now=NOW)
    tables.people.grant(tables.people.add("root").id, Role.ADMIN)
    return ann.id


async def test_a_grant_reports_since_when_by_whom_and_until_when(store: Database) -> None:
    def look(tables: Tables) -> None:
        ann = hire(tables)
        tables.people.grant(ann, Role.DEPLOYER, "shop", by="ana", now=NOW, until=NOW + 60)
        (grant,) = tables.people.grants(ann)
        assert facts(grant) == (Role.DEPLOYER, "shop", "*", NOW + 60, NOW, "ana", 0)
        assert tables.people.account(SLACK) == Account(SLACK, ann, NOW, "ana")

    await store.write(look)


@pytest.mark.parametrize(
    ("first", "second", "by"),
    [
        (Role.APPROVER, Role.APPROVER, "ana"),
        (Role.APPROVER, Role.VIEWER, "ana"),
        (Role.APPROVER, Role.ADMIN, "bob"),
    ],
)
async def test_only_more_than_before_is_new(store: Database, first: Role, second: Role, by: str) -> None:
    def look(tables: Tables) -> None:
        ann = hire(tables)
        tables.people.grant(ann, first, "shop", by="ana", now=NOW)
        tables.people.grant(ann, second, "shop", by="bob", now=NOW + 5)
        assert [(one.role, one.by) for one in tables.people.grants(ann)] == [(second, by)]

    await store.write(look)


async def test_a_grant_that_has_ended_makes_the_next_one_no_older(store: Database) -> None:
    def look(tables: Tables) -> None:
        ann = hire(tables)
        tables.people.grant(ann, Role.VIEWER, "shop", by="ana", now=NOW, until=NOW + 60)
        tables.people.grant(ann, Role.VIEWER, "shop", by="bob", now=NOW + 59, until=NOW + 90)
        assert [one.by for one in tables.people.grants(ann)] == ["ana"]
        tables.people.grant(ann, Role.VIEWER, "shop", by="bob", now=NOW + 90)
        assert [(one.by, one.until) for one in tables.people.grants(ann)] == [("bob", 0.0)]

    await store.write(look)


async def test_what_has_ended_is_removed_and_reported_once(store: Database) -> None:
    def look(tables: Tables) -> None:
        ann = hire(tables)
        for app, until in (("shop", NOW + 60), ("blog", NOW + 30), ("wiki", NOW + 90)):
            tables.people.grant(ann, Role.VIEWER, app, by="ana", now=NOW, until=until)
        assert [one.app for one in tables.people.end_grants(NOW + 60)] == ["blog", "shop"]
        assert tables.people.end_grants(NOW + 60) == ()
        assert [one.app for one in tables.people.grants(ann)] == ["wiki"]

    await store.write(look)


async def test_an_account_is_detached_and_given_again(store: Database) -> None:
    def look(tables: Tables) -> None:
        ann = hire(tables)
        assert tables.people.detach(SLACK)
        assert not tables.people.detach(SLACK)
        assert not tables.people.detach(TELEGRAM)
        assert tables.people.of(SLACK) is None
        assert tables.people.accounts() == ()
        assert tables.people.identities(ann) == ()
        found = tables.people.account(SLACK)
        assert found
        assert found.detached
        bob = tables.people.add("bob", SLACK, by="ana", now=NOW + 5)
        assert tables.people.account(SLACK) == Account(SLACK, bob.id, NOW + 5, "ana")

    await store.write(look)


async def test_persons_who_become_one_keep_since_when(store: Database) -> None:
    def look(tables: Tables) -> None:
        ann = hire(tables)
        twin = tables.people.add("twin", TELEGRAM, by="bob", now=NOW + 1)
        tables.people.grant(ann, Role.VIEWER, "shop", by="ana", now=NOW)
        tables.people.grant(twin.id, Role.DEPLOYER, "shop", by="bob", now=NOW + 1)
        tables.people.grant(twin.id, Role.ADMIN, "shop", by="bob", now=NOW + 2, until=NOW + 60)
        person = tables.people.named("ann")
        assert person
        tables.people.merge(twin.id, person)
        assert [facts(one) for one in tables.people.grants(ann)] == [
            (Role.DEPLOYER, "shop", "*", 0.0, NOW + 1, "bob", 0),
            (Role.ADMIN, "shop", "*", NOW + 60, NOW + 2, "bob", 0),
        ]
        found = tables.people.account(TELEGRAM)
        assert found
        assert (found.person, found.by) == (ann, "bob")

    await store.write(look)


async def test_who_gave_an_account_is_known_by_number(store: Database) -> None:
    """Also once one of them has become somebody else, or has another name."""

    def look(tables: Tables) -> None:
        ann, bob, cem, twin = (tables.people.add(name).id for name in ("ann", "bob", "cem", "twin"))
        tables.people.link(ann, SLACK, by="twin and bob", givers=(twin, bob))
        tables.people.add("eve", TELEGRAM, by="bob", givers=(bob,))
        assert [one.givers for one in tables.people.accounts()] == [(twin, bob), (bob,)]
        tables.people.rename(bob, "rob")
        tables.people.merge(twin, Person(cem, "cem"))
        assert [one.givers for one in tables.people.accounts()] == [(cem, bob), (bob,)]
        tables.people.merge(bob, Person(cem, "cem"))
        assert [one.givers for one in tables.people.accounts()] == [(cem,), (cem,)]
        tables.people.detach(SLACK)
        tables.people.link(ann, SLACK)
        found = tables.people.account(SLACK)
        assert found
        assert found.givers == ()

    await store.write(look)


def test_a_database_of_before_migration_22_knows_who_gave_accounts_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "deploybot.db"
    before = STEPS[: [step.__name__ for step in STEPS].index("m022_givers")]
    by = {"U1": "", "U2": "a_b", "U3": "axb and ann", "U4": "gone", "U5": "ann and gone", "U6": "root", "U7": "annann"}
    with closing(open_database(path, Way(durable=False), steps=before)) as old:
        for name in ("axb", "a_b", "ann", "nn"):
            old.execute("INSERT INTO persons (name) VALUES (?)", (name,))
        row = (
            "INSERT INTO identities (platform, team, user, person, since, given_by, after) "
            "VALUES ('slack', 'T1', ?, 1, 2.0, ?, 3)"
        )
        old.executemany(row, by.items())
        old.commit()
    with closing(open_database(path, Way(durable=False))) as new:
        found = {one.identity.user: one for one in PeopleRows(new).accounts()}
        assert {user: one.givers for user, one in found.items()} == {
            "U1": (),
            "U2": (2,),
            "U3": (1, 3),
            "U4": (),
            "U5": (3,),
            "U6": (),
            "U7": (),
        }
        assert {(one.person, one.since, one.after, one.by) for one in found.values()} == {
            (1, 2.0, 3, names) for names in by.values()
        }
    assert path.with_name("deploybot.db.before-m022_givers").is_file()


async def test_an_admin_for_a_time_is_not_the_last_one(store: Database) -> None:
    def make(tables: Tables) -> None:
        root = tables.people.add("root", SLACK)
        tables.people.grant(root.id, Role.ADMIN)
        ann = tables.people.add("ann", TELEGRAM)
        tables.people.grant(ann.id, Role.ADMIN, now=NOW, until=NOW + 60)

    await store.write(make)
    with pytest.raises(UserError, match="would remove the last administrator of everything"):
        await store.write(lambda tables: tables.people.revoke(1))
    with pytest.raises(UserError, match="last account"):
        await store.write(lambda tables: tables.people.detach(SLACK))


async def test_a_change_waits_until_it_expires(store: Database) -> None:
    change = GrantChange(0, "@ann", Role.VIEWER, "shop", "*", 60.0, 1, "ana", NOW, NOW + 100)

    def look(tables: Tables) -> None:
        kept = tables.grant_changes.add(change)
        assert (kept.name, tables.grant_changes.get(1, NOW + 99)) == ("grant-1", kept)
        assert tables.grant_changes.get(1, NOW + 100) is None
        tables.grant_changes.remove(1)
        assert tables.grant_changes.get(1, NOW) is None
        assert tables.grant_changes.add(change).name == "grant-2", "no number is used twice"

    await store.write(look)


def test_a_database_of_the_version_before_keeps_grants_accounts_and_requests(tmp_path: Path) -> None:
    path = tmp_path / "deploybot.db"
    before = STEPS[: [step.__name__ for step in STEPS].index("m012_grants")]
    with closing(open_database(path, Way(durable=False), steps=before)) as old:
        old.execute("INSERT INTO persons (name) VALUES ('ann')")
        old.execute("INSERT INTO identities (platform, team, user, person) VALUES ('slack', 'T1', 'U1', 1)")
        old.execute("INSERT INTO grants (person, app, environment, role) VALUES (1, 'shop', '*', 'approver')")
        old.execute(
            "INSERT INTO deployments (number, app, environment, kind, commit_id, state, plan, requester,"
            " requester_name, reason, created) VALUES (1, 'shop', 'p', 'deploy', 'c', 'waiting', '{}', 1, 'ann', '', 0)"
        )
        old.execute(
            "INSERT INTO requests (deployment, binding, wanted, approvers, expires, remind_at, code, compare)"
            " VALUES (1, '{}', 2, '[]', 0, 0, 0, '')"
        )
        old.execute("INSERT INTO approvals (deployment, person, name, at) VALUES (1, 1, 'ann', 0)")
        old.commit()
    with closing(open_database(path, Way(durable=False))) as new:
        assert new.execute("SELECT person, role, app, until, since, given_by, after FROM grants").fetchall() == [
            (1, "approver", "shop", 0, 0, "", 0)
        ]
        assert new.execute("SELECT user, since, given_by, detached FROM identities").fetchall() == [("U1", 0, "", 0)]
        assert new.execute("SELECT missing, more FROM requests").fetchall() == [(1, "")]
