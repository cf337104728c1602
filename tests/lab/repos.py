"""Real git repositories: see `Repo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab.run import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

AUTHOR = "Ada Lovelace <ada@example.com>"
_EPOCH = 1_700_000_000
_MINUTE = 60
_HERMETIC = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "LC_ALL": "C"}


class LinkTo(str):
    """Where a symbolic link of a repository leads."""

    __slots__ = ()


class Repo:
    """A bare git repository, as a forge would hold it.

    The same calls make the same commits: identities and dates, a minute apart, are fixed.
    """

    def __init__(self, path: Path, *, branch: str = "main") -> None:
        """Make an empty repository at `path` whose default branch is `branch`."""
        self.path = path
        self.default_branch = branch
        self._commits = 0
        run("git", "init", "--quiet", "--bare", f"--initial-branch={branch}", path, env=_HERMETIC)

    @property
    def url(self) -> str:
        """What to clone it by."""
        return str(self.path)

    def commit(
        self,
        files: Mapping[str, str | None],
        message: str = "Change things",
        *,
        author: str = AUTHOR,
        branch: str | None = None,
    ) -> str:
        """Commit texts (None removes the file) on a branch; return the full SHA.

        A branch that does not exist begins with this commit, with no parent: to fork
        one off, use `branch`. Files that begin with `#!` are executable, a `LinkTo` is a link.
        """
        ref = f"refs/heads/{branch or self.default_branch}"
        when = f"{_EPOCH + self._commits * _MINUTE} +0000"
        self._commits += 1
        head = [f"commit {ref}", f"author {author} {when}", f"committer {author} {when}", _data(message)]
        head += [f"from {ref}^0"] if self._has(ref) else []
        changes = [_change(path, text) for path, text in files.items()]
        self.git("fast-import", "--quiet", stdin="\n".join([*head, *changes, ""]))
        return self.sha(ref)

    def branch(self, name: str, at: str | None = None) -> str:
        """Make a branch, or move it, also backwards, to a commit; return that commit's SHA."""
        sha = self.sha(at or self.default_branch)
        self.git("update-ref", f"refs/heads/{name}", sha)
        return sha

    def tag(self, name: str, at: str | None = None, *, message: str | None = None) -> str:
        """Make a tag, or move it; with a message an annotated one. Return the commit's SHA."""
        sha = self.sha(at or self.default_branch)
        note = ("--annotate", "--message", message) if message else ()
        self.git("tag", "--force", *note, "--", name, sha)
        return sha

    def delete(self, ref: str) -> None:
        """Delete a full ref, `refs/heads/old`."""
        self.git("update-ref", "-d", ref)

    def sha(self, ref: str) -> str:
        """Return the full SHA of the commit a ref means."""
        return self.git("rev-parse", "--verify", f"{ref}^{{commit}}").strip()

    def git(self, *args: str, stdin: str = "") -> str:
        """Run git in it; return its stdout. Raises LabError."""
        name, _, email = AUTHOR.rstrip(">").partition(" <")
        when = f"{_EPOCH + self._commits * _MINUTE} +0000"
        identity = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", name), ("EMAIL", email), ("DATE", when))
        }
        return run("git", f"--git-dir={self.path}", *args, stdin=stdin, env=_HERMETIC | identity)

    def _has(self, ref: str) -> bool:
        return bool(self.git("for-each-ref", "--format=%(refname)", ref))


def _data(text: str) -> str:
    """Text as git-fast-import(1) wants it: its length in bytes, and itself."""
    return f"data {len(text.encode())}\n{text}"


def _change(path: str, text: str | None) -> str:
    if text is None:
        return f"D {path}"
    mode = "120000" if isinstance(text, LinkTo) else "100755" if text.startswith("#!") else "100644"
    return f"M {mode} inline {path}\n{_data(text)}"
