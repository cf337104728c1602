"""Requests, approvals, codes and links in rows; and a database of the version before."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.domain import (
    AccountLink,
    Approval,
    Binding,
    Channel,
    Grant,
    Identity,
    Lock,
    Release,
    Request,
    RequestVerdict,
    Role,
    State,
)
from deploybot.errors import StoreError
from deploybot.ports import Tables
from deploybot.store.approval_rows import RequestRows
from deploybot.store.database import Database
from deploybot.store.database_connection import Way, open_database
from deploybot.store.schema import STEPS
from tests.store.examples import NOW, ann, plan

BINDING = Binding(
    ref="main",
    release=Release.of_commit("1" * 40),
    config=(("apps.shop.repo", '"x"'),),
    replaces=(("web1", ""),),
    steps=(("web1", "switch"),),
    digest="d" * 64,
)
REQUEST = Request(
    deployment=1,
    binding=BINDING,
    wanted=2,
    approvers=("@ann", "@bob"),
    expires=NOW + 60,
    remind_at=NOW + 45,
    code=True,
    compare="https://example.com/",
)
LINK = AccountLink(1, Identity("slack", "U1", "T1"), Channel("slack", "D1", private=True), NOW + 600)


@pytest.fixture
async def asked(store: Database) -> Database:
    def ask(tables: Tables) -> None:
        person = ann(tables)
        tables.people.add("bob")
        tables.deployments.add(plan(), requester=person, reason="", channel=None, now=NOW, needs_approval=True)
        tables.requests.add(REQUEST)

    await store.write(ask)
    return store


async def test_a_request_comes_back_as_it_was(asked: Database) -> None:
    assert await asked.read(lambda tables: tables.requests.get(1)) == REQUEST
    assert await asked.read(lambda tables: tables.requests.get(2)) is None
    deployment = await asked.read(lambda tables: tables.deployments.get(1))
    assert deployment
    assert deployment.awaits_approval


async def test_a_request_is_a_deployments(store: Database) -> None:
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        await store.write(lambda tables: tables.requests.add(REQUEST))


async def test_one_approval_a_person(asked: Database) -> None:
    ann_says, bob_says = Approval(1, "ann", NOW), Approval(2, "bob", NOW + 1)
    given = [
        await asked.write(lambda tables, one=one: tables.requests.approve(1, one))  # type: ignore[misc]
        for one in (bob_says, ann_says, replace(ann_says, at=NOW + 9))
    ]
    assert given == [True, True, False]
    assert (await asked.read(lambda tables: tables.requests.get(1))) == replace(REQUEST, approvals=(ann_says, bob_says))


async def test_an_approval_knows_its_account(asked: Database) -> None:
    lost, kept = Identity("telegram", "4242"), Identity("slack", "U1", "T1")
    for account, stored in ((lost, True), (lost, False), (kept, True)):
        approval = Approval(1, "ann", NOW, account=account)
        assert await asked.write(lambda tables, one=approval: tables.requests.approve(1, one)) is stored  # type: ignore[misc]
        found = await asked.read(lambda tables: tables.requests.get(1))
        assert found is not None
        assert found.approvals == (approval,)


def test_a_database_of_before_migration_24_knows_no_account_of_an_approval(tmp_path: Path) -> None:
    path = tmp_path / "deploybot.db"
    before = STEPS[: [step.__name__ for step in STEPS].index("m024_approval_accounts")]
    with closing(open_database(path, Way(durable=False), steps=before)) as old:
        old.execute("PRAGMA foreign_keys = OFF")
        old.execute("INSERT INTO approvals (deployment, person, name, at, counts) VALUES (1, 1, 'ann', 5.0, 1)")
        old.execute("INSERT INTO approvals (deployment, person, name, at, counts) VALUES (1, 2, 'bob', 6.0, 0)")
        old.commit()
    with closing(open_database(path, Way(durable=False))) as new:
        assert RequestRows(new)._approvals(1) == (Approval(1, "ann", 5.0), Approval(2, "bob", 6.0, counts=False))


async def test_only_some_count_any_more(asked: Database) -> None:
    for one in (Approval(1, "ann", NOW), Approval(2, "bob", NOW)):
        await asked.write(lambda tables, one=one: tables.requests.approve(1, one))  # type: ignore[misc]
    changed = [await asked.write(lambda tables: tables.requests.count_only(1, (2,))) for _ in range(2)]
    assert changed == [True, False]
    found = await asked.read(lambda tables: tables.requests.get(1))
    assert found
    assert [(one.person, one.counts) for one in found.approvals] == [(1, False), (2, True)]
    assert await asked.write(lambda tables: tables.requests.count_only(1, ()))
    assert await asked.write(lambda tables: tables.requests.approve(1, Approval(1, "ann", NOW + 5)))


async def test_people_are_reminded_once_and_not_of_what_has_ended(asked: Database) -> None:
    assert [await asked.write(lambda tables: tables.requests.remind(1)) for _ in range(2)] == [True, False]
    await asked.write(lambda tables: tables.requests.note(1, "somebody tried"))
    await asked.write(lambda tables: tables.requests.close(1, RequestVerdict.VOID))
    await asked.write(lambda tables: tables.requests.close(1, RequestVerdict.REJECTED))
    found = await asked.read(lambda tables: tables.requests.get(1))
    assert found == replace(REQUEST, reminded=True, verdict=RequestVerdict.VOID)


async def test_more_can_be_asked_for(asked: Database) -> None:
    def ask(tables: Tables) -> bool:
        return tables.requests.ask(1, wanted=3, approvers=("approver",), code=False)

    assert [await asked.write(ask) for _ in range(2)] == [True, False]
    found = await asked.read(lambda tables: tables.requests.get(1))
    assert found == replace(REQUEST, wanted=3, approvers=("approver",), code=False)


async def test_approved_since(asked: Database) -> None:
    said = [
        await asked.write(lambda tables, at=at: tables.deployments.approve(1, at))  # type: ignore[misc]
        for at in (0.0, NOW, NOW + 1, 0.0)
    ]
    assert said == [False, True, False, True]
    await asked.write(lambda tables: tables.deployments.move(1, State.CANCELLED, now=NOW))
    assert not await asked.write(lambda tables: tables.deployments.approve(1, NOW))


async def test_a_code_is_used_once_and_in_order(asked: Database) -> None:
    used = [await asked.write(lambda tables, s=s: tables.codes.use(1, s)) for s in (5, 5, 4, 6)]  # type: ignore[misc]
    assert used == [True, False, False, True]


async def test_five_wrong_ones_in_a_row_are_enough(asked: Database) -> None:
    for _ in range(4):
        await asked.write(lambda tables: tables.codes.fail(1, NOW))
    assert await asked.read(lambda tables: tables.codes.paused(1, NOW)) == 0.0
    assert await asked.write(lambda tables: tables.codes.use(1, 5))
    for _ in range(5):
        await asked.write(lambda tables: tables.codes.fail(1, NOW))
    assert await asked.read(lambda tables: tables.codes.paused(1, NOW)) == NOW + 900
    assert await asked.read(lambda tables: tables.codes.paused(1, NOW + 900)) == 0.0
    assert await asked.read(lambda tables: tables.codes.paused(2, NOW)) == 0.0


async def test_a_link_is_taken_once(asked: Database) -> None:
    other = Identity("telegram", "5")
    await asked.write(lambda tables: tables.links.issue(LINK, "AAAA-AAAA"))
    assert await asked.read(lambda tables: tables.links.get(1, NOW)) == LINK
    tries = ("AAAA-AAAB", "", "\ud800", "AAAA-AAAA", "AAAA-AAAA", "")
    taken = [await asked.write(lambda tables, c=c: tables.links.take(c, other, NOW)) for c in tries]  # type: ignore[misc]
    assert taken == [None, None, None, replace(LINK, other=other), None, None]
    assert await asked.read(lambda tables: tables.links.get(1, NOW)) == replace(LINK, other=other)
    assert await asked.read(lambda tables: tables.links.get(1, NOW + 600)) is None
    await asked.write(lambda tables: tables.links.end(1))
    assert await asked.read(lambda tables: tables.links.get(1, NOW)) is None


async def test_a_later_code_replaces_the_one_before(asked: Database) -> None:
    other = Identity("telegram", "5")
    for code in ("AAAA-AAAA", "BBBB-BBBB"):
        await asked.write(lambda tables, code=code: tables.links.issue(LINK, code))  # type: ignore[misc]
    assert await asked.write(lambda tables: tables.links.take("AAAA-AAAA", other, NOW)) is None
    assert await asked.write(lambda tables: tables.links.take("BBBB-BBBB", other, NOW + 600)) is None
    assert await asked.write(lambda tables: tables.links.take("BBBB-BBBB", other, NOW + 599))


async def test_two_persons_become_one(asked: Database) -> None:
    def merge(tables: Tables) -> None:
        bob = tables.people.named("bob")
        assert bob
        tables.people.link(bob.id, Identity("telegram", "5"))
        tables.people.grant(1, Role.ADMIN)
        tables.people.grant(1, Role.VIEWER, "shop")
        tables.people.grant(2, Role.DEPLOYER, "shop")
        tables.locks.take(Lock("shop", "production", 1, "ann", "x", NOW))
        for approval in (Approval(1, "ann", NOW), Approval(2, "bob", NOW)):
            tables.requests.approve(1, approval)
        tables.people.merge(1, bob)

    await asked.write(merge)
    grants = await asked.read(lambda tables: tables.people.grants())
    assert grants == (Grant(2, Role.ADMIN), Grant(2, Role.DEPLOYER, "shop"))
    assert [one.name for one in await asked.read(lambda tables: tables.people.everybody())] == ["bob"]
    assert len(await asked.read(lambda tables: tables.people.identities(2))) == 2
    deployment = await asked.read(lambda tables: tables.deployments.get(1))
    request = await asked.read(lambda tables: tables.requests.get(1))
    assert deployment
    assert request
    assert (deployment.requester, [one.person for one in request.approvals]) == (2, [2])


def test_a_database_of_the_version_before_is_brought_up_to_date(path: Path) -> None:
    """With what was in it: a deployment that waits needs no approval by itself."""
    with closing(open_database(path, Way(durable=False), steps=STEPS[:3])) as old:
        old.execute("INSERT INTO persons (name) VALUES ('ann')")
        old.execute(
            "INSERT INTO deployments (app, environment, kind, commit_id, state, plan, requester, requester_name, "
            "reason, created) VALUES ('shop', 'production', 'deploy', ?, 'waiting', '{}', 1, 'ann', '', 1.0)",
            ("1" * 40,),
        )
        old.commit()
    with closing(open_database(path, Way(durable=False))) as new:
        assert new.execute("SELECT number, needs_approval, approved FROM deployments").fetchall() == [(1, 0, 0.0)]
        for table in ("requests", "approvals", "codes", "links", "link_tries"):
            assert new.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)  # noqa: S608  names of ours
        with pytest.raises(sqlite3.IntegrityError):
            new.execute("INSERT INTO approvals (deployment, person, name, at) VALUES (1, 1, 'ann', 1.0)")
    copies = sorted(file.name for file in path.parent.glob("*.before-*"))
    assert copies[:2] == ["deploybot.db.before-m004_requests", "deploybot.db.before-m005_codes"]
