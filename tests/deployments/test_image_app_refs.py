"""What refs mean for an app without a repository: tags and digests of images, and what the records say ran."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.deployments.meant_images import own_images
from deploybot.domain import Pin, Release
from deploybot.errors import NoImage, UserError
from deploybot.settings import App, ImageOf
from deploybot.strategies import STRATEGIES
from deploybot.strategies.accepted_sources import insist_on_source
from deploybot.testing import FakeImages
from tests.deployments.test_image_releases import NEW, NEWER, OLD, SIDE, WEB, digests, ran, releases_with
from tests.kit.bot import V1, BotUnderTest


@pytest.fixture
def app(bot: BotUnderTest) -> App:
    """The shop without a repository; its services have images as if Compose files named them."""
    images = {"web": ImageOf(image=WEB, tag="1.4"), "side": ImageOf(image=SIDE)}
    return bot.app.model_copy(update={"repo": None, "images": images})


@pytest.fixture
def images() -> FakeImages:
    return FakeImages(**{WEB: {"1.4": OLD, "1.5": NEW}, SIDE: {"latest": OLD}})


def of(web: str, side: str = OLD, tag: str = "1.4", ref: str = "") -> Release:
    return Release.of_images((Pin("web", WEB, tag, web), Pin("side", SIDE, "latest", side)), ref)


async def test_without_a_ref_it_is_what_the_files_name(bot: BotUnderTest, app: App, images: FakeImages) -> None:
    found = await releases_with(bot, images).resolve(app, bot.production, "")
    assert (found, found.code) == (of(OLD), None)
    with pytest.raises(UserError, match="needs an environment"):
        await releases_with(bot, images).resolve(app, None, "")


async def test_a_tag_changes_only_its_image_and_names_the_release(
    bot: BotUnderTest, app: App, images: FakeImages
) -> None:
    await ran(bot, of(OLD, NEWER))
    found = await releases_with(bot, images).resolve(app, bot.production, "1.5")
    assert (digests(found), found.label) == ({"web": NEW, "side": NEWER}, "1.5")
    found = await releases_with(bot, images).resolve(app, bot.production, NEW)
    assert (digests(found), found.ref) == ({"web": NEW, "side": NEWER}, "")


async def test_where_nothing_runs_the_rest_is_what_the_files_name(
    bot: BotUnderTest, app: App, images: FakeImages
) -> None:
    assert digests(await releases_with(bot, images).resolve(app, bot.production, "1.5")) == {"web": NEW, "side": OLD}


async def test_a_commit_that_runs_is_left_behind(bot: BotUnderTest, app: App, images: FakeImages) -> None:
    await ran(bot, V1)
    found = await releases_with(bot, images).resolve(app, bot.production, "1.5")
    assert (found.code, digests(found)) == (None, {"web": NEW, "side": OLD})


async def test_a_service_that_is_gone_from_the_files_is_left_out(
    bot: BotUnderTest, app: App, images: FakeImages
) -> None:
    gone = Release.of_images((*of(OLD).images, Pin("gone", "acme/gone", "1", OLD)))
    await ran(bot, gone)
    assert digests(await releases_with(bot, images).resolve(app, bot.production, "1.5")) == {"web": NEW, "side": OLD}


@pytest.mark.parametrize(("ref", "said"), [("9.9", "has the tag `9.9`"), (NEWER, "has the digest sha256:3333333333…")])
async def test_what_no_image_has_is_said(bot: BotUnderTest, app: App, images: FakeImages, ref: str, said: str) -> None:
    with pytest.raises(UserError, match=f"No image of shop {said}"):
        await releases_with(bot, images).resolve(app, bot.production, ref)


async def test_a_way_back_by_a_tag_takes_what_ran_not_what_the_tag_means_now(
    bot: BotUnderTest, app: App, images: FakeImages
) -> None:
    await ran(bot, of(OLD, tag="1.4"), of(NEWER, tag="latest", ref="spring"), of(NEW, tag="1.5"))
    images.known[WEB]["1.4"] = NEWER
    images.down = "no route"
    releases = releases_with(bot, images)
    assert (await releases.resolve(app, bot.production, "1.4", back=True)).image("web") == Pin("web", WEB, "1.4", OLD)
    assert digests(await releases.resolve(app, bot.production, "spring", back=True)) == {"web": NEWER, "side": OLD}
    with pytest.raises(UserError, match="in production"):
        await releases.resolve(app, bot.production, "9.9", back=True)


async def test_a_way_back_by_a_tag_finds_no_commit(bot: BotUnderTest, app: App, images: FakeImages) -> None:
    await ran(bot, replace(V1, ref="1.4"))
    with pytest.raises(UserError, match="has not run"):
        await releases_with(bot, images).resolve(app, bot.production, "1.4", back=True)


async def test_a_tag_that_several_images_have_moves_none_of_them_by_accident(
    bot: BotUnderTest, app: App, images: FakeImages
) -> None:
    images.known[SIDE]["1.5"] = NEWER
    own = app.model_copy(update={"images": {"web": app.images["web"]}})
    found = [Pin("web", WEB, "1.5", NEW), Pin("side", SIDE, "1.5", NEWER)]
    assert own_images(own, "1.5", found) == [found[0]], "the one that bot.toml names"
    bare = app.model_copy(update={"images": {}})
    assert own_images(bare, "1.5", found[:1]) == found[:1]
    with pytest.raises(
        UserError, match=r"Several images of shop have the tag `1\.5`: docker\.io/acme/side and registry"
    ):
        own_images(bare, "1.5", found)
    await ran(bot, Release.of_images(found), of(OLD))
    with pytest.raises(UserError, match=r"Several images of shop have the tag `1\.5`"):
        await releases_with(bot, images).resolve(bare, bot.production, "1.5", back=True)


async def test_what_runs_needs_no_registry_and_stays_while_a_server_is_silent(
    bot: BotUnderTest, app: App, images: FakeImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Pin("gone", "acme/gone", "1", OLD)
    await ran(bot, Release.of_images((*of(OLD).images, gone)))

    async def fails(app: App) -> tuple[Pin, ...]:
        raise NoImage(f"{app.name}: a tag of another service is gone.")

    monkeypatch.setattr(images, "pins", fails)
    assert digests(await releases_with(bot, images).resolve(app, bot.production, "1.5")) == {"web": NEW, "side": OLD}

    async def silent(app: App) -> None:
        del app

    monkeypatch.undo()
    monkeypatch.setattr(images, "services", silent)
    found = digests(await releases_with(bot, images).resolve(app, bot.production, "1.5"))
    assert found == {"web": NEW, "side": OLD, "gone": OLD}


async def test_previous_and_current_are_as_for_other_apps(bot: BotUnderTest, app: App, images: FakeImages) -> None:
    await ran(bot, of(OLD), of(NEW))
    releases = releases_with(bot, images)
    assert digests(await releases.resolve(app, bot.production, ":current"))["web"] == NEW
    assert digests(await releases.resolve(app, bot.production, ":previous"))["web"] == OLD


def test_releases_from_before_and_after_a_repository_are_refused(bot: BotUnderTest, app: App) -> None:
    compose = STRATEGIES["compose"]
    insist_on_source(app, compose, of(OLD))
    insist_on_source(bot.app, compose, V1)
    with pytest.raises(
        UserError, match="is a commit, and strategy `files` of shop deploys images without a repository"
    ):
        insist_on_source(app, compose, V1)
    with pytest.raises(
        UserError, match="is images, and strategy `files` of shop deploys a commit or a commit with images"
    ):
        insist_on_source(bot.app, compose, of(OLD))
