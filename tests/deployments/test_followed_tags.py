"""Which of the newest tags do not count for an environment, from registries and a repository in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from deploybot.autodeploy.newest_tag import newest_tag
from deploybot.deployments.followed_tags import FollowedTags
from deploybot.domain import IgnoredTags
from deploybot.domain.ignored_tags import ignored_refs, unpublished
from deploybot.domain.image_tags import TagPattern, TagRule, ignored
from deploybot.domain.ref_globs import fits
from deploybot.settings import App, Auto, Environment, ImageOf
from deploybot.testing import FakeImages
from tests.kit.bot import BotUnderTest

WEB, SIDE = "registry.example.com/acme/shop", "acme/side"
BUILDS = TagPattern(r"build-(\d+)")
DIGEST = f"sha256:{'1' * 64}"


class QuietImages(FakeImages):
    """Registries of which one never answers."""

    async def unfit(self, app: App) -> dict[str, Sequence[tuple[str, str]]]:
        if any(of.image == SIDE for of in app.images.values()):
            await asyncio.Event().wait()
        return dict(await super().unfit(app))


def images_of(**tags: str) -> FakeImages:
    return FakeImages(**{image: dict.fromkeys(names.split(), DIGEST) for image, names in tags.items()})


def following(bot: BotUnderTest, **auto: object) -> Environment:
    return bot.app.environments["production"].model_copy(update={"auto": Auto.model_validate(auto) if auto else None})


def asking(bot: BotUnderTest, images: FakeImages | None, within: float = 10.0) -> FollowedTags:
    return FollowedTags(bot.store, bot.refs, images, within)


@pytest.mark.parametrize(
    ("wanted", "tags", "found"),
    [
        ("^1.4", "1.3.0 1.4.2 2.0.0 latest", {"2.0.0": "it is not in `^1.4`"}),
        (
            "^1.4",
            "1.4.2 1.5.0-rc.1 1.4.0-rc.1",
            {"1.5.0-rc.1": "`-rc.1` makes it a pre-release, and `^1.4` does not include pre-releases of that version"},
        ),
        ("^1.4", "2.0.0 0.9.0", {"2.0.0": "it is not in `^1.4`", "0.9.0": "it is not in `^1.4`"}),
        (
            "^1.4",
            "1.4.2 2026.02.0 1.4.3.1",
            {
                "2026.02.0": "a number in it begins with 0, which versions do not allow",
                "1.4.3.1": "it has 4 numbers, and a version has 3",
            },
        ),
        (BUILDS, "build-9 build-10 1.4.2 sha-abc1234", {"1.4.2": r"it does not match `build-(\d+)`"}),
    ],
)
def test_the_tags_of_an_image_that_are_newer_than_the_range_or_of_another_form(
    wanted: str | TagPattern, tags: str, found: dict[str, str]
) -> None:
    rule = TagRule.of(wanted)
    assert rule is not None
    assert dict(ignored(rule, tags.split())) == found
    assert list(found) == [tag for tag, _ in ignored(rule, tags.split())]


@pytest.mark.parametrize(
    ("glob", "tags", "found"),
    [
        ("v*", "v1.4 nightly v1.3", {"nightly": "it does not match `v*`"}),
        ("v*", "v2.0-rc.1 v1.4", {"v2.0-rc.1": "it is a pre-release, and `v*` has no `-`"}),
        ("v*-*", "v2.0-rc.1 v1.4", {"v1.4": "it does not match `v*-*`"}),
        ("v*", "vnext v1.4", {"vnext": "it is not a version, but other tags are"}),
        ("v*", "vnext vlast", {}),
        ("release/*", "release/1 release/a/b", {"release/a/b": "it does not match `release/*`"}),
    ],
)
def test_the_tags_of_a_repository(glob: str, tags: str, found: dict[str, str]) -> None:
    names = tags.split()
    assert dict(ignored_refs(glob, names)) == found
    counting = [name for name in names if name not in found]
    fitting = {name: name for name in names if fits(glob, name)}
    assert newest_tag(fitting, dict.fromkeys(names, 1.0), early="-" in glob) in counting


def test_tags_without_a_published_release() -> None:
    assert unpublished(["v2", "v1"], ("v1",)) == [("v2", "no webhook reported its release")]


async def test_each_service_and_rule_is_asked(bot: BotUnderTest) -> None:
    bot.app.images["web"] = ImageOf(image=WEB, tag="^1.4")
    bot.app.images["side"] = ImageOf(image=SIDE, tag=BUILDS)
    bot.app.images["fixed"] = ImageOf(image="acme/fixed", tag="1.0.0")
    bot.refs.tags.clear()
    bot.refs.tags.update({"nightly": "1" * 40, "v1.4": "2" * 40})
    await bot.store.write(lambda tables: tables.triggers.publish("shop", "v1.4", 1.0))
    images = images_of(**{WEB: "1.4.2 2.0.0", SIDE: "build-1 7.0.0"})
    assert await asking(bot, images).ignored(bot.app, following(bot, tag="v*", release=True)) == (
        IgnoredTags("side", (("7.0.0", r"it does not match `build-(\d+)`"),)),
        IgnoredTags("web", (("2.0.0", "it is not in `^1.4`"),)),
        IgnoredTags("auto.tag", (("nightly", "it does not match `v*`"),)),
        IgnoredTags("auto.release", (("nightly", "no webhook reported its release"),)),
    )


async def test_what_follows_no_tags_asks_nothing(bot: BotUnderTest) -> None:
    bot.app.images["web"] = ImageOf(image=WEB, tag="latest")
    asked = bot.refs.calls["shop"]
    for environment in (following(bot), following(bot, branch="main")):
        assert await asking(bot, FakeImages()).ignored(bot.app, environment) == ()
    assert bot.refs.calls["shop"] == asked


async def test_a_source_that_does_not_answer_hides_no_other(bot: BotUnderTest) -> None:
    bot.app.images["web"] = ImageOf(image=WEB, tag="^1.4")
    bot.app.images["side"] = ImageOf(image=SIDE, tag="^1")
    bot.refs.down = "no route to host"
    known = images_of(**{WEB: "1.4.2 2.0.0"}).known
    found = await asking(bot, QuietImages(**known), within=0.05).ignored(bot.app, following(bot, tag="v*"))
    assert [one.problem for one in found] == [
        "no answer within 0 s",
        "",
        "the repository of shop cannot be reached: no route to host",
    ]
    assert found[1].tags == (("2.0.0", "it is not in `^1.4`"),)


async def test_an_app_without_registries(bot: BotUnderTest) -> None:
    bot.app.images["web"] = ImageOf(image=WEB, tag="^1.4")
    assert await asking(bot, None).ignored(bot.app, following(bot)) == ()
