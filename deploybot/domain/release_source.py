"""What a release is made of: a commit, images, an artifact, or a commit with images.

Each source has an `id`, which is the release's id and the name of its folder on servers. The same content has the same
id. An id begins with the commit, or with a word that no commit begins with: `image-` or `artifact-`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

SHORT = 10
_MARK = 12
_SHORT_MARK = 6
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NAMED = re.compile(r"(image|artifact)-([0-9a-f]{64})", re.ASCII)
RELEASE_ID = re.compile(rf"(?:[0-9a-f]{{40}}|[0-9a-f]{{64}})(?:-[0-9a-f]{{12}})?|{_NAMED.pattern}", re.ASCII)
"""What a release's id looks like."""


@dataclass(frozen=True, slots=True)
class Pin:
    """The image that a Compose service runs: `image` without a tag, the `tag` it was found by, and its `digest`.

    `digest` is `sha256:` and 64 hex digits. `tag` is empty if the image was named by its digest.
    """

    service: str
    image: str
    tag: str
    digest: str

    @property
    def reference(self) -> str:
        """The immutable reference, such as `registry.example.com/acme/shop@sha256:…`."""
        return f"{self.image}@{self.digest}"

    @property
    def version(self) -> str:
        """Tag and short digest for people, such as `1.4.3 sha256:0123456789`. The tag alone may move."""
        return f"{self.tag} {short_digest(self.digest)}".strip()

    def __str__(self) -> str:
        """Return `web 1.4.3 sha256:0123456789`."""
        return f"{self.service} {self.version}"


@dataclass(frozen=True, slots=True)
class CommitSource:
    """A commit of the app's repository. `commit` is a full SHA (40 or 64 hex digits)."""

    words: ClassVar[str] = "a commit"
    commit: str

    def __post_init__(self) -> None:
        """Raise ValueError if the commit is empty."""
        _insist_on_commit(self.commit)

    @property
    def id(self) -> str:
        """The commit."""
        return self.commit


@dataclass(frozen=True, slots=True)
class CommitWithImages:
    """A commit, and the images that bot.toml pins for its services.

    `mark` has the digits of the id that stand for the images, if only the id is known, as for a release that was found
    on a server. Then `images` is empty; otherwise `mark` is.
    """

    words: ClassVar[str] = "a commit with images"
    commit: str
    images: tuple[Pin, ...]
    mark: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError unless there are a commit and either images or their mark."""
        _insist_on_commit(self.commit)
        _insist_on_images(self.images, self.mark)

    @property
    def id(self) -> str:
        """The commit, and twelve digits of a SHA-256 over the services and digests of the images."""
        return f"{self.commit}-{self.mark or _digest(self.images)[:_MARK]}"


@dataclass(frozen=True, slots=True)
class ImagesSource:
    """Images by digest, without a commit. `mark` is as in `CommitWithImages`, with 64 digits."""

    words: ClassVar[str] = "images"
    images: tuple[Pin, ...]
    mark: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError unless there are either images or their mark."""
        _insist_on_images(self.images, self.mark)
        if self.mark:
            _insist_on_sha256(self.mark)

    @property
    def id(self) -> str:
        """`image-` and the SHA-256 over the services and digests of the images."""
        return f"image-{self.mark or _digest(self.images)}"


@dataclass(frozen=True, slots=True)
class ArtifactSource:
    """A file by its content. `sha256` has the 64 hex digits of its SHA-256.

    `name` is the name of the file, `url` where it is downloaded from; empty if it was uploaded to the bot. `size` is in
    bytes, 0 if it is unknown. They only describe it.
    """

    words: ClassVar[str] = "an artifact"
    sha256: str
    name: str = field(default="", compare=False)
    url: str = field(default="", compare=False)
    size: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        """Raise ValueError if that is no SHA-256: it becomes the name of a folder."""
        _insist_on_sha256(self.sha256)

    @property
    def id(self) -> str:
        """`artifact-` and the SHA-256 of the file."""
        return f"artifact-{self.sha256}"


ReleaseSource = CommitSource | CommitWithImages | ImagesSource | ArtifactSource
"""What a release is made of."""


def source_of_id(release: str) -> ReleaseSource | None:
    """Return as much of a release's source as its id tells; None if the id is empty. The source has the same id."""
    if named := _NAMED.fullmatch(release):
        return ArtifactSource(named[2]) if named[1] == "artifact" else ImagesSource((), named[2])
    commit, _, mark = release.partition("-")
    if commit and mark:
        return CommitWithImages(commit, (), mark)
    return CommitSource(release) if release else None


def short_digest(digest: str) -> str:
    """Return a digest shortened to its first ten digits, for people."""
    kind, _, digits = digest.partition(":")
    return f"{kind}:{digits[:SHORT]}"


def short_id(release: str) -> str:
    """Return a release id for people: ten digits of the commit, and six that identify the images.

    Without a commit it is the word and ten digits: `image-0123456789`.
    """
    if named := _NAMED.fullmatch(release):
        return f"{named[1]}-{named[2][:SHORT]}"
    commit, dash, mark = release.partition("-")
    return f"{commit[:SHORT]}{dash}{mark[:_SHORT_MARK]}"


def _digest(images: Iterable[Pin]) -> str:
    """Return the SHA-256 (hex) of images. Their names, tags and registries do not count."""
    lines = "\n".join(sorted(f"{pin.service} {pin.digest}" for pin in images))
    return hashlib.sha256(lines.encode()).hexdigest()


def _insist_on_commit(commit: str) -> None:
    if not commit:
        raise ValueError("a release from a commit needs the commit")


def _insist_on_images(images: tuple[Pin, ...], mark: str) -> None:
    if bool(images) == bool(mark):
        raise ValueError("a release with images needs either the images or their mark")


def _insist_on_sha256(text: str) -> None:
    if not _SHA256.fullmatch(text):
        raise ValueError(f"{text!r} is no SHA-256 of 64 hex digits")
