"""What the other services keep while one gets another image: the images that run, whoever started them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from deploybot.deployments.kept_images import RunningImages, kept_images
from deploybot.deployments.ref_resolution import Releases
from deploybot.domain import Container, Image, Observed, Pin, Release, ServerFacts
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.settings import App, ImageOf
from deploybot.testing import FakeImages
from tests.deployments.test_image_releases import NEW, NEWER, OLD, SIDE, WEB, releases_with
from tests.kit.bot import BotUnderTest

RELEASE = Release.of_images((Pin("web", WEB, "1.4", OLD), Pin("side", SIDE, "latest", OLD)))


def there(
    bot: BotUnderTest, release: Release | None = None, *, name: str = f"{SIDE}:latest", **digests: tuple[str, ...]
) -> RunningImages:
    """A server with one container for each image of a service."""
    containers = tuple(
        Container(
            id=f"{service}{index}",
            name=service,
            service=service,
            image=name if service == "side" else f"{WEB}:1.4",
            state="running",
            image_id=one,
        )
        for service, ones in digests.items()
        for index, one in enumerate(ones)
    )
    images = tuple(
        Image(id=one.image_id, digests=(f"{one.image.partition(':')[0]}@{one.image_id}",)) for one in containers
    )
    observed = Observed(facts=ServerFacts(home="/"), containers=containers, images=images)
    site = Site(app=bot.app, environment=bot.production, facts=observed.facts, observed=observed)
    return RunningImages(site, release)


def kept(bot: BotUnderTest, sites: Mapping[str, RunningImages]) -> dict[str, str]:
    found = kept_images(bot.app, bot.production, sites, replaced={"web"}, services={"web", "side"})
    return {service: pin.digest for service, pin in found.items()}


def test_what_a_person_started_is_kept_as_it_runs(bot: BotUnderTest) -> None:
    by_hand = there(bot, web=(NEW,), side=(OLD,), gone=(NEWER,))
    assert kept(bot, {"web1": by_hand}) == {"side": OLD}
    found = kept_images(bot.app, bot.production, {"web1": by_hand}, replaced={"web"}, services=None)
    assert (found["side"], [*found]) == (Pin("side", SIDE, "latest", OLD), ["gone", "side"])
    assert kept(bot, {"web1": there(bot)}) == {}


def test_a_release_counts_as_recorded_and_what_it_lacks_as_it_runs(bot: BotUnderTest) -> None:
    assert kept(bot, {"web1": there(bot, RELEASE, side=(NEWER,))}) == {"side": OLD}
    assert kept(bot, {"web1": there(bot, Release.by_id("1" * 40), side=(NEWER,))}) == {"side": NEWER}


def test_servers_that_run_different_images_are_refused(bot: BotUnderTest) -> None:
    one = there(bot, RELEASE, web=(OLD,), side=(OLD,))
    with pytest.raises(UserError, match=r"run different images of side \(web1 .* web2 .*") as refused:
        kept(bot, {"web1": one, "web2": there(bot, web=(NEW,), side=(NEWER,))})
    assert "deploy shop to production" in refused.value.hint
    assert kept(bot, {"web1": one, "web2": there(bot, web=(NEW,), side=(OLD,)), "web3": there(bot)}) == {"side": OLD}


def test_an_image_with_several_digests_is_the_same_if_servers_share_one(bot: BotUnderTest) -> None:
    one = there(bot, side=(OLD,))
    assert one.site.observed is not None
    images = (Image(id=OLD, digests=(f"{SIDE}@{NEW}", f"{SIDE}@{OLD}", f"acme/other@{OLD}")),)
    several = RunningImages(replace(one.site, observed=replace(one.site.observed, images=images)), None)
    assert kept(bot, {"web1": several, "web2": one}) == {"side": OLD}


def test_an_image_that_no_registry_has_is_refused(bot: BotUnderTest) -> None:
    one = there(bot, side=(OLD,))
    assert one.site.observed is not None
    for images in ((), (Image(id=OLD),)):
        built = RunningImages(replace(one.site, observed=replace(one.site.observed, images=images)), None)
        with pytest.raises(UserError, match="side of shop/production runs an image on web1 that no registry"):
            kept(bot, {"web1": built})
    with pytest.raises(UserError, match="The containers of side of shop/production run different images on web1"):
        kept(bot, {"web1": there(bot, side=(OLD, NEW))})


def test_an_image_by_another_name_is_kept_by_the_name_of_its_registry(bot: BotUnderTest) -> None:
    one = there(bot, name="deploybot/shop/side:1", side=(OLD,))
    assert one.site.observed is not None
    images = (Image(id=OLD, digests=(f"{WEB}@{NEW}",)),)
    renamed = {"web1": RunningImages(replace(one.site, observed=replace(one.site.observed, images=images)), None)}
    found = kept_images(bot.app, bot.production, renamed, replaced={"web"}, services={"side"})
    assert found == {"side": Pin("side", WEB, "", NEW)}


@pytest.fixture
def app(bot: BotUnderTest) -> App:
    images = {"web": ImageOf(image=WEB, tag="1.4"), "side": ImageOf(image=SIDE)}
    return bot.app.model_copy(update={"repo": None, "images": images})


async def resolved(
    bot: BotUnderTest, app: App, monkeypatch: pytest.MonkeyPatch, **sites: RunningImages
) -> dict[str, str]:
    known: Releases = releases_with(bot, FakeImages(**{WEB: {"1.4": OLD, "1.5": NEW}, SIDE: {"latest": NEWER}}))

    async def images_there(*_: object) -> dict[str, RunningImages]:
        return sites

    monkeypatch.setattr(known._inspector, "images_there", images_there)
    return {pin.service: pin.digest for pin in (await known.resolve(app, bot.production, "1.5")).images}


async def test_a_tag_of_one_service_moves_no_other(
    bot: BotUnderTest, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand = there(bot, web=(NEWER,), side=(OLD,))
    assert await resolved(bot, app, monkeypatch, web1=by_hand) == {"web": NEW, "side": OLD}
    assert await resolved(bot, app, monkeypatch, web1=there(bot)) == {"web": NEW, "side": NEWER}
    moved = there(bot, web=(NEWER,), side=(NEWER,))
    with pytest.raises(UserError, match="run different images of side"):
        await resolved(bot, app, monkeypatch, web1=there(bot, RELEASE, web=(OLD,), side=(OLD,)), web2=moved)
