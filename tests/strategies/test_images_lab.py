"""Images from a real registry on a real Docker Engine: exactly the digest, and back without a registry."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploybot.domain import Pin, Release, State
from deploybot.errors import UserError
from tests.lab import Engine, Registry, Repo
from tests.strategies.compose_shop import (
    FIVE,
    ONE,
    ComposeInstall,
    ComposeShop,
    MakeShop,
    flavour,
    image_of,
    labels,
    make_shop,
    our_images,
    page,
    push,
    trusted,
    with_compose,
)

__all__ = ["flavour", "make_shop", "trusted"]

PULLED = 'services:\n  web:\n    image: {}\n    ports: ["8000:8000"]\n    # {}\n'
BUILT = """
services:
  web:
    build: web
    ports: ["8000:8000"]
  side:
    build: .
    command: ["sh", "-c", 'trap "exit 0" TERM; sleep 100000 & wait']
"""


@pytest.fixture
def repo(make_repo: Callable[..., Repo]) -> Repo:
    """A repository whose Compose file would build the service that has an image, and cannot, and builds another one."""
    repo = make_repo("shop")
    repo.commit({"compose.yaml": BUILT, "Dockerfile": "FROM lab/busybox\n", "web/Dockerfile": "FROM lab/nothing\n"})
    return repo


@pytest.mark.timeout(300)
async def test_cycle_from_images(
    make_shop: MakeShop, engine: Engine, trusted: Registry, repo: Repo, flavour: ComposeInstall
) -> None:
    shop = await make_shop(repo, flavour, keep=1, compose={"source": "images"})
    for text in ("one", "two"):
        digest = push(engine, trusted, text)
        repo.commit({"compose.yaml": PULLED.format(trusted.name("shop"), text)})
        repo.tag(text)
        await shop.good(text)
        assert page(engine) == text
        assert labels(engine, "web")["deploybot.image"] == digest
    # The tag has moved, and the registry is gone even: back to the first release by what was recorded.
    trusted.stop()
    await shop.good("one", rollback=True)
    assert page(engine) == "one"
    trusted.start()
    # The same commit again takes what the tag means now.
    push(engine, trusted, "three")
    await shop.good("one")
    assert page(engine) == "three"


@pytest.mark.timeout(300)
async def test_a_pruned_image_is_pulled_by_its_digest_or_never(
    make_shop: MakeShop, engine: Engine, trusted: Registry, repo: Repo
) -> None:
    shop = await make_shop(repo, compose={"source": "images"})
    images = []
    for text in ("one", "two"):
        push(engine, trusted, text)
        repo.commit({"compose.yaml": PULLED.format(trusted.name("shop"), text)})
        repo.tag(text)
        await shop.good(text)
        images.append(image_of(engine, "web"))
    _forget(engine, images[0])
    await shop.good("one", rollback=True)
    assert (page(engine), image_of(engine, "web")) == ("one", images[0])
    # Neither here nor there: the rollback fails before anything is touched, and what runs goes on.
    _forget(engine, images[1])
    trusted.stop()
    try:
        ended = await shop.deploy("two", rollback=True)
    finally:
        trusted.start()
    assert ended.state is State.FAILED
    assert "The images of web that this release ran cannot be found or pulled now" in "\n".join(ended.tail)
    assert (page(engine), image_of(engine, "web")) == ("one", images[0])


def _forget(engine: Engine, image: str) -> None:
    """Delete an image with all its names, as `docker image prune -af` does."""
    engine.docker("image", "rm", "--force", image)
    assert image not in our_images(engine)


async def test_an_image_that_cannot_be_pulled(make_shop: MakeShop, trusted: Registry, repo: Repo) -> None:
    repo.commit({"compose.yaml": f"services:\n  web:\n    image: {trusted.name('nothing')}\n"})
    shop = await make_shop(repo, compose={"source": "images"})
    ended = await shop.deploy("main")
    assert ended.state is State.FAILED
    assert "nothing" in "\n".join(ended.tail)
    assert {row.name for row in await shop.steps(ended)} == {"fetch", "build"}
    repo.commit({"compose.yaml": "services:\n  web:\n    build: .\n"})
    with pytest.raises(UserError, match="Service web has no image to pull"):
        await shop.deploy("main")


async def pinned(shop: ComposeShop, *images: Pin) -> Release:
    """The newest commit with these images."""
    return (await shop.release("main")).with_images(images)


def pin(engine: Engine, registry: Registry, text: str) -> Pin:
    """An image that serves `text`, in the registry and not on the engine."""
    repository, _, digest = push(engine, registry, text).partition("@")
    return Pin("web", repository, "latest", digest)


@pytest.mark.timeout(300)
@with_compose(ONE, FIVE)
async def test_one_commit_with_several_images(
    make_shop: MakeShop, engine: Engine, trusted: Registry, repo: Repo, flavour: ComposeInstall
) -> None:
    shop = await make_shop(repo, flavour, keep=1)
    old, new = pin(engine, trusted, "pinned 1.4.2"), pin(engine, trusted, "pinned 1.4.3")
    first, second = await pinned(shop, old), await pinned(shop, new)
    side = ""
    for release, image, text in ((first, old, "pinned 1.4.2"), (second, new, "pinned 1.4.3")):
        await shop.good(release)
        assert (page(engine), labels(engine, "web")["deploybot.image"]) == (text, image.reference)
        assert side in {"", image_of(engine, "side")}
        side = image_of(engine, "side")
        assert (await shop.facts()).current == release.id
    assert first.id != second.id
    # The registry is gone: back, and there again, by what is on the server.
    trusted.stop()
    try:
        await shop.good(first, rollback=True)
        assert page(engine) == "pinned 1.4.2"
        await shop.good(second, rollback=True)
        assert page(engine) == "pinned 1.4.3"
    finally:
        trusted.start()
    assert (await shop.facts()).have == (second.code,)


async def test_what_cannot_be_pulled_is_said(make_shop: MakeShop, trusted: Registry, repo: Repo) -> None:
    shop = await make_shop(repo)
    nothing = Pin("web", f"{trusted.address}/shop", "1", f"sha256:{'0' * 64}")
    ended = await shop.deploy(await pinned(shop, nothing))
    assert ended.state is State.FAILED
    assert f"docker login {trusted.address}" in "\n".join(ended.tail)
    elsewhere = Pin("worker", f"{trusted.address}/shop", "1", f"sha256:{'0' * 64}")
    with pytest.raises(UserError, match="image for the service worker, which its Compose files do not have"):
        await shop.deploy(await pinned(shop, elsewhere))


async def test_an_approved_digest_is_what_runs(
    make_shop: MakeShop, engine: Engine, trusted: Registry, repo: Repo
) -> None:
    right, wrong = pin(engine, trusted, "right"), pin(engine, trusted, "wrong")
    # A tag of ours that means another image by now, and the name that the build gives.
    engine.docker("pull", wrong.reference)
    for tag in ("next", "build"):
        engine.docker("tag", wrong.reference, f"deploybot/shop-production/web:{tag}")
    shop = await make_shop(repo)
    await shop.good(await pinned(shop, right))
    assert (page(engine), labels(engine, "web")["deploybot.image"]) == ("right", right.reference)


@pytest.mark.timeout(120)
async def test_the_same_commit_by_a_tag_runs_the_image_of_that_tag(
    make_shop: MakeShop, engine: Engine, trusted: Registry, make_repo: Callable[..., Repo]
) -> None:
    repo = make_repo("shop")
    shop = await make_shop(repo, stable="0s")
    for text, tag in ("latest", "latest"), ("one", "v1"):
        push(engine, trusted, text, tag)
    image = f"{trusted.name('shop', '')}${{DEPLOYBOT_TAG:-latest}}"
    repo.commit({"compose.yaml": f'services:\n  web:\n    image: "{image}"\n    ports: ["8000:8000"]\n'})
    await shop.good("main")
    assert page(engine) == "latest"
    repo.tag("v1")
    await shop.good("v1")
    assert page(engine) == "one"
