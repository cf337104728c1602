"""What a release is made of: its id, how it reads, and the answers to what the rest of the bot asks."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deploybot.domain import (
    NO_RELEASE,
    RELEASE_ID,
    ArtifactSource,
    CommitSource,
    CommitWithImages,
    ImagesSource,
    Pin,
    Release,
    ReleaseSource,
    image_changes,
    short_id,
)
from deploybot.ssh.probe_facts import parse
from deploybot.store.codec import decode, encode
from tests.any_release import COMMITS, NONE, PINS, RELEASES, SOURCES

COMMIT, OTHER = "a" * 40, "b" * 40
WEB = Pin("web", "registry.example.com/acme/shop", "1.4.2", f"sha256:{'1' * 64}")
NEW_WEB = replace(WEB, tag="1.4.3", digest=f"sha256:{'2' * 64}")
SIDE = Pin("side", "acme/side", "latest", f"sha256:{'3' * 64}")
IMAGE_ONLY = Release(ImagesSource((WEB,)))
ARTIFACT = Release(ArtifactSource("0123456789" + "c" * 54))
BOTH = Release.of_commit(COMMIT, images=[WEB])


def content(source: ReleaseSource) -> object:
    """What makes a release the same: the commit, the digests by service, the file."""
    match source:
        case CommitSource(commit):
            return commit
        case ArtifactSource(sha256):
            return ("file", sha256)
        case CommitWithImages(commit, images, mark):
            return (commit, mark or frozenset((pin.service, pin.digest) for pin in images))
        case ImagesSource(images, mark):
            return ("images", mark or frozenset((pin.service, pin.digest) for pin in images))


@given(SOURCES, SOURCES)
def test_one_id_means_one_content(one: ReleaseSource, other: ReleaseSource) -> None:
    assert (one.id == other.id) is (content(one) == content(other))


@given(SOURCES)
def test_an_id_is_a_folder_and_never_two_kinds(source: ReleaseSource) -> None:
    made = source.id
    assert re.fullmatch(r"[a-z0-9-]{40,77}", made)
    assert RELEASE_ID.fullmatch(made)
    assert bool(re.fullmatch(r"[0-9a-f]+(-[0-9a-f]{12})?", made)) is (Release(source).code is not None)


@given(SOURCES)
def test_a_server_reports_the_id_of_every_kind(source: ReleaseSource) -> None:
    facts = parse(
        f"\0release={source.id}\0current=releases/{source.id}\0end=\0".encode(), server="web1", directory="/srv"
    )
    assert facts is not None
    assert (facts.releases, facts.current) == ((source.id,), source.id)


@given(SOURCES)
def test_the_id_alone_gives_the_kind_and_the_commit(source: ReleaseSource) -> None:
    whole, found = Release(source), Release.by_id(source.id)
    assert (found.id, found.code, type(found.source)) == (whole.id, whole.code, type(source))
    assert found.has_unknown_images is isinstance(source, CommitWithImages | ImagesSource)
    assert Release.by_id(found.id) == found


@given(st.text())
def test_every_text_keeps_its_id(text: str) -> None:
    assert Release.by_id(text).id == text


@given(RELEASES)
def test_every_release_comes_back_from_its_row(release: Release) -> None:
    again = decode(Release, encode(release))
    assert again == release
    assert (again.id, again.typed, type(again.source)) == (release.id, release.typed, type(release.source))


@pytest.mark.parametrize(
    "text",
    [
        '{"source":{}}',
        '{"source":{"sha256":"../../etc"}}',
        '{"source":{"commit":""}}',
        '{"source":{"images":[]}}',
        '{"source":{"commit":"c","sha256":"' + "0" * 64 + '"}}',
        '{"source":"c"}',
        "{}",
    ],
)
def test_a_row_that_names_no_source_is_not_guessed(text: str) -> None:
    with pytest.raises(Exception, match="does not hold a Release"):
        decode(Release, text)


@pytest.mark.parametrize("text", ["", "../x", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "é" * 64])
def test_only_a_sha256_becomes_a_folder(text: str) -> None:
    with pytest.raises(ValueError, match="is no SHA-256"):
        ArtifactSource(text)
    with pytest.raises(ValueError, match=r"is no SHA-256|needs either"):
        ImagesSource((), text)


def test_a_source_is_never_empty_or_two_things() -> None:
    with pytest.raises(ValueError, match="needs the commit"):
        CommitSource("")
    with pytest.raises(ValueError, match="needs the commit"):
        CommitWithImages("", (WEB,))
    for images, mark in (((), ""), ((WEB,), "f" * 12)):
        with pytest.raises(ValueError, match="either the images or their mark"):
            CommitWithImages(COMMIT, images, mark)


def test_how_releases_without_a_commit_read() -> None:
    named = replace(IMAGE_ONLY, ref="1.4.2")
    assert str(IMAGE_ONLY) == "web 1.4.2 sha256:1111111111"
    assert str(named) == "1.4.2 (web 1.4.2 sha256:1111111111)"
    two = Release(ImagesSource((SIDE, WEB)))
    assert str(two) == f"2 images ({two.id[6:16]})"
    assert (named.label, IMAGE_ONLY.label) == ("1.4.2", f"image-{IMAGE_ONLY.id[6:16]}")
    assert str(replace(ARTIFACT, ref="v3")) == "v3 (artifact-0123456789)"
    assert (str(ARTIFACT), short_id(ARTIFACT.id)) == ("artifact-0123456789",) * 2
    assert (NO_RELEASE.id, str(NO_RELEASE), NO_RELEASE.code, NO_RELEASE.images) == ("", "", None, ())


def test_which_ref_means_exactly_a_release() -> None:
    exact = [one.exact_ref for one in (Release.of_commit(COMMIT, "v1"), BOTH, IMAGE_ONLY, ARTIFACT, NO_RELEASE)]
    assert exact == [COMMIT, "", "", "", ""]
    assert Release.by_id(BOTH.id).exact_ref == ""


@given(RELEASES, RELEASES)
def test_code_is_the_same_only_if_that_is_known(one: Release, other: Release) -> None:
    same = one.same_code(other)
    assert same is other.same_code(one)
    assert one.same_code(replace(one, ref="x"))
    if one.id != other.id:
        assert same is (one.code is not None and one.code == other.code)


@given(RELEASES, COMMITS)
def test_no_release_is_from_a_commit_that_is_not_its_own(release: Release, commit: str) -> None:
    assume(release.code != commit)
    assert not release.is_from(commit)
    assert not release.is_from("")
    assert release.code is None or release.is_from(release.code)


@given(RELEASES, PINS)
def test_other_images_keep_the_commit_and_nothing_untrue(release: Release, pins: tuple[Pin, ...]) -> None:
    made = release.with_images(pins)
    assert (made.code, made.images, made.has_unknown_images) == (release.code, pins, False)
    assert made.ref == (release.ref if release.code else "")
    bare = made.with_images(())
    assert bare == (made if release.code is None else replace(made, source=CommitSource(release.code)))


def test_images_of_two_releases_without_a_commit_are_compared() -> None:
    new = Release(ImagesSource((NEW_WEB, SIDE)))
    assert [*image_changes(IMAGE_ONLY, new)] == [
        ("side", "not pinned", "latest sha256:3333333333"),
        ("web", "1.4.2 sha256:1111111111", "1.4.3 sha256:2222222222"),
    ]
    assert [*image_changes(Release(ImagesSource(NONE, "f" * 64)), IMAGE_ONLY)] == [
        ("web", "unknown", "1.4.2 sha256:1111111111")
    ]
    assert [*image_changes(ARTIFACT, NO_RELEASE)] == []


def test_what_only_describes_a_release_is_left_out() -> None:
    release = Release(CommitSource(OTHER), "v2", "Faster", "Ben", 5.0, typed="v2")
    assert release.bare() == Release.of_commit(OTHER)
    assert release.bare().typed is None
