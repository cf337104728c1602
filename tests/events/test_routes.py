"""Who is told of what, and what is told by default."""

from __future__ import annotations

import os
import random
import re
from typing import Any

import pytest

from deploybot.chat.card_channels import named_channels
from deploybot.domain import Alert, BuildState, Change, Channel, Deployed, Event, Note, Published, Tagged
from deploybot.errors import ConfigError
from deploybot.events.watched_refs import fits
from tests.events.channel import HOME, NOON, build, open_channel, push, settings, sha
from tests.kit.settings import bot_settings

BUILDS, PRODUCTION, APP = (
    Channel("slack", "C0BUILDS111"),
    Channel("slack", "C0PROD11111"),
    Channel("slack", "C0SHOP11111"),
)
COMMON: dict[str, Any] = {"sender": "github", "at": NOON}
ALERT = Alert(**COMMON, key="k", name="Slow", firing=True, labels=(("environment", "production"),))
CHANGE = Change(**COMMON, number=1, title="x", what="opened", branch="fast", into="main")
DEPLOYED = Deployed(**COMMON, key="1", environment="production", state=BuildState.PASSED, commit=sha(1))
AUTO = {
    "staging": {"servers": ["web1"], "auto": {"branch": "develop", "tag": "v*"}},
    "production": {"servers": ["web2"]},
}


async def told(event: Event, where: Channel, **more: object) -> int:
    """How many messages an event makes in a channel, for an app with these keys."""
    async with open_channel(settings(**more)) as channel:
        await channel.hear(event)
        return len(await channel.messages(where))


@pytest.mark.parametrize(
    ("event", "count"),
    [
        (push(branch="develop"), 1),
        (push(branch="main"), 1),
        (push(branch="release/2"), 1),
        (push(branch="feature/cart"), 0),
        (build(BuildState.FAILED, branch="feature/cart"), 0),
        (build(BuildState.FAILED, branch="", tag="v1"), 1),
        (CHANGE, 1),
        (Tagged(**COMMON, tag="v1", commit=sha(1)), 1),
        (DEPLOYED, 1),
        (ALERT, 1),
        (Note(**COMMON, title="x"), 1),
    ],
)
async def test_by_default(event: Event, count: int) -> None:
    assert await told(event, HOME) == count


async def test_the_branches_of_the_app_and_of_auto_are_the_usual_ones() -> None:
    for branch, count in (("trunk2", 1), ("develop", 1), ("main", 0)):
        assert await told(push(branch=branch), HOME, branch="trunk2", environments=AUTO) == count


@pytest.mark.parametrize(
    ("route", "event", "count"),
    [
        ({"kinds": "push"}, push(branch="feature/x"), 1),
        ({"kinds": "push"}, CHANGE, 0),
        ({"branches": "feature/*"}, push(branch="feature/x"), 1),
        ({"branches": "feature/*"}, push(branch="develop"), 0),
        ({"branches": "feature/*"}, ALERT, 0),
        ({"branches": "main"}, CHANGE, 1),
        ({"environments": "production"}, ALERT, 1),
        ({"environments": "production"}, DEPLOYED, 1),
        ({"environments": "staging"}, DEPLOYED, 0),
        ({"environments": "staging"}, push(branch="develop"), 1),
        ({"environments": "production"}, push(branch="develop"), 0),
        ({"environments": "staging"}, Tagged(**COMMON, tag="v1", commit=sha(1)), 1),
        ({"kinds": ["push", "build"], "branches": ["main"], "environments": ["staging"]}, push(branch="develop"), 0),
        ({}, push(branch="feature/x"), 0),
    ],
)
async def test_what_a_route_asks_for(route: dict[str, Any], event: Event, count: int) -> None:
    route = {**route, "channel": "slack:C0BUILDS111"}
    more: dict[str, object] = {"notify": {"one": route}, "environments": AUTO, "channel": "slack:C0SHOP11111"}
    assert await told(event, BUILDS, **more) == count
    assert await told(event, APP, **more) == 0


async def test_two_routes_to_one_channel_say_it_once() -> None:
    routes = {
        "builds": {"kinds": "build", "channel": "slack:C0BUILDS111"},
        "develop": {"branches": "develop", "channel": ["slack:C0BUILDS111", "slack:C0PROD11111"]},
        "rest": {},
    }
    async with open_channel(settings(notify=routes, channel="slack:C0SHOP11111")) as channel:
        await channel.hear(build(BuildState.FAILED))
        for where in (BUILDS, PRODUCTION, APP):
            assert len(await channel.messages(where)) == 1
        assert await channel.messages(HOME) == []


async def test_the_first_part_that_is_asked_for_begins_the_message() -> None:
    """A route that asks for releases alone hears of a tag when it is released."""

    async with open_channel(settings(notify={"one": {"kinds": "release"}})) as channel:
        await channel.hear(Tagged(**COMMON, tag="v1", commit=sha(1)))
        assert await channel.messages() == []
        await channel.hear(Published(**COMMON, tag="v1"))
        assert len(await channel.messages()) == 1


def test_channels_of_routes_are_among_those_that_bot_toml_names() -> None:
    made = settings(channel=str(APP), notify={"one": {"channel": [str(BUILDS), str(APP)]}})
    assert named_channels(made) == (APP, BUILDS)


def test_what_routes_name_has_to_be_there() -> None:
    environments = {"staging": {"directory": "/srv/shop-staging"}, "production": {}}
    route = {"environments": ["stagign", "production"], "channel": ["slack:C0BUILDS111"]}
    with pytest.raises(ConfigError) as caught:
        bot_settings(apps={"shop": {"environments": environments, "notify": {"one": route}}})
    assert caught.value.problems == (
        'apps.shop.notify.one.environments: unknown environment of shop: "stagign", did you mean "staging"?',
        (
            'apps.shop.notify.one.channel: "slack:C0BUILDS111" needs [slack], which is missing: '
            "add it, or remove this channel"
        ),
    )


@pytest.mark.parametrize(
    ("pattern", "name", "fit"),
    [
        ("main", "main", True),
        ("", "main", False),
        ("main", "main2", False),
        ("release/*", "release/1", True),
        ("release/*", "release/1/x", False),
        ("release/**", "release/1/x", True),
        ("v?", "v1", True),
        ("a.c", "abc", False),
        ("*", "x\ny", True),
        ("*/**", "a/b/c", True),
        ("*/**", "abc", False),
        ("?*.*", "v1.4", True),
        ("?*.*", "/1.4", False),
        ("a***b*", "a/x/by", True),
        ("*a*a*a*a*a*a*b", "a" * 10_000, False),
        ("**a**a**a**a**a**b", "a/" * 5_000, False),
    ],
)
def test_patterns(pattern: str, name: str, fit: bool) -> None:
    assert fits(pattern, name) is fit


def test_patterns_mean_what_a_regular_expression_would() -> None:
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
    dice = random.Random(seed)
    signs = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    for _ in range(5_000):
        pattern, name = ("".join(dice.choices(letters, k=dice.randrange(7))) for letters in ("ab/*?*", "ab/\n*?"))
        parts = re.split(r"(\*\*|\*|\?)", pattern)
        wanted = re.fullmatch("".join(signs.get(part, re.escape(part)) for part in parts), name, re.DOTALL)
        assert fits(pattern, name) is bool(wanted), (seed, pattern, name)
