"""develop → staging, main → production, one app: each follows its own branch, tag and image, in its own channel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploybot.access.bot_person import make_itself
from deploybot.domain import Channel, Pin
from deploybot.errors import Unreachable
from deploybot.settings import App
from deploybot.testing import FakeImages, FakeRefs
from tests.approvals.conftest import OFTEN, TEAM
from tests.autodeploy.conftest import CHANNEL, AutodeployBot, auto_settings
from tests.kit.bot import CHATS, open_as

WEB, LIVE = "registry.example.com/acme/shop", "registry.example.org/acme/shop"
OWN = Channel("slack", "C0STAGING123")


def digest(digit: str) -> str:
    return f"sha256:{digit * 64}"


class SomeImages(FakeImages):
    """Registries of which some are down. `asked` counts the questions."""

    def __init__(self, **known: dict[str, str]) -> None:
        super().__init__(**known)
        self.away: set[str] = set()
        self.asked = 0

    async def pins(self, app: App) -> tuple[Pin, ...]:
        self.asked += 1
        if any(one.image in self.away for one in app.images.values()):
            raise Unreachable("the registry", "it is away")
        return await super().pins(app)


@asynccontextmanager
async def open_two(
    folder: Path, staging: Mapping[str, object], production: Mapping[str, object], image: str = WEB, **app: object
) -> AsyncIterator[tuple[AutodeployBot, SomeImages]]:
    """A shop whose staging follows develop and its tag, and whose production follows main and its tag."""
    settings = auto_settings(
        folder / "data",
        {"branch": "develop", "channel": str(OWN), "images": {"web": {"tag": "develop"}}, **staging},
        {"branch": "main", "images": {"web": {"image": image}}, **production},
        strategy="compose",
        **{"images": {"web": {"image": WEB, "tag": "main"}}, **app},
    )
    # bot.toml has images with Compose only; what is tested here needs no containers.
    settings.apps["shop"].__dict__["strategy"] = "files"
    images = SomeImages(
        **{WEB: {"develop": digest("1"), "main": digest("2"), "1.4.0": digest("9")}, LIVE: {"main": digest("2")}}
    )
    opening = open_as(
        AutodeployBot,
        folder,
        settings,
        team=TEAM,
        chats=CHATS,
        refs=FakeRefs(folder),
        images=images,
        timeouts=OFTEN,
    )
    async with opening as bot:
        await make_itself(bot.store, settings)
        bot.refs.known |= {"develop": bot.commit("develop"), "main": bot.commit("main")}
        await bot.look()
        yield bot, images


async def pinned(bot: AutodeployBot, environment: str) -> list[tuple[str, str, str]]:
    """The commit and the image of each deployment of an environment."""
    releases = [one.plan.release for one in await bot.deployments_of(environment)]
    return [(one.code or "", one.images[0].image, one.images[0].digest) for one in releases]


async def test_a_push_is_deployed_with_the_image_that_its_environment_follows(tmp_path: Path) -> None:
    async with open_two(tmp_path, {"auto": {"branch": "develop"}}, {"auto": {"branch": "main"}}) as (bot, _):
        develop = await bot.push("develop")
        await bot.settle()
        assert await pinned(bot, "staging") == [(develop, WEB, digest("1"))]
        assert await pinned(bot, "production") == []
        main = await bot.push("main")
        await bot.settle()
        assert await pinned(bot, "production") == [(main, WEB, digest("2"))]
        assert len(await pinned(bot, "staging")) == 1


async def test_a_new_image_is_deployed_only_where_its_tag_is_followed(tmp_path: Path) -> None:
    auto = {"auto": {"image": True}}
    async with open_two(tmp_path, auto, auto) as (bot, images):
        images.known[WEB]["develop"] = digest("3")
        await bot.look()
        await bot.settle()
        assert await pinned(bot, "staging") == [(bot.refs.branches["develop"], WEB, digest("3"))]
        assert await pinned(bot, "production") == []
        images.known[WEB]["main"] = digest("4")
        await bot.look()
        await bot.settle()
        assert await pinned(bot, "production") == [(bot.refs.branches["main"], WEB, digest("4"))]
        assert len(await pinned(bot, "staging")) == 1


async def test_a_registry_that_is_down_stops_only_the_environment_that_needs_it(tmp_path: Path) -> None:
    auto = {"auto": {"image": True}}
    async with open_two(tmp_path, auto, auto, image=LIVE) as (bot, images):
        images.away = {LIVE}
        images.known[WEB]["develop"] = digest("3")
        with pytest.raises(Unreachable, match="it is away"):
            await bot.look()
        images.away = {WEB}
        images.known[LIVE]["main"] = digest("4")
        with pytest.raises(Unreachable, match="it is away"):
            await bot.look()
        images.away = set()
        await bot.settle()
        assert [one[2] for one in await pinned(bot, "staging")] == [digest("3")]
        assert await pinned(bot, "production") == [(bot.refs.branches["main"], LIVE, digest("4"))]


async def test_a_deleted_tag_brings_back_nothing_older_by_the_rule_of_the_environment(tmp_path: Path) -> None:
    staging = {"auto": {"image": True}, "images": {"web": {"tag": "^1.4"}}}
    async with open_two(tmp_path, staging, {}) as (bot, images):
        for tags in ({"1.4.1": digest("3")}, {"1.4.1": digest("3"), "1.4.2": digest("4")}, {"1.4.1": digest("5")}):
            images.known[WEB] = {"main": digest("2"), **tags}
            await bot.look()
            await bot.settle()
        assert [one[2] for one in await pinned(bot, "staging")] == [digest("3"), digest("4")]


async def test_after_waits_for_images_that_only_environments_have(tmp_path: Path) -> None:
    """A release with images is known only once they are pinned: until then `after` refuses nothing."""
    image = {"image": WEB, "tag": "main"}
    staging = {"branch": "main", "images": {"web": image}}
    production = {"after": "staging", "auto": {"branch": "main"}, "images": {"web": image}}
    async with open_two(tmp_path, staging, production, images={}) as (bot, _):
        commit = bot.commit("main")
        bot.refs.known["main"] = commit
        assert (await bot.say("deploy shop to staging")).ok
        await bot.settle()
        await bot.look()
        await bot.settle()
        assert await pinned(bot, "staging") == await pinned(bot, "production") == [(commit, WEB, digest("2"))]


async def test_environments_that_follow_the_same_ask_the_registry_once(tmp_path: Path) -> None:
    auto = {"auto": {"image": True}}
    async with open_two(tmp_path, {**auto, "images": {}}, auto) as (bot, images):
        images.asked = 0
        await bot.look()
        assert images.asked == 1
    (tmp_path / "b").mkdir()
    async with open_two(tmp_path / "b", auto, {"auto": {"branch": "main"}}) as (bot, images):
        images.asked = 0
        await bot.look()
        assert images.asked == 1


async def _posted(bot: AutodeployBot) -> set[tuple[str, Channel]]:
    items = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now() + 9e9, 10_000))
    return {(item.card.title, item.channel) for item in items if item.key.startswith("event:")}


async def test_cards_about_an_environment_go_to_its_channel(tmp_path: Path) -> None:
    ask = {"ask": True}
    async with open_two(tmp_path, {"auto": {"branch": "develop", **ask}}, {"auto": {"branch": "main", **ask}}) as (
        bot,
        _,
    ):
        await bot.push("develop")
        await bot.push("main")
        bot.refs.branches.pop("develop")
        bot.refs.branches.pop("main")
        await bot.look()
        posted = await _posted(bot)
        for name, channel in (("staging", OWN), ("production", CHANNEL)):
            titles = sorted(title.partition(":")[0] for title, where in posted if where == channel)
            assert titles == [f"shop/{name}", f"shop/{name} is not deployed automatically"]
        bot.refs.branches["develop"] = "d" * 40
        await bot.look()
        (fixed,) = [one for one in await _posted(bot) if one[0].startswith("Fixed")]
        assert fixed[1] == OWN
