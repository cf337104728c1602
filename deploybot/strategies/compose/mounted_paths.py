"""The server paths that a release's Compose files refer to: bind mounts, files of secrets and configs.

`compose_paths.sh` reads the paths. This module chooses them, parses the output, and decides the path that Compose gets
instead. Content of the repository gets a path with its hash. A path that leads into `shared/` is replaced by its real
path.
"""

from __future__ import annotations

import enum
import posixpath
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from deploybot.domain import Container
from deploybot.strategies.compose.compose_model import ComposeConfig, ComposeService
from deploybot.strategies.compose.compose_reading import LONGEST, ComposeUnreadable

MOST_PATHS = 500
MOST_CHARACTERS = 100_000
"""One environment variable can hold 128 KiB."""
_FIELDS = 5
_HASH = 64


class PathKind(enum.StrEnum):
    """The kind of file that a path leads to.

    HOLLOW: a folder without real files (`.gitkeep`, `.gitignore` and `.keep` do not count). LINK: a broken link.
    HIDDEN: not readable for the bot's user.
    """

    MISSING = "missing"
    FILE = "file"
    FOLDER = "folder"
    HOLLOW = "hollow"
    LINK = "link"
    SOCKET = "socket"
    OTHER = "other"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFact:
    """A path on a server. `real` has links resolved. `digest` is empty if the content is irrelevant or unknown.

    Two files or folders have the same digest if their content, links and executable bits are the same.
    """

    path: str
    kind: PathKind
    real: str
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LostFile:
    """A file in a current mount (`mounted`) that the release lacks, or that differs from the release's (`changed`).

    `name` is its path below `mounted`, empty for the file itself.
    """

    mounted: str
    name: str
    changed: bool = False

    @property
    def path(self) -> str:
        """The full path."""
        return posixpath.join(self.mounted, self.name) if self.name else self.mounted


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFacts:
    """All paths read for one release on one server. `release` is its folder, `directory` the app's directory."""

    directory: str
    release: PathFact
    paths: Mapping[str, PathFact] = field(default_factory=dict)
    lost: tuple[LostFile, ...] = ()

    @property
    def folders(self) -> tuple[str, ...]:
        """The release's folder, as given and with links resolved."""
        return tuple(dict.fromkeys((self.release.path, self.release.real)))

    def within(self, path: str) -> bool:
        """Return whether a path is the release's folder or inside it."""
        return any(path == folder or path.startswith(f"{folder}/") for folder in self.folders)

    def of(self, path: str) -> PathFact | None:
        """Return what is at a path; None if it was not read."""
        return self.paths.get(path)

    def is_shipped(self, path: str) -> bool:
        """Return whether a path leads to a file or folder of the release whose content is known."""
        fact = self.of(path)
        return fact is not None and bool(fact.digest) and self.within(fact.real)

    def stable(self, path: str) -> str:
        """Return the path that Compose gets: the same for the same content in every release."""
        fact = self.of(path)
        if fact is None or fact.real == self.release.real or not self.within(path):
            return path
        if not self.within(fact.real):
            return fact.real
        if not fact.digest:
            return path
        return f"{self.directory}/.deploybot/mounts/{self.copied(path)}"

    def copied(self, path: str) -> str:
        """Return the name of a copy of the content: its hash, for a file with the name by which it is mounted.

        The same content may be mounted by several names, so a file's name is not part of its hash.
        """
        fact = self.paths[path]
        return f"{fact.digest}/{_base(path)}" if fact.kind is PathKind.FILE else fact.digest

    def identity(self, path: str) -> str:
        """Return what identifies a mounted path: its content if the release has it, otherwise its real path."""
        fact = self.of(path)
        if fact is not None and self.is_shipped(path):
            return f"content {fact.digest}"
        return f"path {self.stable(path)}"


