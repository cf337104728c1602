"""`auto` that was just written into bot.toml: what was there stays, what is pushed from then on is deployed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deploybot.autodeploy import first_look
from deploybot.domain import Published, Push, Tagged
from tests.autodeploy.conftest import PRODUCTION, Yard, make_yard, settings_of

BRANCH = {"branch": "develop"}
ALL = {"branch": "*"}
TAG = {"tag": "v*"}
RELEASE = {"release": True}


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    """Nothing is deployed to staging by itself yet."""
    async with make_yard(tmp_path, {}, PRODUCTION) as made:
        yield made


async def begin(yard: Yard, auto: dict[str, Any]) -> None:
    """The bot starts with a bot.toml that has `auto` for staging, and has not looked yet."""
    await yard.restart(settings_of(yard.town.shop.settings.bot.data, {"auto": auto}, PRODUCTION))


def pushed(yard: Yard, branch: str = "develop") -> Push:
    """A push at the forge, whose event is still under way."""
    before = yard.refs.branches.get(branch, "")
    return Push(sender="github", branch=branch, before=before, after=yard.commit(branch))


def tagged(yard: Yard, tag: str) -> Tagged:
    yard.refs.tags[tag] = yard.commit("develop")
    return Tagged(sender="github", tag=tag, commit=yard.refs.tags[tag])


async def look(yard: Yard) -> None:
    """Look, and look again where that rings."""
    await yard.look()
    while yard.rung:
        yard.rung.clear()
        await yard.look()
    await yard.settle()


@pytest.mark.parametrize("auto", [BRANCH, ALL])
async def test_a_push_told_before_the_first_look_is_deployed(yard: Yard, auto: dict[str, Any]) -> None:
    await begin(yard, auto)
    event = pushed(yard)
    await yard.hear(event)
    await look(yard)
    assert await yard.deployed() == [event.after]


@pytest.mark.parametrize("auto", [BRANCH, ALL])
async def test_a_push_told_soon_after_the_first_look_is_deployed(yard: Yard, auto: dict[str, Any]) -> None:
    await begin(yard, auto)
    event = pushed(yard)
    await look(yard)
    assert await yard.deployed() == []
    await yard.hear(event)
    await look(yard)
    assert await yard.deployed() == [event.after]
    await yard.hear(event)
    await look(yard)
    assert await yard.deployed() == [event.after]


async def test_it_holds_over_a_bot_that_is_killed_in_between(yard: Yard) -> None:
    await begin(yard, BRANCH)
    event = pushed(yard)
    await yard.hear(event)
    await begin(yard, BRANCH)
    await look(yard)
    await begin(yard, BRANCH)
    await look(yard)
    assert await yard.deployed() == [event.after]


async def test_an_event_while_the_first_look_is_under_way_is_not_lost(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begin(yard, BRANCH)
    event = pushed(yard)
    there = yard.itself.automatic._there

    async def looked(app: Any) -> Any:  # noqa: ANN401  it is passed on
        found = await there(app)
        await yard.hear(event)
        return found

    monkeypatch.setattr(yard.itself.automatic, "_there", looked)
    await yard.look()
    monkeypatch.undo()
    await look(yard)
    assert await yard.deployed() == [event.after]


async def test_an_event_that_comes_long_after_the_first_look_is_old(yard: Yard) -> None:
    await begin(yard, BRANCH)
    event = pushed(yard)
    await look(yard)
    yard.town.shop.clock.advance(first_look.SOON + 1)
    await yard.hear(event)
    await look(yard)
    assert await yard.deployed() == []
    kept = await yard.town.store.read(lambda tables: tables.triggers.considered("shop", "staging"))
    assert [one for one in kept if one.startswith("first ")] == []


async def test_what_no_event_tells_of_stays_as_it_is(yard: Yard) -> None:
    """Another branch that the pattern takes has moved long ago."""
    yard.commit("feature")
    await begin(yard, ALL)
    event = pushed(yard)
    await yard.hear(event)
    await yard.hear(Push(sender="github", branch="gone", before=event.after))
    await look(yard)
    assert await yard.deployed() == [event.after]


async def test_an_event_of_what_was_moved_on_deploys_what_is_there(yard: Yard) -> None:
    await begin(yard, BRANCH)
    one = pushed(yard)
    two = pushed(yard)
    await yard.hear(two)
    await yard.hear(one)
    await look(yard)
    assert await yard.deployed() == [two.after]


async def test_an_event_of_what_the_first_look_did_not_see_changes_nothing(yard: Yard) -> None:
    await begin(yard, BRANCH)
    await look(yard)
    await yard.hear(Push(sender="github", branch="develop", before="e" * 40, after="f" * 40))
    await look(yard)
    assert await yard.deployed() == []


@pytest.mark.parametrize("early", [True, False])
async def test_a_tag_told_around_the_first_look_is_deployed(yard: Yard, early: bool) -> None:
    yard.refs.tags["v1.0"] = yard.refs.branches["develop"]
    await begin(yard, TAG)
    event = tagged(yard, "v1.1")
    if not early:
        await look(yard)
    await yard.hear(event)
    await look(yard)
    assert await yard.deployed() == [event.commit]


async def test_an_older_tag_told_after_the_first_look_is_none(yard: Yard) -> None:
    await begin(yard, TAG)
    old, _ = tagged(yard, "v1.0"), tagged(yard, "v1.1")
    await look(yard)
    await yard.hear(old)
    await look(yard)
    assert await yard.deployed() == []


async def test_a_release_published_before_the_first_look_is_deployed(yard: Yard) -> None:
    event = tagged(yard, "v2")
    await begin(yard, RELEASE)
    await yard.hear(Published(sender="github", tag="v2"))
    await look(yard)
    assert await yard.deployed() == [event.commit]
    await yard.hear(Published(sender="github", tag="v3", early=True))
    await look(yard)
    assert await yard.deployed() == [event.commit]
