"""`who` lists people, roles and accounts, and shows nothing that the sender may not see."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploybot.command import Context
from deploybot.domain import Person
from deploybot.ports import Tables
from tests.grants.conftest import HOUR
from tests.kit.command_bot import V1, CommandBot


async def test_an_unknown_name_is_answered_with_the_first_dozen_known_ones(one: CommandBot) -> None:
    def hire(number: int) -> Callable[[Tables], Person]:
        return lambda tables: tables.people.add(f"p{number:02}")

    for number in range(6):  # beside ana, ben, cem, dia, eve and fay
        await one.store.write(hire(number))
    twelve = "@ana, @ben, @cem, @dia, @eve, @fay, @p00, @p01, @p02, @p03, @p04, @p05"
    assert (await one.say("deny @xyzzy")).hint == f"I know {twelve}."
    await one.store.write(hire(6))
    assert (await one.say("deny @xyzzy")).hint == f"I know {twelve} and more."


async def test_who_without_an_app_lists_all_that_one_may_see(one: CommandBot) -> None:
    ana = await one.store.read(lambda tables: tables.people.named("ana"))
    ctx = Context(incoming=one.incoming("x"), person=ana, services=one.services, reply=one.reply)
    card = await one.access.who(ctx)
    assert card.title == "5 people have a role."


# Who


async def test_who_lists_people_roles_and_accounts(one: CommandBot) -> None:
    await one.say("allow slack:T1/UGUS:gus deployer on shop for 8h")
    card = await one.say("who shop", "dia")
    assert card.title == "6 people have a role on shop."
    assert card.table
    assert card.table.columns == ("person", "role", "where", "since", "by", "accounts")
    rows = {row[0]: row[1:] for row in card.table.rows}
    assert rows["ben"] == ("deployer", "every environment of shop", "unknown", "unknown", "console:1001")
    assert rows["gus"] == (
        "deployer until 2027-01-15 16:00 UTC",
        "every environment of shop",
        "2027-01-15 08:00 UTC",
        "ana",
        "slack:T1/UGUS (since 2027-01-15 08:00 UTC by ana)",
    )
    assert rows["cem"][1] == "shop/staging", "what they are on wiki does not belong here"
    one.clock.advance(8 * HOUR)
    assert (await one.say("who shop", "dia")).title == "5 people have a role on shop."


async def test_who_says_by_whom_an_account_was_given(one: CommandBot) -> None:
    assert (await one.say("allow console:1001:ben deployer on shop/staging")).ok, "that account is ben's already"
    await one.say("allow telegram:5:ben")
    table = (await one.say("who shop", "dia")).table
    assert table
    accounts = {row[5] for row in table.rows if row[0] == "ben"}
    assert accounts == {"console:1001, telegram:5 (since 2027-01-15 08:00 UTC by ana)"}


async def test_who_shows_only_what_one_may_see(one: CommandBot) -> None:
    table = (await one.say("who", "cem")).table
    assert table
    assert {row[2] for row in table.rows} == {
        "every app",
        "every environment of shop",
        "shop/staging",
        "every environment of wiki",
    }
    assert (await one.say("who blog", "cem")).title == "There is no app `blog`."


# Unknown and forbidden


@pytest.mark.parametrize("who", ["cem", "eve", "ben"])
@pytest.mark.parametrize(
    ("there", "nowhere"),
    [
        ("status blog", "status blug"),
        ("cancel #42", "cancel #43"),
        ("approve #42", "approve #43"),
        ("reject #42 because no", "reject #43 because no"),
        ("deploy blog@v1.4 to live", "deploy blug@v1.4 to live"),
        ("allow @eve viewer on blog", "allow @eve viewer on blug"),
        ("why deploy blog live", "why deploy blug live"),
        ("lock blog live because x", "lock blug live because x"),
        ("who blog", "who blug"),
        ("confirm grant-1", "confirm grant-2"),
    ],
)
async def test_unknown_and_forbidden_look_alike(two: CommandBot, who: str, there: str, nowhere: str) -> None:
    two.deployments.put(42, "blog", "live", V1)
    await two.say("allow @eve viewer on blog")
    one, other = await two.say(there, who), await two.say(nowhere, who)
    assert not one.ok
    same = repr(other).replace("blug", "blog").replace("#43", "#42").replace("grant-2", "grant-1")
    assert repr(one) == same


async def test_what_was_tried_in_vain_is_in_the_audit(one: CommandBot) -> None:
    await one.say("status blog", "ben")
    assert [(row.actor, row.action, row.detail) for row in await one.audit()] == [("ben", "denied", "status blog")]
    await one.say("status blug", "ben")
    assert len(await one.audit()) == 1
