"""Images in releases: names in one form, and what tells one release from another."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybot.config import load
from deploybot.domain import DOCKER_HUB, Pin, Release, canonical_image, image_changes, short_id
from deploybot.errors import ConfigError

ONE, TWO = (f"sha256:{digit * 64}" for digit in "12")
WEB = Pin("web", "registry.example.com/acme/shop", "1.4.2", ONE)
SIDE = Pin("side", "acme/side", "latest", TWO)
COMMIT = "a" * 40


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("nginx", f"{DOCKER_HUB}/library/nginx"),
        ("acme/shop", f"{DOCKER_HUB}/acme/shop"),
        (f"{DOCKER_HUB}/nginx", f"{DOCKER_HUB}/library/nginx"),
        (f"{DOCKER_HUB}/library/nginx", f"{DOCKER_HUB}/library/nginx"),
        (f"index.{DOCKER_HUB}/acme/shop", f"{DOCKER_HUB}/acme/shop"),
        (f"registry-1.{DOCKER_HUB}/acme/shop", f"{DOCKER_HUB}/acme/shop"),
        ("localhost/shop", "localhost/shop"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("Registry.Example.com:5000/shop", "registry.example.com:5000/shop"),
        ("[::1]:5000/shop", "[::1]:5000/shop"),
        ("ghcr.io/acme/shop", "ghcr.io/acme/shop"),
    ],
)
def test_names_of_images(name: str, canonical: str) -> None:
    assert canonical_image(name) == canonical
    assert canonical_image(canonical) == canonical


def test_a_commit_alone_is_its_own_identity() -> None:
    release = Release.of_commit(COMMIT, "main")
    assert (release.id, release.short, str(release)) == (COMMIT, COMMIT[:10], "main (aaaaaaaaaa)")


def test_images_distinguish_releases_of_one_commit() -> None:
    release = Release.of_commit(COMMIT, "main", images=(SIDE, WEB))
    moved = release.with_images([SIDE, dataclasses.replace(WEB, tag="1.4.3", digest=TWO)])
    assert release.id != moved.id
    assert release.id.startswith(f"{COMMIT}-")
    assert len(release.id) == 40 + 1 + 12
    assert list(image_changes(release, moved)) == [("web", "1.4.2 sha256:1111111111", "1.4.3 sha256:2222222222")]
    assert next(image_changes(Release.of_commit(COMMIT), release)) == ("side", "not pinned", "latest sha256:2222222222")
    assert list(image_changes(Release.by_id(release.id), moved))[1][:2] == ("web", "unknown")


def test_the_same_content_is_the_same_release() -> None:
    """Whatever the tag and wherever it comes from, in whatever order."""
    other = dataclasses.replace(WEB, tag="latest", image="mirror.example.com/shop")
    assert Release.of_commit(COMMIT, images=(SIDE, WEB)).id == Release.of_commit(COMMIT, "v1", images=(other, SIDE)).id


def test_how_a_release_reads() -> None:
    one, two = Release.of_commit(COMMIT, "main", images=(WEB,)), Release.of_commit(COMMIT, images=(SIDE, WEB))
    assert str(one) == "main (aaaaaaaaaa) with web 1.4.2 sha256:1111111111"
    assert str(two) == f"aaaaaaaaaa with 2 images ({two.id[41:47]})"
    assert str(one.with_images([dataclasses.replace(WEB, tag="")])).endswith("with web sha256:1111111111")


def test_a_release_of_which_only_the_identity_is_known() -> None:
    release = Release.of_commit(COMMIT, images=(WEB,))
    found = Release.by_id(release.id)
    assert (found.id, found.code, found.short) == (release.id, COMMIT, short_id(release.id))
    assert Release.by_id(COMMIT) == Release.of_commit(COMMIT)


PINS = st.lists(
    st.builds(
        Pin,
        st.sampled_from(["web", "side", "worker"]),
        st.just("shop"),
        st.just("1"),
        st.integers(0, 9).map(lambda digit: f"sha256:{str(digit) * 64}"),
    ),
    unique_by=lambda pin: pin.service,
).map(tuple)


@given(PINS, PINS)
def test_equal_identities_mean_equal_images(one: tuple[Pin, ...], two: tuple[Pin, ...]) -> None:
    first, second = Release.of_commit(COMMIT, images=one), Release.of_commit(COMMIT, images=two)
    assert (first.id == second.id) is ({*one} == {*two}) is (not list(image_changes(first, second)))


SETTINGS = """
[servers.web1]
ssh = "deploy@203.0.113.10"
agent = true
[apps.shop]
repo = "git@github.com:acme/shop.git"
strategy = "{strategy}"
directory = "/srv/shop"
[apps.shop.images.web]
image = "{image}"
tag = "{tag}"
[apps.shop.environments.live]
servers = ["web1"]
[registries.house]
host = "{host}"
{login}
"""


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({}, ""),
        ({"image": "shop", "tag": "~v1.4.2"}, ""),
        ({"tag": ">=2.0.0-rc.1 <3"}, ""),
        ({"host": "localhost:5000"}, ""),
        ({"login": 'user = "bot"\npassword = { env = "PASSWORD" }'}, ""),
        ({"strategy": "files"}, 'apps.shop.images: is for strategy = "compose" only; this one is "files"'),
        ({"image": "acme/shop:1.4"}, "apps.shop.images.web.image: should be an image without a tag"),
        ({"image": "169.254.169.254/shop"}, "apps.shop.images.web.image: should be a host"),
        ({"tag": "^1.4 || 2"}, "apps.shop.images.web.tag: should be a tag"),
        ({"host": "https://registry.example.com"}, "registries.house.host: should be a host"),
        ({"host": "[fe80::1]:5000"}, "registries.house.host: should be a host"),
        ({"login": 'user = "bot"'}, "registries.house: should have both user and password"),
        ({"login": 'user = "b:t"\npassword = { env = "PASSWORD" }'}, "registries.house.user: should not contain a"),
        (
            {"login": '[registries.two]\nhost = "Registry.Example.com"'},
            "registries.two.host: is also the host of registries.house; keep one of them",
        ),
    ],
)
def test_what_bot_toml_says_of_images(tmp_path: Path, changed: dict[str, str], problem: str) -> None:
    given = {"strategy": "compose", "image": "registry.example.com/acme/shop", "tag": "^1.4", "login": ""}
    path = tmp_path / "bot.toml"
    path.write_text(SETTINGS.format(**({"host": "registry.example.com"} | given | changed)))
    path.chmod(0o600)
    found: tuple[str, ...] = ()
    try:
        settings = load(path, {"PASSWORD": "correct horse"})
        assert settings.apps["shop"].images["web"].image
    except ConfigError as error:
        found = error.problems
    assert len(found) == bool(problem), found
    assert all(problem in one for one in found)
