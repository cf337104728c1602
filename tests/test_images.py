"""Images in releases: names in one form, and what tells one release from another."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploybot.domain import Pin, Release, canonical_image, image_changes, short_id

ONE, TWO = (f"sha256:{digit * 64}" for digit in "12")
WEB = Pin("web", "registry.example.com/acme/shop", "1.4.2", ONE)
SIDE = Pin("side", "acme/side", "latest", TWO)
COMMIT = "a" * 40


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("acme/shop", "docker.io/acme/shop"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("docker.io/library/nginx", "docker.io/library/nginx"),
        ("index.docker.io/acme/shop", "docker.io/acme/shop"),
        ("registry-1.docker.io/acme/shop", "docker.io/acme/shop"),
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
    release = Release(COMMIT, "main")
    assert (release.id, release.short, str(release)) == (COMMIT, COMMIT[:10], "main (aaaaaaaaaa)")


def test_images_tell_releases_of_one_commit_apart() -> None:
    release = Release(COMMIT, "main", images=(SIDE, WEB))
    moved = dataclasses.replace(release, images=(SIDE, dataclasses.replace(WEB, tag="1.4.3", digest=TWO)))
    assert release.id != moved.id
    assert release.id.startswith(f"{COMMIT}-")
    assert len(release.id) == 40 + 1 + 12
    assert list(image_changes(release, moved)) == [("web", "1.4.2 sha256:1111111111", "1.4.3 sha256:2222222222")]
    assert next(image_changes(Release(COMMIT), release)) == ("side", "not pinned", "latest sha256:2222222222")
    assert list(image_changes(Release.by_id(release.id), moved))[1][:2] == ("web", "unknown")


def test_the_same_content_is_the_same_release() -> None:
    """Whatever the tag and wherever it comes from, in whatever order."""
    other = dataclasses.replace(WEB, tag="latest", image="mirror.example.com/shop")
    assert Release(COMMIT, images=(SIDE, WEB)).id == Release(COMMIT, "v1", images=(other, SIDE)).id


def test_how_a_release_reads() -> None:
    one, two = Release(COMMIT, "main", images=(WEB,)), Release(COMMIT, images=(SIDE, WEB))
    assert str(one) == "main (aaaaaaaaaa) with web 1.4.2 sha256:1111111111"
    assert str(two) == f"aaaaaaaaaa with 2 images ({two.id[41:47]})"
    assert str(dataclasses.replace(one, images=(dataclasses.replace(WEB, tag=""),))).endswith(
        "with web sha256:1111111111"
    )


def test_a_release_of_which_only_the_identity_is_known() -> None:
    release = Release(COMMIT, images=(WEB,))
    found = Release.by_id(release.id)
    assert (found.id, found.commit, found.short) == (release.id, COMMIT, short_id(release.id))
    assert Release.by_id(COMMIT) == Release(COMMIT)


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
    first, second = Release(COMMIT, images=one), Release(COMMIT, images=two)
    assert (first.id == second.id) is ({*one} == {*two}) is (not list(image_changes(first, second)))
