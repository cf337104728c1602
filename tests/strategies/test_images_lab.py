"""Releases with images on a real Docker Engine and a real registry: exactly the digest, and back without a registry."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploybot.domain import Pin, Release, ServerPlan
from tests.lab import Engine, Registry, Repo, web
from tests.strategies.conftest import LocalServer, StepEnded, only
from tests.strategies.test_compose_lab import (
    COMPOSE,
    Flavour,
    MakeComposeServer,
    labels,
    lone_flavour,
    make_server,
    page,
    trusted,
)

__all__ = ["lone_flavour", "make_server", "trusted"]

YAML = """
services:
  web:
    build: web
    ports: ["8000:8000"]
  side:
    build: .
    command: ["sh", "-c", 'trap "exit 0" TERM; sleep 100000 & wait']
"""


@pytest.fixture
def shop(make_repo: Callable[..., Repo]) -> Repo:
    """One release whose Compose file would build the service that has an image, and cannot, and builds another one."""
    repo = make_repo("shop")
    repo.commit({"compose.yaml": YAML, "Dockerfile": "FROM lab/busybox\n", "web/Dockerfile": "FROM lab/nothing\n"})
    return repo


def pushed(engine: Engine, registry: Registry, text: str, tag: str = "latest") -> Pin:
    """An image that serves `text`, in the registry and not on the engine."""
    name = registry.name("shop", tag)
    engine.load(web(name, text))
    engine.docker("push", name)
    found = engine.docker("image", "inspect", "--format", "{{index .RepoDigests 0}}", name).strip()
    repository, _, digest = found.partition("@")
    engine.docker("image", "rm", name)
    return Pin("web", repository, tag, digest)


def planned(server: LocalServer, *images: Pin, of: Release | None = None) -> tuple[Release, ServerPlan]:
    """The newest commit with these images, and its plan in place of `of`."""
    release = Release(server.release("main").commit, images=images)
    return release, COMPOSE.deploy(server.app, only(server.app), release, of, server.facts())


def test_one_commit_with_several_images(
    make_server: MakeComposeServer, engine: Engine, trusted: Registry, shop: Repo, lone_flavour: Flavour
) -> None:
    server = make_server(shop, lone_flavour)
    old = pushed(engine, trusted, "pinned 1.4.2")
    new = pushed(engine, trusted, "pinned 1.4.3")
    first, plan = planned(server, old)
    server.run(plan.steps)
    assert (page(engine), labels(engine, "web")["deploybot.image"]) == ("pinned 1.4.2", old.reference)
    second, plan = planned(server, new, of=first)
    server.run(plan.steps)
    assert (page(engine), labels(engine, "web")["deploybot.image"]) == ("pinned 1.4.3", new.reference)
    assert server.current().name == second.id != first.id
    assert server.facts().have == ((second.commit,) if server.git else ())
    # The registry is gone: back, and there again, by what is on the server.
    trusted.stop()
    try:
        server.run(plan.restore)
        assert (page(engine), server.current().name) == ("pinned 1.4.2", first.id)
        _, plan = planned(server, new, of=first)
        server.run(plan.steps)
        assert page(engine) == "pinned 1.4.3"
    finally:
        trusted.start()
    server.run(COMPOSE.prune(server.app, only(server.app), (second.id,), server.facts()))
    assert server.facts().releases == (second.id,)
    assert server.facts().have == ((second.commit,) if server.git else ())
    with pytest.raises(Exception, match="No such image"):
        engine.docker("image", "inspect", old.reference)


def test_what_cannot_be_pulled_is_told(make_server: MakeComposeServer, trusted: Registry, shop: Repo) -> None:
    server = make_server(shop)
    nothing = Pin("web", f"{trusted.address}/shop", "1", f"sha256:{'0' * 64}")
    with pytest.raises(StepEnded, match=f"docker login {trusted.address}"):
        server.run(planned(server, nothing)[1].steps)
    elsewhere = Pin("worker", f"{trusted.address}/shop", "1", f"sha256:{'0' * 64}")
    with pytest.raises(StepEnded, match="image for the service worker, which its Compose files do not have"):
        server.run(planned(server, elsewhere)[1].steps)


def test_another_image_in_the_same_folder_is_not_taken_for_the_right_one(
    make_server: MakeComposeServer, engine: Engine, trusted: Registry, shop: Repo
) -> None:
    server = make_server(shop)
    release, plan = planned(server, pushed(engine, trusted, "right"))
    server.run(plan.steps)
    other = pushed(engine, trusted, "wrong")
    pins = server.directory / "releases" / release.id / "deploybot.images.yaml"
    pins.write_text(pins.read_text().replace(release.images[0].digest, other.digest))
    server.run(planned(server, *release.images)[1].steps)
    assert labels(engine, "web")["deploybot.image"] == release.images[0].reference
    # Of a release that nobody knows any more the images are not guessed.
    (tag,) = [line.split('"')[1] for line in pins.read_text().splitlines() if "/web:" in line]
    engine.docker("image", "rm", "--force", tag)
    unknown = Release.by_id(release.id)
    plan = COMPOSE.deploy(server.app, only(server.app), unknown, None, server.facts())
    with pytest.raises(StepEnded, match="which they were is not known"):
        server.run(plan.steps)
