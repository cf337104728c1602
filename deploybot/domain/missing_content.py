"""What a commit refers to and the bot does not fetch: submodules, and files in Git LFS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingContent:
    """The paths of a commit's submodules, and those of its files in Git LFS, of which it has only pointers.

    `unknown` is why that could not be found out; empty if it is known.
    """

    submodules: tuple[str, ...] = ()
    pointers: tuple[str, ...] = ()
    unknown: str = ""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a person should know before a deployment; empty if nothing is missing."""
        found = []
        if self.submodules:
            subject, verb = (
                ("submodule", "stays an empty folder")
                if len(self.submodules) == 1
                else ("submodules", "stay empty folders")
            )
            found.append(f"{subject} {_some(self.submodules)} {verb}: the bot does not fetch submodules")
        if self.pointers:
            verb = "stays a pointer" if len(self.pointers) == 1 else "stay pointers"
            found.append(f"{_some(self.pointers)} {verb}: the bot does not fetch Git LFS")
        if self.unknown:
            found.append(f"whether submodules or files in Git LFS are missing is unknown: {self.unknown}")
        return tuple(found)


def _some(paths: Sequence[str]) -> str:
    """Return the first paths, and how many there are more."""
    more = len(paths) - _SHOWN
    return ", ".join(paths[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
