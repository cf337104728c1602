"""Ports for artifacts: built files that are releases, and how they reach the bot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from deploybot.domain import Release
from deploybot.settings import App


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactUpload:
    """An artifact to upload: its `name`, `size` in bytes and `sha256` (hex), and the `ref` that it is deployed by.

    Without a `ref`, it is the beginning of the SHA-256.
    """

    name: str
    size: int
    sha256: str
    ref: str = ""


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
