"""One service's image never gets into another service: which of them a tag or digest is meant for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from deploybot.deployments.ref_resolution import Releases
from deploybot.deployments.server_images import ServerImages
from deploybot.deployments.target_inspection import Inspector
from deploybot.domain import Pin, Release
from deploybot.errors import DeploybotError, NoImage, Unreachable, UserError
from deploybot.settings import App, ImageOf
from deploybot.strategies import STRATEGIES
from deploybot.testing import FakeImages
from tests.deployments.test_image_releases import NEW, NEWER, OLD, SIDE, WEB, digests, ran, releases_with
from tests.deployments.test_server_images import WritingInspector, app_of
from tests.kit.bot import BotUnderTest

TWO = {"web": f"{WEB}:web-stable", "worker": f"{WEB}:worker-stable"}
KNOWN = {WEB: {"web-stable": NEW, "worker-stable": OLD, "web-2": NEWER}, SIDE: {"latest": NEW, "1": OLD}}
UNCLEAR = r"different tags, so it is unclear which of them gets the"


class FailingImages(FakeImages):
    """Registries of which some fail, by image."""

    def __init__(self, failing: Mapping[str, DeploybotError], **known: dict[str, str]) -> None:
        super().__init__(**known)
        self.failing = failing

    async def named(self, app: App, name: str) -> tuple[Pin, ...]:
        for one in app.images.values():
            if one.image in self.failing:
                raise self.failing[one.image]
        return await super().named(app, name)


async def named(
    ref: str, written: Mapping[str, str], *, failing: Mapping[str, DeploybotError] | None = None, **images: object
) -> dict[str, str]:
    """Which digest each service gets."""
    inspector = cast("Inspector", WritingInspector(web1=written, web2=written))
    app = app_of(**({"images": images} if images else {})).at("production")
    return {
        pin.service: pin.digest
        for pin in await ServerImages(FailingImages(failing or {}, **KNOWN), inspector).named(app, ref)
    }


async def test_a_digest_goes_to_the_services_whose_own_tag_means_it() -> None:
    assert await named(NEW, TWO) == {"web": NEW}
    assert await named(OLD, TWO) == {"worker": OLD}
    assert await named(NEW, {**TWO, "twin": TWO["web"]}) == {"twin": NEW, "web": NEW}
    exact = {**TWO, "pinned": f"{WEB}@{OLD}", "other": f"{WEB}:web-stable@{NEWER}"}
    assert await named(OLD, exact) == {"pinned": OLD, "worker": OLD}
    assert await named(NEW, exact) == {"web": NEW}, "what names a digest does not follow a tag"


async def test_a_digest_that_no_tag_means_goes_only_to_services_that_are_written_the_same() -> None:
    with pytest.raises(UserError, match=rf"{UNCLEAR} digest sha256:3333333333…: web \(web-stable\), worker") as refused:
        await named(NEWER, TWO)
    assert "apps.web.images" in refused.value.hint
    same = {"web": f"{WEB}:web-stable", "worker": f"{WEB}:web-stable"}
    assert await named(NEWER, same) == {"web": NEWER, "worker": NEWER}
    with pytest.raises(UserError, match=UNCLEAR):
        await named(NEWER, {"web": f"{WEB}@{OLD}", "worker": f"{WEB}@{NEW}"})


async def test_a_tag_goes_to_the_services_that_name_it_or_that_bot_toml_names() -> None:
    assert await named("web-stable", TWO) == {"web": NEW}
    with pytest.raises(UserError, match=rf"{UNCLEAR} tag `web-2`"):
        await named("web-2", TWO)
    assert await named("web-2", TWO, web={"image": WEB, "tag": "web-stable"}) == {"web": NEWER}
    both = {"image": WEB, "tag": "web-stable"}
    assert await named("web-2", TWO, web=both, worker=both) == {"web": NEWER, "worker": NEWER}
    # The digest of another service's tag is not meant for the one that bot.toml names.
    assert await named(OLD, TWO, web=both) == {"worker": OLD}


async def test_a_digest_that_several_repositories_have_is_refused() -> None:
    written = {"web": f"{WEB}:web-2", "side": f"{SIDE}:1"}
    with pytest.raises(UserError, match="Several images of web have the digest sha256:2222222222…"):
        await named(NEW, written)
    assert await named(NEW, {**written, "side": SIDE}) == {"side": NEW}


DOWN = Unreachable("docker.io", "429")


@pytest.mark.parametrize("problem", [DOWN, NoImage("It is not shown.")])
async def test_a_registry_that_fails_matters_only_if_its_answer_could(problem: DeploybotError) -> None:
    written = {"web": f"{WEB}:web-stable", "side": SIDE}
    down = {SIDE: problem}
    assert await named(NEW, written, failing=down) == {"web": NEW}
    assert await named("web-2", written, failing=down, web={"image": WEB, "tag": "x"}) == {"web": NEWER}
    with pytest.raises(Unreachable, match=r"the registry of docker\.io/acme/side") as refused:
        await named("web-2", written, failing=down)
    assert "It may have the tag `web-2`, too" in refused.value.hint
    with pytest.raises(Unreachable, match=r"the registry of docker\.io/acme/side"):
        await named("9.9", written, failing=down, web={"image": WEB, "tag": "x"})
    with pytest.raises(Unreachable, match="the registry of registry"):
        await named("1", written, failing={WEB: problem}, web={"image": WEB, "tag": "x"})


async def test_a_digest_of_one_service_leaves_the_other_in_an_app_with_a_repository(bot: BotUnderTest) -> None:
    for service in ("web", "worker"):
        bot.app.images[service] = ImageOf(image=WEB, tag=f"{service}-stable")
    bot.images = FakeImages(**KNOWN)
    runs = tuple(Pin(service, WEB, f"{service}-stable", OLD) for service in ("web", "worker"))
    await ran(bot, Release.of_commit("1" * 40, images=runs))
    found = await releases_with(bot, bot.images).resolve(bot.app, bot.production, NEW)
    assert digests(found) == {"web": NEW, "worker": OLD}


async def test_what_it_is_meant_for_is_all_that_changes(bot: BotUnderTest) -> None:
    app = bot.app.model_copy(update={"repo": None})
    inspector = cast("Inspector", WritingInspector(web1=TWO, web2=TWO))
    inspects = Inspector(store=bot.store, servers=bot.hosts, refs=bot.refs, strategies=STRATEGIES)
    releases = Releases(bot.store, bot.refs, inspects, ServerImages(FakeImages(**KNOWN), inspector))
    await ran(bot, Release.of_images((Pin("web", WEB, "web-stable", NEWER), Pin("worker", WEB, "worker-stable", OLD))))
    assert digests(await releases.resolve(app, bot.production, NEW)) == {"web": NEW, "worker": OLD}
