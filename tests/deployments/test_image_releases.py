"""Refs that mean images, and the past they are looked up in, on rows of a database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.deployments.past_releases import LOOK_BACK
from deploybot.deployments.ref_resolution import Releases
from deploybot.deployments.target_inspection import Inspector
from deploybot.domain import (
    ArtifactSource,
    Changes,
    ImagesSource,
    Kind,
    Origin,
    Pin,
    Plan,
    RefRule,
    Release,
    Running,
    State,
)
from deploybot.errors import NoImage, Unreachable, UserError
from deploybot.ports import Tables
from deploybot.settings import App, ImageOf
from deploybot.strategies import STRATEGIES
from deploybot.strategies.accepted_sources import insist_on_pins
from deploybot.testing import FakeImages
from tests.kit.bot import V1, V2, V3, BotUnderTest

WEB, SIDE, THIRD = "registry.example.com/acme/shop", "acme/side", "acme/third"
OLD, NEW, NEWER = (f"sha256:{digit * 64}" for digit in "123")


@pytest.fixture
def app(bot: BotUnderTest) -> App:
    """The shop with two images; of `side` there is `latest` alone."""
    bot.images = FakeImages(**{WEB: {"1.4": OLD, "1.5": NEW}, SIDE: {"latest": OLD}})
    bot.app.images["web"] = ImageOf(image=WEB, tag="1.4")
    bot.app.images["side"] = ImageOf(image=SIDE)
    return bot.app


def releases(bot: BotUnderTest) -> Releases:
    return releases_with(bot, bot.images)


def releases_with(bot: BotUnderTest, images: FakeImages | None) -> Releases:
    inspector = Inspector(store=bot.store, servers=bot.hosts, refs=bot.refs, strategies=STRATEGIES)
    return Releases(bot.store, bot.refs, inspector, images)


def of(release: Release, **digests: str) -> Release:
    """A release with images."""
    names = {"web": WEB, "side": SIDE, "gone": "acme/gone"}
    pins = (Pin(service, names[service], "", digest) for service, digest in sorted(digests.items()))
    return release.with_images(tuple(pins))


async def ran(
    bot: BotUnderTest,
    *history: Release,
    kind: Kind = Kind.DEPLOY,
    state: State = State.SUCCEEDED,
    to: str = "production",
) -> None:
    """These releases were deployed, one after the other, and the last one runs."""

    def keep(tables: Tables) -> None:
        for release in history:
            plan = Plan(kind=kind, app="shop", environment=to, release=release, servers=())
            made = tables.deployments.add(plan, requester=bot.person, reason="", channel=None, now=1.0)
            tables.deployments.move(made.number, State.RUNNING, now=1.0)
            tables.deployments.move(made.number, state, now=2.0)
            tables.running.put(Running("shop", to, "web1", release, made.number, 2.0, healthy=True))

    await bot.store.write(keep)
    web1 = bot.hosts["web1"]
    web1.server_facts = replace(web1.server_facts, current=history[-1].id)


def digests(release: Release) -> dict[str, str]:
    return {pin.service: pin.digest for pin in release.images}


async def test_one_image_is_exchanged_and_the_rest_stays_in_order(bot: BotUnderTest, app: App) -> None:
    await ran(bot, of(V2, web=OLD, side=NEWER))
    found = await releases(bot).resolve(app, bot.production, NEW)
    assert [(pin.service, pin.digest) for pin in found.images] == [("side", NEWER), ("web", NEW)]
    assert (found.code, found.has_unknown_images) == (V2.code, False)


async def test_a_release_that_was_only_found_there_becomes_one_of_known_images(bot: BotUnderTest, app: App) -> None:
    await ran(bot, Release.by_id(f"{V1.code}-{'f' * 12}"))
    found = await releases(bot).resolve(app, bot.production, NEW)
    assert (found.code, digests(found)) == (V1.code, {"web": NEW, "side": OLD})
    assert found == Release.of_commit(V1.id, images=found.images)


async def test_an_image_that_bot_toml_does_not_name_any_more_is_left_out(bot: BotUnderTest, app: App) -> None:
    await ran(bot, of(V2, web=OLD, side=OLD, gone=OLD))
    assert digests(await releases(bot).resolve(app, bot.production, NEW)) == {"web": NEW, "side": OLD}


async def test_a_registry_is_asked_only_for_images_that_are_missing(bot: BotUnderTest, app: App) -> None:
    bot.images.known[SIDE] = {"latest": NEWER}
    await ran(bot, of(V2, web=OLD))
    assert digests(await releases(bot).resolve(app, bot.production, NEW)) == {"web": NEW, "side": NEWER}
    await ran(bot, of(V2, web=OLD, side=OLD))
    bot.images.known[SIDE] = {}
    assert digests(await releases(bot).resolve(app, bot.production, NEW)) == {"web": NEW, "side": OLD}


async def test_where_nothing_runs_an_image_comes_with_the_newest_commit(bot: BotUnderTest, app: App) -> None:
    found = await releases(bot).resolve(app, bot.production, NEW)
    assert (found.code, digests(found)) == (V1.code, {"web": NEW, "side": OLD})


async def test_an_image_comes_in_the_place_of_the_one_before(bot: BotUnderTest, app: App) -> None:
    pins = tuple(Pin(service, "acme", "", OLD) for service in ("web", "side"))
    await ran(bot, Release.of_commit(V2.id, images=pins))
    found = await releases(bot).resolve(app, bot.production, NEW)
    assert [pin.service for pin in found.images] == ["side", "web"]


async def test_a_tag_that_only_an_image_has_means_that_image(bot: BotUnderTest, app: App) -> None:
    await ran(bot, of(V2, web=OLD, side=OLD))
    found = await releases(bot).resolve(app, bot.production, "1.5")
    assert (found.code, digests(found)) == (V2.code, {"web": NEW, "side": OLD})
    with pytest.raises(UserError, match=r"^1\.5 needs an environment\.$"):
        await releases(bot).resolve(app, None, "1.5")


async def test_a_repository_that_does_not_answer_is_said_where_nothing_runs(bot: BotUnderTest, app: App) -> None:
    bot.refs.down = "it is being moved"
    with pytest.raises(Unreachable, match="the repository of shop"):
        await releases(bot).resolve(app, bot.production, NEW)


async def test_an_image_needs_an_environment_to_look_at(bot: BotUnderTest, app: App) -> None:
    with pytest.raises(UserError, match=r"^:current needs an environment\.$"):
        await releases(bot).resolve(app, None, ":current")
    with pytest.raises(UserError) as caught:
        await releases(bot).resolve(app, None, NEW)
    assert caught.value.sentence == f"{NEW} needs an environment."
    assert caught.value.hint == f"Write where: shop@{NEW} to …"


async def test_a_digest_that_no_image_has_names_where_it_was_looked_for(bot: BotUnderTest, app: App) -> None:
    app.images["third"] = ImageOf(image=THIRD)
    with pytest.raises(UserError) as caught:
        await releases(bot).resolve(app, bot.production, f"sha256:{'9' * 64}")
    assert caught.value.sentence == "No image of shop has the digest sha256:9999999999…."
    assert caught.value.hint == f"Searched: {SIDE}, {THIRD}, {WEB}."


@pytest.mark.parametrize("images", [None, FakeImages()])
async def test_a_digest_means_nothing_without_images(bot: BotUnderTest, app: App, images: FakeImages | None) -> None:
    if images is not None:
        app.images.clear()
    with pytest.raises(UserError) as caught:
        await releases_with(bot, images).resolve(app, bot.production, NEW)
    assert caught.value.sentence == "shop has no images, so a digest cannot be found."
    assert caught.value.hint == "Add some under apps.shop.images."


async def test_a_registry_that_does_not_answer_is_said_as_it_is(bot: BotUnderTest, app: App) -> None:
    bot.images.down = "it is being moved"
    with pytest.raises(Unreachable, match="it is being moved"):
        await releases(bot).resolve(app, bot.production, NEW)
    with pytest.raises(UserError) as caught:
        await releases(bot).resolve(app, bot.production, "1.5")
    assert caught.value.sentence == "shop has no ref `1.5`"
    assert caught.value.hint.startswith("Near: none It may be an image tag; that could not be checked: ")


async def test_a_tag_that_neither_has_is_the_repositorys_answer(bot: BotUnderTest, app: App) -> None:
    with pytest.raises(UserError, match=r"^shop has no ref `9\.9`$"):
        await releases(bot).resolve(app, bot.production, "9.9")
    app.images["web"] = ImageOf(image=WEB, tag="8.0")
    with pytest.raises(NoImage):
        await releases(bot).resolve(app, bot.production, "v2")


async def test_no_ref_at_all_is_the_repositorys_answer_whatever_images_there_are(bot: BotUnderTest, app: App) -> None:
    bot.refs.known.clear()
    with pytest.raises(UserError, match=r"^shop has no ref ``$"):
        await releases(bot).resolve(app, bot.production, "")
    bot.images.down = "it is being moved"
    with pytest.raises(UserError) as caught:
        await releases(bot).resolve(app, bot.production, "")
    assert caught.value.hint == "Near: none"
    app.images.clear()
    with pytest.raises(UserError, match=r"^shop has no ref `1\.5`$"):
        await releases(bot).resolve(app, bot.production, "1.5")


async def test_without_images_or_without_registries_a_release_is_its_commit(bot: BotUnderTest, app: App) -> None:
    assert (await releases_with(bot, None).resolve(app, None, "v2")).images == ()
    app.images.clear()
    bot.images.known.clear()
    assert (await releases(bot).resolve(app, None, "v2")).images == ()
    await ran(bot, of(V2, web=OLD))
    assert (await releases(bot).resolve(app, bot.production, "v2", back=True)).images == ()


async def test_changes_are_those_between_two_commits(bot: BotUnderTest) -> None:
    between = Changes(known=False)
    bot.refs.between[V1.id, V2.id] = between
    assert await releases(bot).changes(bot.app, V1, V2) is between
    bot.refs.down = "it is being moved"
    assert await releases(bot).changes(bot.app, of(V1, web=OLD), of(V1, web=NEW)) == Changes()
    with pytest.raises(Unreachable, match="the repository of shop"):
        await releases(bot).changes(bot.app, V1, V2)


async def test_a_word_with_a_colon_that_is_no_ref_names_those_that_are(bot: BotUnderTest) -> None:
    with pytest.raises(UserError) as caught:
        await releases(bot).resolve(bot.app, bot.production, ":next")
    assert caught.value.sentence == ":next is not a ref."
    assert caught.value.hint == "Only :current and :previous start with a colon."


async def test_going_back_takes_the_images_it_ran_with_last_in_that_environment(bot: BotUnderTest, app: App) -> None:
    await ran(bot, of(V1, web=NEW, side=NEW), of(V1, web=NEWER, side=NEW))
    await ran(bot, of(V2, web=OLD))
    await ran(bot, of(V1, web=OLD, side=NEWER), to="staging")
    back = await releases(bot).resolve(app, bot.production, "v1", back=True)
    assert digests(back) == {"web": NEWER, "side": NEW}
    assert digests(await releases(bot).resolve(app, bot.production, "v1")) == {"web": OLD, "side": OLD}
    assert digests(await releases(bot).resolve(app, None, "v1", back=True)) == {"web": OLD, "side": OLD}
    never = await releases(bot).resolve(app, bot.production, "v3", back=True)
    assert (never.code, digests(never)) == (V3.code, {"web": OLD, "side": OLD})


async def test_the_past_reaches_back_over_all_that_did_not_change_what_runs(bot: BotUnderTest) -> None:
    await ran(bot, V1, V2)
    await ran(bot, *[V3] * 25, state=State.FAILED)
    await ran(bot, *[V2] * 5, kind=Kind.RESTART)
    await ran(bot, V3, to="staging")
    known = releases(bot)
    assert await known.last_good(bot.app, bot.production, before=V2) == V1
    assert await known.last_good(bot.app, bot.production, before=None) == V2
    back = await known.resolve(bot.app, bot.production, "v1", back=True)
    assert back.code == V1.code


@pytest.mark.parametrize(
    ("kind", "state"), [(Kind.TASK, State.SUCCEEDED), (Kind.RESTART, State.SUCCEEDED), (Kind.DEPLOY, State.CANCELLED)]
)
async def test_tasks_restarts_and_what_was_never_deployed_do_not_hide_the_past(
    bot: BotUnderTest, app: App, kind: Kind, state: State
) -> None:
    await ran(bot, of(V1, web=NEWER, side=NEWER), of(V2, web=OLD, side=OLD))
    await ran(bot, *[of(V2, web=OLD, side=OLD)] * LOOK_BACK, kind=kind, state=state)
    previous = await releases(bot).resolve(app, bot.production, ":previous")
    assert previous == of(V1, web=NEWER, side=NEWER)
    assert await releases(bot).resolve(app, bot.production, "v1", back=True) == previous


async def test_what_was_rolled_back_from_keeps_its_images(bot: BotUnderTest, app: App) -> None:
    """v3 was bad, v1 was too far back: v2 comes with the images that it ran with, whatever its tags mean now."""
    second = of(V2, web=NEWER, side=NEW)
    await ran(bot, of(V1, web=OLD, side=OLD), second, of(V3, web=NEW, side=NEW))
    await ran(bot, of(V1, web=OLD, side=OLD), kind=Kind.ROLLBACK)
    assert digests(await releases(bot).resolve(app, bot.production, "v2")) == {"web": OLD, "side": OLD}
    assert await releases(bot).resolve(app, bot.production, "v2", back=True) == second


async def test_old_images_are_found_behind_many_failures(bot: BotUnderTest, app: App) -> None:
    await ran(bot, of(V1, web=NEWER, side=NEWER))
    await ran(bot, *[of(V2, web=OLD)] * 25, state=State.FAILED)
    assert digests(await releases(bot).resolve(app, bot.production, "v1", back=True)) == {"web": NEWER, "side": NEWER}


async def test_what_runs_is_what_the_first_server_that_runs_a_release_says(bot: BotUnderTest) -> None:
    await ran(bot, V1, V2)
    web1, web2 = bot.hosts["web1"], bot.hosts["web2"]
    web2.server_facts = replace(web2.server_facts, current=V2.id)
    assert await releases(bot).current(bot.app, bot.production) == V2
    web1.server_facts = replace(web1.server_facts, current=V1.id)
    assert await releases(bot).current(bot.app, bot.production) == V1
    web1.down = "it is off"
    assert await releases(bot).current(bot.app, bot.production) == V2
    web2.down = "it is off, too"
    with pytest.raises(Unreachable, match="it is off"):
        await releases(bot).current(bot.app, bot.production)


IMAGES_ALONE = Release(ImagesSource((Pin("web", WEB, "1.4", OLD),)), "1.4")
FILE = Release(ArtifactSource("a" * 64))


async def test_an_image_is_exchanged_where_no_commit_is(bot: BotUnderTest, app: App) -> None:
    del app.images["side"]
    await ran(bot, IMAGES_ALONE)
    found = await releases(bot).resolve(app, bot.production, NEW)
    assert (found.code, digests(found), found.ref) == (None, {"web": NEW}, "")
    assert found.id == Release(ImagesSource((Pin("web", "", "", NEW),))).id


async def test_what_differs_without_a_commit_is_unknown(bot: BotUnderTest) -> None:
    known = releases(bot)
    other = Release(ArtifactSource("b" * 64))
    for old, new in ((V1, FILE), (FILE, V1), (FILE, other), (IMAGES_ALONE, FILE), (IMAGES_ALONE, of(V1, web=OLD))):
        assert await known.changes(bot.app, old, new) == Changes(known=False)
    assert await known.changes(bot.app, FILE, replace(FILE, ref="again")) == Changes()


@pytest.mark.parametrize("release", [IMAGES_ALONE, FILE])
async def test_no_ref_and_no_signature_allow_what_has_no_commit(bot: BotUnderTest, release: Release) -> None:
    known = releases(bot)
    assert await known.origin(bot.app, bot.production, release) is None
    limited = bot.production.model_copy(update={"refs": (RefRule(branch="*", tag="*"),), "signed": True})
    found = await known.origin(bot.app, limited, release, before="branch main")
    assert found is not None
    assert (found.ref, found.signature, found.ran) == ("", "", False)
    assert found.parts == (("ref", "nothing that refs allow"), ("signature", "none that counts"))
    assert bot.refs.asked == 0
    # Only what has run well there itself may come back.
    await ran(bot, release)
    assert await known.origin(bot.app, limited, release, back=True) == Origin(ran=True)
    other = Release(ArtifactSource("c" * 64))
    assert await known.origin(bot.app, limited, other, back=True) != Origin(ran=True)


async def test_a_release_without_an_image_that_the_environment_pins_is_not_deployed_there(
    bot: BotUnderTest, app: App
) -> None:
    """It was made for an environment that pins fewer: the image of `side` would be one without an approval."""
    insist_on_pins(app, bot.production, of(V1, web=OLD, side=OLD))
    insist_on_pins(app, bot.production, V1)
    with pytest.raises(UserError, match="has no image for side, which shop/production pins"):
        insist_on_pins(app, bot.production, of(V1, web=OLD))
    with pytest.raises(UserError, match="has no image for side, which shop/production pins"):
        await bot.request(of(V1, web=OLD))
