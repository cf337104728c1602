"""A repository in memory."""

from __future__ import annotations

import difflib
import fnmatch
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deploybot.domain import Changes, Heads, Holding, NamedRef, Release, Signature
from deploybot.domain.missing_content import MissingContent
from deploybot.errors import Unreachable, UserError
from deploybot.settings import App


class FakeRefs:
    """`ports.RefSource` for apps with refs named by a test.

    - `known` maps refs to full commits, the same for every app. An empty ref is the app's branch if that is one of
      them, else the first of them.
    - `between` has the changes between two commits; changes that it does not have are unknown.
    - `branches` and `tags` are the current ones of the remote repository.
    - `parents` has each commit's parent, `messages` its message, `paths` the files it changes, `trees` the files it
      contains, `signers` its signer, `missing` what it lacks of submodules and Git LFS.
    - `gone_files` has the ids of artifacts that are not here any more.
    - `asked` counts the calls of `heads` and `holding`, `calls` all calls by the names of their apps.
    """

    def __init__(self, folder: Path, **known: str) -> None:
        """Take the folder for bundles and archives, and refs by name: `v1="a" * 40`."""
        self._folder = folder
        self.known = dict(known)
        self.between: dict[tuple[str, str], Changes] = {}
        self.down = ""
        self.branches: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.parents: dict[str, str] = {}
        self.messages: dict[str, str] = {}
        self.paths: dict[str, tuple[str, ...]] = {}
        self.trees: dict[str, tuple[str, ...]] = {}
        self.signers: dict[str, str] = {}
        self.missing: dict[str, MissingContent] = {}
        self.gone_files: set[str] = set()
        self.asked = 0
        self.calls: Counter[str] = Counter()

    async def resolve(self, app: App, ref: str) -> Release:
        """Return the commit of a ref or of the first digits of a commit.

        Raises UserError, which names the nearest refs.
        """
        self._reach(app)
        wanted = ref or (app.branch if app.branch in self.known else next(iter(self.known), ""))
        commit = self.known.get(wanted, "")
        if wanted in self.parents:
            commit = wanted
        matches = {one for one in self.known.values() if len(wanted) >= 4 and one.startswith(wanted)}  # noqa: PLR2004  git's limit
        if not commit and len(matches) == 1:
            commit = matches.pop()
        if not commit:
            near = difflib.get_close_matches(wanted, self.known)
            raise UserError(f"{app.name} has no ref `{wanted}`", hint=f"Near: {', '.join(near) or 'none'}")
        tag = wanted if self.tags.get(wanted) == commit else ""
        return replace(Release.of_commit(commit, wanted), tag=tag)

    async def changes(self, app: App, old: str, new: str) -> Changes:
        """Return the changes in `between`."""
        self._reach(app)
        return self.between.get((old, new), Changes(known=False))

    async def heads(self, app: App) -> Heads:
        """Return `branches` and `tags`."""
        self.asked += 1
        self._reach(app)
        return Heads(dict(self.branches), dict(self.tags))

    async def newest(self, app: App) -> tuple[NamedRef, ...]:
        """Return `branches`, then `tags`, each in the order of the test."""
        self._reach(app)
        branches = (NamedRef(name=name, commit=of, at=0.0, is_tag=False) for name, of in self.branches.items())
        tags = (NamedRef(name=name, commit=of, at=0.0, is_tag=True) for name, of in self.tags.items())
        return (*branches, *tags)

    async def message(self, app: App, commit: str) -> str:
        """Return the message in `messages`."""
        self._reach(app)
        return self.messages.get(commit, "Change things")

    async def touched(self, app: App, old: str, new: str, patterns: Sequence[str]) -> tuple[str, ...] | None:
        """Return the paths that the commits from `old` to `new` change, filtered by `fnmatch` patterns."""
        self._reach(app)
        way = self._way(new)
        if old not in way:
            return None
        paths = (path for commit in way[: way.index(old)] for path in self.paths.get(commit, ()))
        return tuple(path for path in paths if any(fnmatch.fnmatchcase(path, one) for one in patterns))

    async def is_ancestor(self, app: App, old: str, new: str) -> bool | None:
        """Return whether `old` is reached from `new` through `parents`."""
        self._reach(app)
        return old in self._way(new)

    async def holding(self, app: App, commit: str) -> Holding:
        """Return the branches that reach the commit through `parents`, and the `tags` that point to it."""
        self.asked += 1
        self._reach(app)
        branches = tuple(name for name, head in self.branches.items() if commit in self._way(head))
        tags = tuple(name for name, of in self.tags.items() if of == commit)
        return Holding(branches, tags, tuple(name for name in tags if name in self.branches))

    async def signature(self, app: App, commit: str) -> Signature:
        """Return the signature by the commit's entry in `signers`."""
        self._reach(app)
        by = self.signers.get(commit, "")
        return Signature(by, "the commit") if by else Signature(problem="the commit has no signature")

    async def ships(self, app: App, commit: str, paths: Sequence[str]) -> bool:
        """Return whether `trees` has one of the paths for the commit."""
        self._reach(app)
        return not set(paths).isdisjoint(self.trees.get(commit, ()))

    async def unfetched(self, app: App, commit: str) -> MissingContent:
        """Return the commit's entry in `missing`."""
        self._reach(app)
        return self.missing.get(commit, MissingContent())

    def _way(self, commit: str) -> list[str]:
        way = [commit]
        while before := self.parents.get(way[-1], ""):
            way.append(before)
        return way

    async def bundle(self, app: App, commit: str, have: Sequence[str]) -> Path:
        """Return a file that names what a bundle would contain."""
        return self._file(app, f"{commit}.bundle", f"bundle of {commit} without {' '.join(have)}\n")

    async def archive(self, app: App, commit: str) -> Path:
        """Return a file that names what an archive would contain."""
        return self._file(app, f"{commit}.tar.gz", f"archive of {commit}\n")

    async def artifact(self, app: App, release: Release) -> Path:
        """Return a file that names the artifact."""
        return self._file(app, f"{release.id}.tar.gz", f"{release.id}\n")

    async def has_artifact(self, app: App, release: Release) -> bool:
        """Return whether the artifact is not one of `gone`."""
        self._reach(app)
        return release.id not in self.gone_files

    def _file(self, app: App, name: str, text: str) -> Path:
        self._reach(app)
        path = self._folder / name
        path.write_text(text)
        return path

    def _reach(self, app: App) -> None:
        self.calls[app.name] += 1
        if self.down:
            raise Unreachable(f"the repository of {app.name}", self.down)