def sources_of(service: ComposeService) -> Iterator[tuple[str, str]]:
    """Yield pairs of a server path and the target in the container: bind mounts, secrets and configs."""
    for mount in service.mounts:
        if mount.kind == "bind" and mount.source.startswith("/"):
            yield mount.source, mount.target
    for file in service.files:
        if file.path:
            yield file.path, file.target


def wanted_paths(config: ComposeConfig) -> tuple[str, ...]:
    """Return the paths to read, for `DEPLOYBOT_PATHS`. Raises ComposeUnreadable if there are too many."""
    found = dict.fromkeys(source for service in config.services for source, _ in sources_of(service))
    return _checked(tuple(found))


def wanted_mounted(config: ComposeConfig, containers: Collection[Container]) -> tuple[str, ...]:
    """Return lines for `DEPLOYBOT_MOUNTED`: a release path, then what its service's container mounts there now."""
    pairs: dict[tuple[str, str], None] = {}
    for service in config.services:
        ours = [one for one in containers if one.service == service.name and not one.oneoff]
        for source, target in sources_of(service):
            pairs |= {(source, now): None for one in ours if (now := bound_at(one, target)) and now != source}
    return _checked(tuple(path for pair in pairs for path in pair))


def bound_at(container: Container, target: str) -> str:
    """Return the server path that a container mounts at a target; empty if there is none."""
    wanted = posixpath.normpath(target)
    return next(
        (one.source for one in container.mounts if one.kind == "bind" and posixpath.normpath(one.target) == wanted), ""
    )


def _checked(paths: tuple[str, ...]) -> tuple[str, ...]:
    if len(paths) > 2 * MOST_PATHS or sum(len(path.encode()) + 1 for path in paths) > MOST_CHARACTERS:
        raise ComposeUnreadable(
            f"The Compose files mount more than {MOST_PATHS} paths.", hint="Mount the folders that hold them instead."
        )
    for path in paths:
        if "\n" in path:
            raise ComposeUnreadable(
                "A path that the Compose files mount has a line break in its name.", hint="Rename the file or folder."
            )
    return paths


def parse_paths(output: bytes, directory: str) -> PathFacts:
    """Parse the output of `compose_paths.sh` for an app's directory. Raises ComposeUnreadable if it is invalid."""
    records = list(_records(output))
    if len(records) < 2 or records[0][0] != "release" or records[-1][0] != "end":  # noqa: PLR2004 - first and last
        raise _unread()
    paths: dict[str, PathFact] = {}
    lost: list[LostFile] = []
    for word, path, what, why, digest in records[1:-1]:
        if word in {"path", "mounted"}:
            fact = _fact(path, what, why, digest)
            # The content of a current mount is always known, but another record of the same path may lack it.
            paths[path] = fact if fact.digest or path not in paths else paths[path]
        elif word == "lost" and why in {"new", "changed"}:
            lost.append(LostFile(mounted=path, name=what, changed=why == "changed"))
        else:
            raise _unread()
    return PathFacts(directory=directory, release=_fact(*records[0][1:]), paths=paths, lost=tuple(lost))


def _records(output: bytes) -> Iterator[tuple[str, str, str, str, str]]:
    if len(output) > LONGEST or not output.endswith(b"\0"):
        raise _unread()
    fields = output.decode(errors="replace").split("\0")[:-1]
    if len(fields) % _FIELDS:
        raise _unread()
    for at in range(0, len(fields), _FIELDS):
        word, path, what, why, digest = fields[at : at + _FIELDS]
        yield word, path, what, why, digest


def _fact(path: str, kind: str, real: str, digest: str) -> PathFact:
    is_hash = len(digest) == _HASH and not digest.strip("0123456789abcdef")
    if kind not in set(PathKind) or not real.startswith("/") or not (is_hash or not digest):
        raise _unread()
    return PathFact(path=path, kind=PathKind(kind), real=real.rstrip("/") or "/", digest=digest)


def _unread() -> ComposeUnreadable:
    return ComposeUnreadable("The server's answer about the mounted paths is cut off or malformed.")


def _base(path: str) -> str:
    return posixpath.basename(path.rstrip("/"))
