"""`auto` that was just written into bot.toml: what was there stays, what is pushed from then on is deployed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deploybot.autodeploy import first_look
from deploybot.domain import Heads, Published, Push, Tagged
from deploybot.settings import App
from tests.autodeploy.conftest import PRODUCTION, AutodeployBot, auto_settings, open_autodeploy_bot

BRANCH = {"branch": "develop"}
ALL = {"branch": "*"}
TAG = {"tag": "v*"}
RELEASE = {"release": True}


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[AutodeployBot]:
    """Nothing is deployed to staging by itself yet."""
    async with open_autodeploy_bot(tmp_path, {}, PRODUCTION) as made:
        yield made


async def begin(bot: AutodeployBot, auto: dict[str, Any]) -> None:
    """The bot starts with a bot.toml that has `auto` for staging, and has not looked yet."""
    await bot.restart(auto_settings(bot.settings.bot.data, {"auto": auto}, PRODUCTION))


def pushed(bot: AutodeployBot, branch: str = "develop") -> Push:
    """A push at the forge, whose event is still under way."""
    before = bot.refs.branches.get(branch, "")
    return Push(sender="github", branch=branch, before=before, after=bot.commit(branch))


def tagged(bot: AutodeployBot, tag: str) -> Tagged:
    bot.refs.tags[tag] = bot.commit("develop")
    return Tagged(sender="github", tag=tag, commit=bot.refs.tags[tag])


async def look(bot: AutodeployBot) -> None:
    """Look, and look again where that rings."""
    await bot.look()
    while bot.rung:
        bot.rung.clear()
        await bot.look()
    await bot.settle()


@pytest.mark.parametrize("auto", [BRANCH, ALL])
async def test_a_push_reported_before_the_first_look_is_deployed(bot: AutodeployBot, auto: dict[str, Any]) -> None:
    await begin(bot, auto)
    event = pushed(bot)
    await bot.hear(event)
    await look(bot)
    assert await bot.deployed() == [event.after]


@pytest.mark.parametrize("auto", [BRANCH, ALL])
async def test_a_push_reported_soon_after_the_first_look_is_deployed(bot: AutodeployBot, auto: dict[str, Any]) -> None:
    await begin(bot, auto)
    event = pushed(bot)
    await look(bot)
    assert await bot.deployed() == []
    await bot.hear(event)
    await look(bot)
    assert await bot.deployed() == [event.after]
    await bot.hear(event)
    await look(bot)
    assert await bot.deployed() == [event.after]


async def test_it_holds_over_a_bot_that_is_killed_in_between(bot: AutodeployBot) -> None:
    await begin(bot, BRANCH)
    event = pushed(bot)
    await bot.hear(event)
    await begin(bot, BRANCH)
    await look(bot)
    await begin(bot, BRANCH)
    await look(bot)
    assert await bot.deployed() == [event.after]


async def test_an_event_while_the_first_look_is_under_way_is_not_lost(bot: AutodeployBot) -> None:
    await begin(bot, BRANCH)
    event = pushed(bot)
    heads = bot.refs.heads

    async def looked(app: App) -> Heads:
        found = await heads(app)
        await bot.hear(event)
        return found

    bot.refs.heads = looked  # type: ignore[method-assign]
    await bot.look()
    bot.refs.heads = heads  # type: ignore[method-assign]
    await look(bot)
    assert await bot.deployed() == [event.after]


async def test_an_event_that_comes_long_after_the_first_look_is_old(bot: AutodeployBot) -> None:
    await begin(bot, BRANCH)
    event = pushed(bot)
    await look(bot)
    bot.clock.advance(first_look.SOON + 1)
    await bot.hear(event)
    await look(bot)
    assert await bot.deployed() == []
    kept = await bot.store.read(lambda tables: tables.triggers.considered("shop", "staging"))
    assert [one for one in kept if one.startswith("first ")] == []


async def test_what_no_event_mentions_stays_as_it_is(bot: AutodeployBot) -> None:
    """Another branch that the pattern takes has moved long ago."""
    bot.commit("feature")
    await begin(bot, ALL)
    event = pushed(bot)
    await bot.hear(event)
    await bot.hear(Push(sender="github", branch="gone", before=event.after))
    await look(bot)
    assert await bot.deployed() == [event.after]


async def test_an_event_of_what_was_moved_on_deploys_what_is_there(bot: AutodeployBot) -> None:
    await begin(bot, BRANCH)
    one = pushed(bot)
    two = pushed(bot)
    await bot.hear(two)
    await bot.hear(one)
    await look(bot)
    assert await bot.deployed() == [two.after]


async def test_an_event_of_what_the_first_look_did_not_see_changes_nothing(bot: AutodeployBot) -> None:
    await begin(bot, BRANCH)
    await look(bot)
    await bot.hear(Push(sender="github", branch="develop", before="e" * 40, after="f" * 40))
    await look(bot)
    assert await bot.deployed() == []


@pytest.mark.parametrize("early", [True, False])
async def test_a_tag_reported_around_the_first_look_is_deployed(bot: AutodeployBot, early: bool) -> None:
    bot.refs.tags["v1.0"] = bot.refs.branches["develop"]
    await begin(bot, TAG)
    event = tagged(bot, "v1.1")
    if not early:
        await look(bot)
    await bot.hear(event)
    await look(bot)
    assert await bot.deployed() == [event.commit]


async def test_an_older_tag_reported_after_the_first_look_is_none(bot: AutodeployBot) -> None:
    await begin(bot, TAG)
    old, _ = tagged(bot, "v1.0"), tagged(bot, "v1.1")
    await look(bot)
    await bot.hear(old)
    await look(bot)
    assert await bot.deployed() == []


async def test_a_release_published_before_the_first_look_is_deployed(bot: AutodeployBot) -> None:
    event = tagged(bot, "v2")
    await begin(bot, RELEASE)
    await bot.hear(Published(sender="github", tag="v2"))
    await look(bot)
    assert await bot.deployed() == [event.commit]
    await bot.hear(Published(sender="github", tag="v3", early=True))
    await look(bot)
    assert await bot.deployed() == [event.commit]
