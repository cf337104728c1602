"""Releases, and the changes between two of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from deploybot.domain.image_origin import ImageCommits
from deploybot.domain.release_source import (
    SHORT,
    ArtifactSource,
    CommitSource,
    CommitWithImages,
    ImagesSource,
    Pin,
    ReleaseSource,
    short_id,
    source_of_id,
)
from deploybot.units import show_size


@dataclass(frozen=True, slots=True)
class Release:
    """An immutable thing to deploy.

    `source` is what it is made of; None for what ran before the bot was used. Other modules do not look into it: they
    ask the release. `ref` is what a person typed. `subject`, `author` and `committed` describe the commit for people.
    `tag` is the git tag that it was deployed by, empty if none was. `known_as` is the branch or tag that its steps get
    if that is not `ref`: what triggered it, or what it ran with before a rollback named it differently.
    `typed` is the ref of the command that is being run (empty: the newest of the branch), which may mean another commit
    or image later. It is `#41` if the settings of that deployment are meant, too. It is None if the release itself is
    meant, as in all rows.
    """

    source: ReleaseSource | None
    ref: str = ""
    subject: str = ""
    author: str = ""
    committed: float = 0.0
    typed: str | None = field(default=None, compare=False)
    tag: str = ""
    known_as: str = ""

    @classmethod
    def of_commit(
        cls, commit: str, ref: str = "", subject: str = "", author: str = "", *, images: Sequence[Pin] = ()
    ) -> Release:
        """Return the release of a full commit, with the images that are pinned for it."""
        return cls(CommitWithImages(commit, tuple(images)) if images else CommitSource(commit), ref, subject, author)

    @classmethod
    def of_images(cls, images: Sequence[Pin], ref: str = "") -> Release:
        """Return the release of images without a commit, for the services in the order of their names."""
        return cls(ImagesSource(tuple(sorted(images, key=lambda pin: pin.service))), ref)

    @classmethod
    def by_id(cls, release: str) -> Release:
        """Return a release of which only the id is known."""
        return cls(source_of_id(release))

    @property
    def id(self) -> str:
        """The unique id of the release, also the name of its folder on servers; empty if it has no source.

        The same content is the same release, whatever the images' names and registries are.
        """
        return self.source.id if self.source else ""

    @property
    def code(self) -> str | None:
        """The full commit of the app's repository, as forges know it; None if the release is not made from one."""
        return self.source.commit if isinstance(self.source, CommitSource | CommitWithImages) else None

    @property
    def short_code(self) -> str:
        """The first ten digits of the commit; empty if it has none."""
        return (self.code or "")[:SHORT]

    @property
    def images(self) -> tuple[Pin, ...]:
        """The images by digest that belong to the release; empty if it has none, or if they are unknown."""
        return self.source.images if isinstance(self.source, CommitWithImages | ImagesSource) else ()

    @property
    def has_unknown_images(self) -> bool:
        """True if images belong to the release, but only its id is known."""
        return isinstance(self.source, CommitWithImages | ImagesSource) and not self.source.images

    @property
    def file(self) -> ArtifactSource | None:
        """The artifact that the release is; None if it is made of something else."""
        return self.source if isinstance(self.source, ArtifactSource) else None

    @property
    def file_text(self) -> str:
        """The artifact for people, as `site.tar.gz, 12 MB`; empty if the release is none, or nothing is known of it."""
        file = self.file
        if file is None:
            return ""
        return ", ".join(filter(None, (file.name, show_size(file.size) if file.size else "")))

    @property
    def exact_ref(self) -> str:
        """The ref that always means exactly this release: its commit. Empty if only a deployment's number means it."""
        return self.source.commit if isinstance(self.source, CommitSource) else ""

    @property
    def deployment(self) -> int:
        """The number of the deployment whose settings are meant, too; 0 if the release alone is meant."""
        return int(self.typed[1:]) if self.typed and self.typed.startswith("#") else 0

    def is_from(self, commit: str) -> bool:
        """Return whether it is made from this full commit."""
        return bool(commit) and self.code == commit

    def same_code(self, other: Release) -> bool:
        """Return whether no code differs: both are made from one commit, or they are the same release.

        The code of two different releases without a commit is unknown, so it is not the same.
        """
        return self.id == other.id or (self.code is not None and self.code == other.code)

    def with_images(self, images: Sequence[Pin]) -> Release:
        """Return the release of the same commit, if it has one, with other images.

        Without both it stays as it is.
        """
        pins = tuple(images)
        if self.code is None:  # then the ref named what it had
            return Release(ImagesSource(pins)) if pins else self
        return replace(self, source=CommitWithImages(self.code, pins) if pins else CommitSource(self.code))

    def bare(self) -> Release:
        """Return the release without everything that only describes it."""
        return Release(self.source)

    def image(self, service: str) -> Pin | None:
        """Return the image that a service runs; None if it has no pinned image."""
        return next((pin for pin in self.images if pin.service == service), None)

    @property
    def short(self) -> str:
        """The short id, for people."""
        return short_id(self.id)

    @property
    def step_ref(self) -> str:
        """The branch or tag that its steps get; a commit if that was named; empty if it is unknown."""
        return self.known_as or self.ref

    @property
    def label(self) -> str:
        """A short name for people: `v2`, or the short id if no name was typed."""
        return self.ref if self._named else self.short

    def __str__(self) -> str:
        """Return `v2 (0123456789)`, or the short id alone if no name was typed; with images, also which."""
        if not self.images:
            return self._after_ref(self.short)
        several = f"{len(self.images)} images ({self.short.partition('-')[2]})"
        which = str(self.images[0]) if len(self.images) == 1 else several
        return f"{self._after_ref(self.code[:SHORT])} with {which}" if self.code else self._after_ref(which)

    def _after_ref(self, text: str) -> str:
        return f"{self.ref} ({text})" if self._named else text

    @property
    def _named(self) -> bool:
        return bool(self.ref) and not self.id.startswith(self.ref)


NO_RELEASE = Release(None)
"""What ran before the bot was used: it has no id and no source."""


def image_changes(old: Release, new: Release) -> Iterator[tuple[str, str, str]]:
    """Yield each service whose image differs between two releases, with its old and new version for people."""
    before, after = ({pin.service: pin for pin in one.images} for one in (old, new))
    for service in sorted(before.keys() | after.keys()):
        was, now = before.get(service), after.get(service)
        if (was and was.digest) != (now and now.digest):
            yield service, _version(was, old), _version(now, new)


def _version(pin: Pin | None, release: Release) -> str:
    if pin is None:
        return "unknown" if release.has_unknown_images else "not pinned"
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
    longer in the repository or has no commit; then the other fields mean nothing. `authors` are the authors of the new
    commits, each once; None if there are too many. `images` are the commits of images by their labels, which hold even
    if `known` is False.
    """

    commits: tuple[Commit, ...] = ()
    total: int = 0
    removed: int = 0
    files: int = 0
    warnings: tuple[str, ...] = ()
    known: bool = True
    authors: tuple[CommitAuthor, ...] | None = None
    images: tuple[ImageCommits, ...] = ()
