"""A repository in memory."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from deploybot.domain import Changes, Release
from deploybot.errors import Unreachable, UserError
from deploybot.settings import App


class FakeRefs:
    """`ports.RefSource` for apps whose refs a test names.

    `known` maps refs to full commits, the same for every app; an empty ref is the first of them.
    `between` holds what lies between two commits; where it says nothing, nothing is known to.
    """

    def __init__(self, folder: Path, **known: str) -> None:
        """Take the folder for bundles and archives, and refs by name: `v1="a" * 40`."""
        self._folder = folder
        self.known = dict(known)
        self.between: dict[tuple[str, str], Changes] = {}
        self.down = ""

    async def resolve(self, app: App, ref: str) -> Release:
        """The commit of a ref, or a commit itself or its first digits; UserError names the nearest refs."""
        self._reach(app)
        wanted = ref or next(iter(self.known), "")
        commit = self.known.get(wanted, "")
        matches = {one for one in self.known.values() if len(wanted) >= 4 and one.startswith(wanted)}  # noqa: PLR2004
        if not commit and len(matches) == 1:
            commit = matches.pop()
        if not commit:
            near = difflib.get_close_matches(wanted, self.known)
            raise UserError(f"{app.name} has no ref `{wanted}`", hint=f"Near: {', '.join(near) or 'none'}")
        return Release(commit, wanted)

    async def changes(self, app: App, old: str, new: str) -> Changes:
        """What `between` holds."""
        self._reach(app)
        return self.between.get((old, new), Changes(known=False))

    async def bundle(self, app: App, commit: str, have: Sequence[str]) -> Path:
        """A file that names what it would hold."""
        return self._file(app, f"{commit}.bundle", f"bundle of {commit} without {' '.join(have)}\n")

    async def archive(self, app: App, commit: str) -> Path:
        """A file that names what it would hold."""
        return self._file(app, f"{commit}.tar.gz", f"archive of {commit}\n")

    def _file(self, app: App, name: str, text: str) -> Path:
        self._reach(app)
        path = self._folder / name
        path.write_text(text)
        return path

    def _reach(self, app: App) -> None:
        if self.down:
            raise Unreachable(f"the repository of {app.name}", self.down)
