"""Releases, and the changes between two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

_SHORT = 10
_MARK = 12
_SHORT_MARK = 6


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


def short_digest(digest: str) -> str:
    """Return a digest shortened to its first ten digits, for people."""
    kind, _, digits = digest.partition(":")
    return f"{kind}:{digits[:_SHORT]}"


def short_id(release: str) -> str:
    """Return a release id for people: ten digits of the commit, and six that identify the images."""
    commit, dash, mark = release.partition("-")
    return f"{commit[:_SHORT]}{dash}{mark[:_SHORT_MARK]}"


@dataclass(frozen=True, slots=True)
class Release:
    """An immutable thing to deploy.

    `commit` is a full SHA (40 or 64 hex digits). `images` are those pinned by bot.toml, by service. `ref` is what a
    person typed. `subject`, `author` and `committed` describe the commit for people. `typed` is the ref of the command
    that is being run (empty: the newest of the branch), which may mean another commit or image later. It is None if the
    release itself is meant, as in all rows. `found` is the id of a release that was found on a server and whose images
    are otherwise unknown.
    """

    commit: str
    ref: str = ""
    subject: str = ""
    author: str = ""
    committed: float = 0.0
    typed: str | None = field(default=None, compare=False)
    images: tuple[Pin, ...] = ()
    found: str = ""

    @classmethod
    def by_id(cls, release: str) -> Release:
        """Return a release of which only the id is known."""
        commit, dash, _ = release.partition("-")
        return cls(commit, found=release if dash else "")

    @property
    def id(self) -> str:
        """The unique id of the release, also the name of its folder on servers.

        It is the commit. With images, twelve digits of a SHA-256 over their services and digests follow. The same
        content is the same release, whatever the images' names and registries are.
        """
        if self.found or not self.images:
            return self.found or self.commit
        digests = "\n".join(sorted(f"{pin.service} {pin.digest}" for pin in self.images))
        return f"{self.commit}-{hashlib.sha256(digests.encode()).hexdigest()[:_MARK]}"

    @property
    def short(self) -> str:
        """The short id, for people."""
        return short_id(self.id)

    def image(self, service: str) -> Pin | None:
        """Return the image that a service runs; None if it has no pinned image."""
        return next((pin for pin in self.images if pin.service == service), None)

    def __str__(self) -> str:
        """Return `v2 (0123456789)`, or the short commit alone if no name was typed; then the images."""
        if not self.images:
            return f"{self.ref} ({self.short})" if self._named else self.short
        commit = self.commit[:_SHORT]
        several = f"{len(self.images)} images ({self.short[_SHORT + 1 :]})"
        which = str(self.images[0]) if len(self.images) == 1 else several
        return f"{f'{self.ref} ({commit})' if self._named else commit} with {which}"

    @property
    def name(self) -> str:
        """A short name for people: `v2`, or the short id if no name was typed."""
        return self.ref if self._named else self.short

    @property
    def _named(self) -> bool:
        return bool(self.ref) and not self.commit.startswith(self.ref)


def image_changes(old: Release, new: Release) -> Iterator[tuple[str, str, str]]:
    """Yield each service whose image differs between two releases, with its old and new version for people."""
    before, after = ({pin.service: pin for pin in one.images} for one in (old, new))
    for service in sorted(before.keys() | after.keys()):
        was, now = before.get(service), after.get(service)
        if (was and was.digest) != (now and now.digest):
            yield service, _version(was, old), _version(now, new)


def _version(pin: Pin | None, release: Release) -> str:
    if pin is None:
        return "unknown" if release.found else "not pinned"
    return pin.version


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit between two releases."""

    sha: str
    author: str
    subject: str
    at: float


@dataclass(frozen=True, slots=True)
class CommitAuthor:
    """The author or a co-author of a commit, as git stores it. It is not verified."""

    name: str
    email: str

    def __str__(self) -> str:
        """Return `Ada <ada@example.com>`."""
        return f"{self.name} <{self.email}>"


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes between two releases.

    `commits` are newest first and cut at a limit; `total` counts all. `removed` counts commits of the old release that
    the new one does not have. `warnings` are changed paths that match `warn_paths`. `known` is False if one side is no
    longer in the repository; then the other fields mean nothing. `authors` are the authors of the new commits, each
    once; None if there are too many.
    """

    commits: tuple[Commit, ...] = ()
    total: int = 0
    removed: int = 0
    files: int = 0
    warnings: tuple[str, ...] = ()
    known: bool = True
    authors: tuple[CommitAuthor, ...] | None = None
