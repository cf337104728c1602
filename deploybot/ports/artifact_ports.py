"""Ports for artifacts: built files that are releases, and how they reach the bot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from deploybot.domain import Release
from deploybot.errors import UploadRefused
from deploybot.settings import App

_LONGEST_NAME = 200
_MEANINGLESS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactUpload:
    """An artifact to upload: its `name`, `size` in bytes and `sha256` (hex), and the `ref` that it is deployed by.

    Without a `ref`, it is the beginning of the SHA-256. Raises UploadRefused if the name is not that of a file.
    """

    name: str
    size: int
    sha256: str
    ref: str = ""

    def __post_init__(self) -> None:
        """Check the name: it is shown to people, and becomes a file on servers."""
        name = self.name
        if not 0 < len(name) <= _LONGEST_NAME or "/" in name or name in {".", ".."} or not name.isprintable():
            raise UploadRefused(
                "An artifact needs the name of a file.",
                hint=f"Use at most {_LONGEST_NAME} printable characters of UTF-8, without a slash.",
                status=_MEANINGLESS,
            )


class ArtifactUploads(Protocol):
    """Takes artifacts that are uploaded to the bot. Raises UploadRefused and other UserErrors."""

    async def offset(self, app: App, upload: ArtifactUpload) -> int:
        """Return how many bytes of an upload are here; its size if all of it is."""

    async def receive(self, app: App, upload: ArtifactUpload, offset: int, pieces: AsyncIterator[bytes]) -> int:
        """Take bytes from an offset on. Return how many are here now; if that is all, the artifact can be deployed.

        All of it is compared with the SHA-256 and checked. What `pieces` raises is raised, and the bytes stay.
        """

    async def uploaded(self, app: App, upload: ArtifactUpload) -> Release:
        """Return the release of an upload that is complete."""
