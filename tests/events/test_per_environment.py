"""Events of an app whose environments follow different branches, tags and images, and have channels of their own."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from deploybot.domain import Alert, BuildState, Channel, Event, ImagePushed, Note
from deploybot.events.app_matching import Routes
from deploybot.events.watched_refs import watched
from deploybot.settings import Settings
from tests.events.channel import DIGEST, HOME, IMAGE, NOON, EventChannel, build, open_channel, push, settings, sha
from tests.events.test_unfit import push as push_tags
from tests.kit.settings import bot_settings

APP, STAGING = Channel("slack", "C0SHOP11111"), Channel("slack", "C0STAGING11")
OWN = "registry.example.com/acme/shop-dev"


def both(staging: Mapping[str, object] | None = None, **app: object) -> Settings:
    """Staging has a channel and follows develop; production follows main."""
    return settings(
        channel=str(APP),
        images={"web": {"image": IMAGE, "tag": "^1.4"}},
        environments={
            "staging": {
                "servers": ["web1"],
                "directory": "/srv/shop-staging",
                "channel": str(STAGING),
                "auto": {"branch": "develop", "image": True},
                "images": {"web": {"tag": "develop"}},
                **(staging or {}),
            },
            "production": {"servers": ["web2"], "auto": {"branch": "main", "image": True}},
        },
        **app,
    )


def image(tag: str, name: str = IMAGE) -> ImagePushed:
    return ImagePushed(sender="registry", image=name, tag=tag, digest=DIGEST)


async def told(made: Settings, event: Event) -> dict[Channel, int]:
    async with open_channel(made) as channel:
        await channel.hear(event)
        return {one: len(await channel.messages(one)) for one in (APP, STAGING, HOME)}


async def _in(channel: EventChannel, where: Channel) -> int:
    return len(await channel.messages(where))


@pytest.mark.parametrize(
    ("event", "where"),
    [
        (push(branch="develop"), STAGING),
        (push(branch="main"), APP),
        (image("develop"), STAGING),
        (image("1.4.2"), APP),
        (Alert(sender="prometheus", at=NOON, key="k", name="Slow", firing=True, labels=(("env", "staging"),)), STAGING),
        (Alert(sender="prometheus", at=NOON, key="k", name="Slow", firing=True, labels=(("env", "production"),)), APP),
        (Alert(sender="prometheus", at=NOON, key="k", name="Slow", firing=True), APP),
        (Note(sender="event", at=NOON, title="Hello", environment="staging"), STAGING),
        (Note(sender="event", at=NOON, title="Hello"), APP),
    ],
)
async def test_an_event_goes_to_the_channel_of_the_environment_that_it_is_about(event: Event, where: Channel) -> None:
    assert await told(both(), event) == {one: int(one == where) for one in (APP, STAGING, HOME)}


async def test_an_event_about_both_goes_to_both() -> None:
    made = both({"auto": {"branch": "*"}})
    assert await told(made, push(branch="main")) == {APP: 1, STAGING: 1, HOME: 0}


async def test_a_route_has_the_channel_of_the_environments_that_it_names() -> None:
    only = {"only": {"environments": ["staging"]}}
    assert await told(both({"auto": {"branch": "*"}}, notify=only), push(branch="main")) == {
        APP: 0,
        STAGING: 1,
        HOME: 0,
    }
    own = {"own": {"environments": ["staging"], "channel": str(HOME)}}
    assert await told(both(notify=own), push(branch="develop")) == {APP: 0, STAGING: 0, HOME: 1}


async def test_a_tag_that_no_environment_follows_is_not_posted() -> None:
    assert await told(both(), image("nightly")) == {APP: 0, STAGING: 0, HOME: 0}


async def test_an_image_has_buttons_for_the_environments_that_follow_it() -> None:
    made = both({"images": {"web": {"image": OWN, "tag": "develop"}}, "auto": {"branch": "develop"}})
    async with open_channel(made) as channel:
        await channel.hear(image("develop", OWN))
        (card,) = await channel.messages(APP)
        assert [one.command for one in card.buttons] == [f"deploy shop@{DIGEST} to staging"]


async def test_a_release_with_images_of_an_environment_is_promoted_by_its_number() -> None:
    """By now, the tags may mean other images than those that were tried."""
    image = {"images": {"web": {"image": IMAGE}}}
    made = settings(
        environments={
            "staging": {"servers": ["web1"], "directory": "/srv/shop-staging", **image},
            "production": {"servers": ["web2"], "after": "staging", **image},
        }
    )
    async with open_channel(made) as channel:
        await channel.runs("staging", sha(2))
        await channel.hear(build(BuildState.PASSED))
        (card,) = await channel.messages(HOME)
        assert "deploy shop@#1 to production" in [one.command for one in card.buttons]


def test_an_image_that_only_an_environment_follows_belongs_to_the_app() -> None:
    routes = Routes(both({"images": {"web": {"image": OWN}}}))
    assert routes.apps(image("develop", OWN)) == routes.apps(image("1.4.2")) == ("shop",)
    assert routes.concerns("shop", image("develop", OWN))
    assert not routes.concerns("shop", image("develop", "acme/other"))
    made = both({"images": {"web": {"image": OWN}}})
    made.apps["shop"] = made.apps["shop"].model_copy(update={"repo": None})
    bare = Routes(made)
    assert bare.concerns("shop", image("develop", "acme/other")), "its Compose files may name more"


@pytest.mark.parametrize(
    ("app", "staging", "shown"),
    [
        ({}, {}, {"main", "develop", "release/2"}),
        ({"branch": "main"}, {}, {"main"}),
        ({"branch": "main"}, {"branch": "next"}, {"main", "next"}),
        ({}, {"branch": "next"}, {"main", "develop", "release/2", "next"}),
    ],
)
def test_the_branch_of_an_environment_matters(
    app: dict[str, object], staging: dict[str, object], shown: set[str]
) -> None:
    table = {**app, "environments": {"staging": {**staging, "directory": "/srv/staging"}, "production": {}}}
    shop = bot_settings(apps={"shop": table}).apps["shop"]
    assert {one for one in ("main", "develop", "release/2", "next", "other") if watched(shop, one)} == shown


async def test_a_tag_that_one_environment_follows_is_no_surprise_to_another() -> None:
    staging = {"images": {"web": {"tag": {"pattern": r"build-(\d+)"}}}}
    async with open_channel(both(staging)) as channel:
        assert await push_tags(channel, "build-7") == []
        assert await push_tags(channel, "1.4.2") == []
    async with open_channel(both(staging)) as channel:
        first, second = await push_tags(channel, "2026.02.0")
        assert first.title == second.title == f"shop: the tag 2026.02.0 of {IMAGE} does not count for web."
        assert {card.text.partition(",")[0] for card in (first, second)} == {
            "`tag` is ^1.4",
            r"`tag` is build-(\d+) by number",
        }
