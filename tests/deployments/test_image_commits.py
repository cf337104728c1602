"""The commits that labels of images name, and where they may lead: whoever built an image wrote them."""

from __future__ import annotations

import pytest

from deploybot.deployments.compare_links import image_compare_url
from deploybot.deployments.ref_resolution import Releases
from deploybot.deployments.target_inspection import Inspector
from deploybot.domain import ImageCommits, ImageOrigin, Pin, Release
from deploybot.strategies import STRATEGIES
from deploybot.testing import FakeImages
from tests.kit.bot import BotUnderTest

OLD, NEW = "a" * 40, "b" * 40
SOURCE = "https://github.com/acme/web"
REVISION, ADDRESS = "org.opencontainers.image.revision", "org.opencontainers.image.source"


def release(digit: str) -> Release:
    return Release.of_images(
        (Pin("web", "acme/web", "1", f"sha256:{digit * 64}"), Pin("side", "acme/side", "1", f"sha256:{'f' * 64}"))
    )


@pytest.mark.parametrize(
    ("labels", "origin"),
    [
        ({REVISION: OLD, ADDRESS: SOURCE}, ImageOrigin(OLD, SOURCE)),
        ({REVISION: "b" * 64}, ImageOrigin("b" * 64, "")),
        ({REVISION: OLD[:10], ADDRESS: "http://github.com/acme/web"}, ImageOrigin()),
        ({REVISION: f"{OLD}\n", ADDRESS: "https://github.com/acme/web\n"}, ImageOrigin()),
        ({REVISION: 7, ADDRESS: ["x"]}, ImageOrigin()),
        ({ADDRESS: "https://user@github.com/acme/web"}, ImageOrigin()),
        ({ADDRESS: "https://github.com/acme/web?x=<b>"}, ImageOrigin()),
        ("text", ImageOrigin()),
        (None, ImageOrigin()),
    ],
)
def test_only_full_commits_and_plain_addresses_are_read(labels: object, origin: ImageOrigin) -> None:
    assert ImageOrigin.of_labels(labels) == origin


@pytest.mark.parametrize(
    ("source", "forges", "url"),
    [
        (SOURCE, (), f"{SOURCE}/compare/{OLD}...{NEW}"),
        ("https://gitlab.com/acme/web", (), f"https://gitlab.com/acme/web/-/compare/{OLD}...{NEW}"),
        ("https://gitlab.evil.example/acme/web", (), ""),
        ("https://gitlab.acme.example/a/b", ("gitlab.acme.example",), "https://gitlab.acme.example/a/b/-/compare/"),
        ("", (), ""),
    ],
)
def test_labels_lead_only_to_hosts_that_are_trusted(source: str, forges: tuple[str, ...], url: str) -> None:
    found = image_compare_url(source, OLD, NEW, forges)
    assert found.startswith(url)
    assert bool(found) == bool(url)


def releases(bot: BotUnderTest, images: FakeImages | None) -> Releases:
    inspector = Inspector(store=bot.store, servers=bot.hosts, refs=bot.refs, strategies=STRATEGIES)
    return Releases(bot.store, bot.refs, inspector, images)


@pytest.mark.parametrize(
    ("new", "url"), [(SOURCE, f"{SOURCE}/compare/{OLD}...{NEW}"), ("https://github.com/other/web", "")]
)
async def test_releases_of_images_are_compared_by_their_labels(bot: BotUnderTest, new: str, url: str) -> None:
    images = FakeImages()
    images.built_from = {
        release("1").images[1].digest: ImageOrigin(OLD, SOURCE),
        release("2").images[1].digest: ImageOrigin(NEW, new),
    }
    changes = await releases(bot, images).changes(bot.app, release("1"), release("2"))
    assert (changes.known, changes.images) == (False, (ImageCommits("web", OLD, NEW, url),))


async def test_without_labels_or_without_an_answer_there_are_none(bot: BotUnderTest) -> None:
    images = FakeImages()
    assert (await releases(bot, images).changes(bot.app, release("1"), release("2"))).images == ()
    images.down = "no route"
    assert (await releases(bot, images).changes(bot.app, release("1"), release("2"))).images == ()
    assert (await releases(bot, None).changes(bot.app, release("1"), release("2"))).images == ()
