"""What bot.toml deploys automatically: where, after what, and which waiting deployments a newer one replaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from deploybot.access.bot_person import make_itself
from deploybot.deployments.auto_targets import auto_text, grants_of, in_the_way, is_used, skipped_by, targets
from deploybot.domain import AUTO, Deployment, Grant, Identity, Kind, Person, Plan, Role, State
from deploybot.errors import UserError
from deploybot.ports import Tables
from deploybot.settings import Auto, Environment, Settings
from deploybot.testing import memory_store
from tests.kit.bot import V2, shop_settings
from tests.kit.settings import NOWHERE

BOT, ANA = Person(9, "deploybot"), Person(1, "ana")
PUSH, ASK = {"branch": "main"}, {"branch": "main", "ask": True}


def of(auto: Mapping[str, object] | None) -> Settings:
    """bot.toml with this `auto` in production, and none in staging."""
    settings = shop_settings(NOWHERE)
    if auto:
        settings.apps["shop"].environments["production"].__dict__["auto"] = Auto.model_validate(auto)
    return settings


def production(auto: Mapping[str, object] | None) -> Environment:
    return of(auto).apps["shop"].environments["production"]


@pytest.mark.parametrize(
    ("auto", "text"),
    [
        (PUSH, "a push to main"),
        ({"tag": "v*"}, "a tag v*"),
        ({"release": True}, "a published release"),
        ({"image": True}, "a new image"),
        ({"branch": "main", "tag": "v*", "image": True}, "a push to main or a tag v* or a new image"),
        (PUSH | {"after": "ci"}, "a push to main once its builds are green"),
        (PUSH | {"checks": ["tests"]}, "a push to main once tests is green"),
        (PUSH | {"checks": ["tests", "lint"], "after": "ci"}, "a push to main once tests and lint are green"),
        (ASK, ""),
        (None, ""),
    ],
)
def test_people_read_what_deploys_automatically(auto: Mapping[str, object] | None, text: str) -> None:
    assert auto_text(production(auto)) == text


def test_a_target_that_bot_toml_does_not_have_deploys_nothing() -> None:
    assert auto_text(None) == ""


def test_the_bot_may_deploy_exactly_where_bot_toml_says_so_without_asking() -> None:
    settings = of(PUSH)
    assert targets(settings) == {("shop", "production")}
    assert grants_of(BOT, settings) == (Grant(BOT.id, Role.DEPLOYER, "shop", "production"),)
    assert targets(of(ASK)) == frozenset()
    assert grants_of(BOT, of(ASK)) == ()
    assert targets(of(None)) == frozenset()


def test_the_grants_of_the_bot_are_in_order() -> None:
    settings = of(PUSH)
    settings.apps["shop"].environments["staging"].__dict__["auto"] = Auto(branch="develop")
    settings.apps["shop"].environments["beta"] = production(PUSH).model_copy(update={"name": "beta"})
    assert [one.environment for one in grants_of(BOT, settings)] == ["beta", "production", "staging"]


@pytest.mark.parametrize(("auto", "used"), [(PUSH, True), (ASK, True), (None, False)])
async def test_the_bot_is_a_person_where_bot_toml_uses_auto(auto: Mapping[str, object] | None, *, used: bool) -> None:
    assert is_used(of(auto)) is used
    async with memory_store() as store:
        for _ in range(2):
            await make_itself(store, of(auto))
        bot = await store.read(lambda tables: tables.people.of(AUTO))
        assert (bot.name if bot else None) == ("deploybot" if used else None)
        assert await store.read(lambda tables: len(tables.people.everybody())) == int(used)


def _namesake(tables: Tables) -> None:
    """A person who had the bot's name before it was the bot's."""
    tables.people.add("deploybot", AUTO)
    tables.people.detach(AUTO)


async def test_a_person_of_the_bots_name_is_not_taken_for_the_bot() -> None:
    async with memory_store() as store:
        await store.write(_namesake)
        await make_itself(store, of(None))
        with pytest.raises(UserError) as caught:
            await make_itself(store, of(PUSH))
        assert caught.value.sentence == (
            "The allowlist has a person named deploybot, but `auto` in bot.toml needs that name for me."
        )
        assert caught.value.hint == "Give that person another name: `deploybot rename deploybot NAME`."
        assert await store.read(lambda tables: tables.people.of(AUTO)) is None


PLAN = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V2, servers=())


def _waiting(tables: Tables, plan: Plan = PLAN, *, trigger: int = 7) -> Deployment:
    return tables.deployments.add(plan, requester=ANA, reason="", channel=None, now=1.0, trigger=trigger)


async def test_a_newer_one_replaces_only_automatic_ones_that_still_wait_for_the_same_target() -> None:
    async with memory_store() as store:

        def look(tables: Tables) -> None:
            assert tables.people.add(ANA.name, Identity("console", "1")) == ANA
            first, second = _waiting(tables), _waiting(tables)
            by_hand = _waiting(tables, trigger=0)
            others = [
                _waiting(tables, one) for one in (replace(PLAN, app="blog"), replace(PLAN, environment="staging"))
            ]
            running, cancelled, ended = _waiting(tables), _waiting(tables), _waiting(tables)
            tables.deployments.move(running.number, State.RUNNING, now=2.0)
            tables.deployments.ask_cancel(cancelled.number, "ana")
            tables.deployments.move(ended.number, State.CANCELLED, now=2.0)
            found = in_the_way(tables, PLAN)
            assert [one.number for one in found] == [first.number, second.number]
            assert {by_hand.number, *(one.number for one in others)}.isdisjoint(one.number for one in found)

        await store.write(look)


def test_all_that_was_skipped_is_named_once_and_in_order() -> None:
    first = Deployment(
        number=40, plan=PLAN, state=State.WAITING, requester=1, requester_name="deploybot", skipped=(130, 7)
    )
    second = replace(first, number=1000, skipped=(999, 130))
    assert skipped_by((second, first)) == (7, 40, 130, 999, 1000)
    assert skipped_by(()) == ()
