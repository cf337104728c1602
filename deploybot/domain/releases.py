"""What is deployed: releases and what changed between two."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Pin:
    """The image that a Compose service runs: `image` without a tag, the `tag` it was found by, its `digest`.

    `digest` is `sha256:` and 64 hex digits.
    """

    service: str
    image: str
    tag: str
    digest: str


@dataclass(frozen=True, slots=True)
class Release:
    """An immutable thing to deploy.

    `commit` is a full SHA (40 or 64 hex digits); `images` are those that bot.toml has pinned, by service; `ref` is
    what a person typed;
    `subject`, `author` and `committed` describe the commit for people. `typed` is the ref of the command that is
    being run (empty: the newest of the branch), which may mean another commit later; None where the commit itself
    is meant, as it is in all rows.
    """

    commit: str
    ref: str = ""
    subject: str = ""
    author: str = ""
    committed: float = 0.0
    typed: str | None = field(default=None, compare=False)
    images: tuple[Pin, ...] = ()

    @property
    def short(self) -> str:
        """The first ten digits of the commit, as people read it."""
        return self.commit[:10]

    def __str__(self) -> str:
        """`v2 (0123456789)`, or the short commit alone where nobody typed a name."""
        if self.ref and not self.commit.startswith(self.ref):
            return f"{self.ref} ({self.short})"
        return self.short


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit between two releases."""

    sha: str
    author: str
    subject: str
    at: float


@dataclass(frozen=True, slots=True)
class Changes:
    """What lies between two releases.

    `commits` are newest first and cut at a limit, `total` counts all; `removed` counts commits of the
    old release that the new one does not have; `warnings` are changed paths that match `warn_paths`.
    `known` is False when one side is not in the repository any more: then nothing is claimed.
    """

    commits: tuple[Commit, ...] = ()
    total: int = 0
    removed: int = 0
    files: int = 0
    warnings: tuple[str, ...] = ()
    known: bool = True
