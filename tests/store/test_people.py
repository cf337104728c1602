"""The allowlist."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploybot.domain import Grant, Identity, Person, Role
from deploybot.errors import UserError
from deploybot.ports import Tables
from deploybot.store.database import Database

SLACK = Identity("slack", "U1", "T1")


async def test_a_person_is_found_by_name_and_identity(store: Database) -> None:
    made = await store.write(lambda tables: tables.people.add("Ann", SLACK))
    assert made.name == "ann"
    assert await store.read(lambda tables: tables.people.named("ANN")) == made
    assert await store.read(lambda tables: tables.people.of(SLACK)) == made


@pytest.mark.parametrize(
    "stranger", [Identity("slack", "U2", "T1"), Identity("slack", "U1", "T2"), Identity("telegram", "U1", "T1")]
)
async def test_an_identity_is_all_of_it(store: Database, stranger: Identity) -> None:
    await store.write(lambda tables: tables.people.add("ann", SLACK))
    assert await store.read(lambda tables: tables.people.of(stranger)) is None


async def test_a_person_has_several_identities_and_each_has_one_person(store: Database) -> None:
    ann = await store.write(lambda tables: tables.people.add("ann", SLACK))
    bob = await store.write(lambda tables: tables.people.add("bob"))
    console = Identity("console", "0")
    await store.write(lambda tables: tables.people.link(ann.id, console))
    assert await store.read(lambda tables: tables.people.identities(ann.id)) == (console, SLACK)
    with pytest.raises(UserError, match="is already ann"):
        await store.write(lambda tables: tables.people.link(bob.id, console))
    assert await store.read(lambda tables: tables.people.identities(bob.id)) == ()


async def test_names_are_unique_in_any_case(store: Database) -> None:
    await store.write(lambda tables: tables.people.add("ann"))
    with pytest.raises(UserError, match="named ann already exists"):
        await store.write(lambda tables: tables.people.add("ANN"))


async def test_a_taken_identity_makes_nobody(store: Database) -> None:
    ann = await store.write(lambda tables: tables.people.add("ann", SLACK))
    with pytest.raises(UserError):
        await store.write(lambda tables: tables.people.add("bob", SLACK))
    assert await store.read(lambda tables: tables.people.everybody()) == (ann,)


@pytest.mark.parametrize("name", ["", " ", "-ann", "@ann", "a b", "ann\n", "\u0430nn", "ann,bob", "a" * 41, "*"])
async def test_names_that_cannot_be_typed_or_distinguished_are_refused(store: Database, name: str) -> None:
    with pytest.raises(UserError, match="cannot be a person's name"):
        await store.write(lambda tables: tables.people.add(name))


async def test_everybody_comes_by_name(store: Database) -> None:
    await store.write(lambda tables: [tables.people.add(name) for name in ("cid", "ann", "bob")])
    people = await store.read(lambda tables: tables.people.everybody())
    assert [person.name for person in people] == ["ann", "bob", "cid"]


async def test_a_grant_replaces_the_one_there(store: Database) -> None:
    ann = await store.write(lambda tables: tables.people.add("ann"))
    await store.write(lambda tables: tables.people.grant(ann.id, Role.VIEWER))
    await store.write(lambda tables: tables.people.grant(ann.id, Role.VIEWER, "shop", "production"))
    await store.write(lambda tables: tables.people.grant(ann.id, Role.DEPLOYER, "shop", "production"))
    expected = (Grant(ann.id, Role.VIEWER), Grant(ann.id, Role.DEPLOYER, "shop", "production"))
    assert await store.read(lambda tables: tables.people.grants(ann.id)) == expected
    assert await store.read(lambda tables: tables.people.grants()) == expected


@pytest.mark.parametrize(
    ("app", "environment", "left"),
    [(None, None, 0), ("shop", None, 2), ("shop", "production", 3), ("shop", "nowhere", 4), ("*", None, 3)],
)
async def test_revoking_takes_as_much_as_was_named(
    store: Database, app: str | None, environment: str | None, left: int
) -> None:
    ann = await store.write(lambda tables: tables.people.add("ann"))
    pairs = (("*", "*"), ("shop", "production"), ("shop", "staging"), ("blog", "production"))

    def grant(tables: Tables) -> None:
        for pair in pairs:
            tables.people.grant(ann.id, Role.DEPLOYER, *pair)

    await store.write(grant)
    gone = await store.write(lambda tables: tables.people.revoke(ann.id, app, environment))
    assert gone == 4 - left
    assert len(await store.read(lambda tables: tables.people.grants(ann.id))) == left


async def _admins(store: Database, *names: str) -> list[Person]:
    def add(tables: Tables) -> list[Person]:
        people = [tables.people.add(name) for name in names]
        for person in people:
            tables.people.grant(person.id, Role.ADMIN)
        return people

    return await store.write(add)


async def test_the_last_admin_of_everything_stays(store: Database) -> None:
    (ann,) = await _admins(store, "ann")
    changes: tuple[Callable[[Tables], object], ...] = (
        lambda tables: tables.people.revoke(ann.id),
        lambda tables: tables.people.revoke(ann.id, "*"),
        lambda tables: tables.people.grant(ann.id, Role.APPROVER),
    )
    for change in changes:
        with pytest.raises(UserError, match="last administrator"):
            await store.write(change)
    assert await store.read(lambda tables: tables.people.grants(ann.id)) == (Grant(ann.id, Role.ADMIN),)


async def test_an_admin_of_one_app_is_no_admin_of_everything(store: Database) -> None:
    (ann,) = await _admins(store, "ann")
    bob = await store.write(lambda tables: tables.people.add("bob"))
    await store.write(lambda tables: tables.people.grant(bob.id, Role.ADMIN, "shop"))
    with pytest.raises(UserError, match="last administrator"):
        await store.write(lambda tables: tables.people.revoke(ann.id))


async def test_of_two_admins_one_may_go(store: Database) -> None:
    ann, bob = await _admins(store, "ann", "bob")
    assert await store.write(lambda tables: tables.people.revoke(ann.id)) == 1
    with pytest.raises(UserError, match="last administrator"):
        await store.write(lambda tables: tables.people.revoke(bob.id))


async def test_where_nobody_is_admin_yet_grants_can_be_taken_away(store: Database) -> None:
    ann = await store.write(lambda tables: tables.people.add("ann"))
    await store.write(lambda tables: tables.people.grant(ann.id, Role.VIEWER))
    assert await store.write(lambda tables: tables.people.revoke(ann.id)) == 1
