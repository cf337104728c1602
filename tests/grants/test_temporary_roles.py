"""`allow … for`: a role for a time ends at its time, and that is reported once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TypeVar

import pytest

from deploybot.access.grant_expiry import GrantEnds
from deploybot.domain import Role
from deploybot.ports import Tables
from tests.grants.conftest import ANA, CONSOLE, DIA_SLACK, DIA_TELEGRAM, HOUR, SHOP, role, told
from tests.kit.command_bot import CommandBot

T = TypeVar("T")


# For a time


async def test_a_role_for_a_time_ends_at_its_time(one: CommandBot) -> None:
    card = await one.say("allow @eve deployer on shop for 8h")
    assert card.title == "eve is now deployer on every environment of shop, for 8 h."
    assert await role(one, "eve")
    one.clock.advance(8 * HOUR - 1)
    assert (await one.say("deploy shop to production", "eve")).ok
    one.clock.advance(1)
    assert not await role(one, "eve"), "the policy knows the end, whether or not anybody was told"
    assert (await one.say("deploy shop to production", "eve")).title == "There is no app `shop`."


async def test_the_end_is_reported_once(one: CommandBot) -> None:
    await one.say("allow @eve deployer on shop for 8h")
    looking = GrantEnds(one.store, one.clock, one.access.announcer)
    assert await looking.look() == 8 * HOUR
    before = len(await told(one))
    one.clock.advance(8 * HOUR)
    for _ in range(3):
        await looking.look()
    text = "eve is no longer deployer on every environment of shop: the grant by ana has expired."
    assert (await told(one))[before:] == [(place, text) for place in (SHOP, ANA, DIA_SLACK, DIA_TELEGRAM, CONSOLE)]
    assert [row.subject for row in await one.audit() if row.action == "grant ended"] == ["eve"]


async def test_the_end_is_posted_also_after_a_restart(one: CommandBot, caplog: pytest.LogCaptureFixture) -> None:
    await one.say("allow @eve deployer on shop for 8h")
    one.clock.advance(9 * HOUR)
    one.store.full = "no space left"
    ends = GrantEnds(one.store, one.clock, one.access.announcer, look_every=0.001)
    run = asyncio.create_task(ends.run())
    async with asyncio.timeout(60):
        while "could not be removed yet" not in caplog.text:  # noqa: ASYNC110 - a line of the log, without an event
            await asyncio.sleep(0.001)
    assert not run.done(), "a full disk is no reason to stop"
    one.store.full = ""
    async with asyncio.timeout(60):
        while not any("has expired" in text for _, text in await told(one)):  # noqa: ASYNC110 - a row, without an event
            await asyncio.sleep(0.001)
    run.cancel()


async def test_an_expired_role_notifies_only_admins_of_the_target(one: CommandBot) -> None:
    """An admin of shop/staging is none of shop/production; the audit says what ended."""
    await one.say("deny @dia on shop")
    await one.say("allow @dia admin on shop/staging")
    await one.say("allow @eve deployer on shop/production for 1h")
    before = len(await told(one))
    one.clock.advance(HOUR)
    await GrantEnds(one.store, one.clock, one.access.announcer).look()
    assert [place for place, _ in (await told(one))[before:]] == [SHOP, ANA, CONSOLE]
    (row,) = [row for row in await one.audit() if row.action == "grant ended"]
    assert (row.actor, row.subject, row.detail) == ("deploybot", "eve", "deployer on shop/production")


async def test_where_nothing_ends_nothing_is_written(one: CommandBot) -> None:
    looking = GrantEnds(one.store, one.clock, one.access.announcer)
    await one.say("allow @eve deployer on shop for 8h")
    await one.say("allow @cem deployer on shop for 2h")
    one.store.full = "no space left"
    assert await looking.look() == 2 * HOUR, "those without an end do not count"
    one.store.full = ""
    one.clock.advance(2 * HOUR)
    assert await looking.look() == 6 * HOUR
    one.clock.advance(6 * HOUR)
    assert await looking.look() == math.inf, "what ends now is over"
    one.store.full = "no space left"
    assert await looking.look() == math.inf


async def test_between_two_looks_the_worker_waits(one: CommandBot) -> None:
    class Counting:
        looks = 0
        problem = ""

        async def read(self, work: Callable[[Tables], T]) -> T:
            self.looks += 1
            return await one.store.read(work)

        async def write(self, work: Callable[[Tables], T]) -> T:
            return await one.store.write(work)

    counting = Counting()
    run = asyncio.create_task(GrantEnds(counting, one.clock, one.access.announcer).run())
    for _ in range(20):
        await one.store.read(lambda tables: tables.people.grants())  # in line behind what the worker reads
    assert counting.looks == 1
    run.cancel()


async def test_a_role_without_an_end_stays_beside_one_with_an_end(one: CommandBot) -> None:
    await one.say("allow @ben admin on shop for 1h")
    assert (await one.say("allow @eve viewer on shop for 30m", "ben")).ok
    one.clock.advance(HOUR)
    assert not (await one.say("allow @eve deployer on shop", "ben")).ok
    assert (await one.say("deploy shop to production", "ben")).ok


async def test_what_adds_nothing_or_takes_the_last_admin_is_refused(one: CommandBot) -> None:
    card = await one.say("allow @ben viewer on shop for 1h")
    assert card.title == "That role already exists, without an end time."
    card = await one.say("allow telegram:77:eve for 1h")
    assert (card.title, card.hint) == (
        "Only a role can have an end time.",
        "Like this: `allow @ben deployer on shop for 8h`.",
    )
    await one.say("deny @fay")
    assert not (await one.say("deny @ana")).ok
    await one.say("allow @ben admin for 1h")
    assert not (await one.say("deny @ana")).ok, "an admin for an hour does not make ana dispensable"


async def test_a_role_given_for_good_replaces_what_was_for_a_time(one: CommandBot) -> None:
    await one.say("allow @ben admin on shop for 1h")
    await one.say("allow @ben viewer on shop")
    assert not (await one.say("allow @eve viewer on shop", "ben")).ok


# What an admin for a time gives


ONLY_FOR_AN_HOUR = (
    "ben is admin on every environment of shop only until 2027-01-15 09:00 UTC, "
    "and can give only roles that end by then, such as `for 30m`."
)


@pytest.mark.parametrize(
    "text",
    [
        "allow @ben admin on shop",
        "allow @ben admin on shop for 61m",
        "allow @eve viewer on shop",
        "allow slack:T1/UGUS:gus deployer on shop",
    ],
)
async def test_what_an_admin_for_an_hour_gives_does_not_outlast_the_hour(one: CommandBot, text: str) -> None:
    await one.say("allow @ben admin on shop for 1h")
    card = await one.say(text, "ben")
    assert (card.title, card.hint) == (ONLY_FOR_AN_HOUR, "Allowed: ana, dia, fay.")
    assert await one.store.read(lambda tables: tables.people.named("gus")) is None
    assert (await one.say("allow @eve approver on shop for 1h", "ben")).ok
    one.clock.advance(HOUR)
    assert not await role(one, "eve")
    assert not (await one.say("allow @eve viewer on shop", "ben")).ok


@pytest.mark.parametrize(
    "text", ["allow telegram:77:ana viewer for 30m", "allow telegram:77:ana", "allow github:1:gus"]
)
async def test_an_admin_for_an_hour_gives_no_account_that_stays(one: CommandBot, text: str) -> None:
    """An account has all roles of its person, and no end."""
    before = len(await one.store.read(lambda tables: tables.people.accounts()))
    await one.say("allow @ben admin for 1h")
    card = await one.say(text, "ben")
    assert "ben is admin on every app only until 2027-01-15 09:00 UTC" in f"{card.title} {card.text}"
    assert len(await one.store.read(lambda tables: tables.people.accounts())) == before
    assert (await one.say("allow telegram:77:gus viewer for 30m", "ben")).ok, "a new person has only that role"


async def test_an_admin_without_an_end_gives_more_beside_a_role_for_a_time(one: CommandBot) -> None:
    await one.say("allow @dia admin for 1h")
    assert (await one.say("allow @eve deployer on shop", "dia")).ok
    assert not (await one.say("allow @eve deployer on blog", "dia")).ok


@pytest.mark.parametrize("asks_first", [True, False])
async def test_a_change_that_outlasts_one_of_two_admins_is_not_made(two: CommandBot, *, asks_first: bool) -> None:
    until = two.clock.now() + HOUR
    await two.store.write(lambda tables: tables.people.grant(2, Role.ADMIN, "shop", until=until))
    first, second = ("ben", "ana") if asks_first else ("ana", "ben")
    await two.say("allow @eve viewer on shop", first)
    card = await two.say("confirm grant-1", second)
    assert card.title == ("No grant-1 is waiting." if asks_first else ONLY_FOR_AN_HOUR)
    number = 1 if asks_first else 2
    assert (await two.say("allow @eve viewer on shop for 50m", first)).ok
    two.clock.advance(15 * 60)
    assert (await two.say(f"confirm grant-{number}", second)).title == ONLY_FOR_AN_HOUR, "its time starts now"
    assert not await role(two, "eve")
    assert (await two.say("allow @eve viewer on shop for 45m", first)).ok
    assert (await two.say(f"confirm grant-{number + 1}", second)).ok
