"""Read where images were built from: the labels in an image's configuration.

https://github.com/opencontainers/image-spec/blob/main/config.md: `config.Labels`. A digest means the same image for
ever, so each is read once.
"""

from __future__ import annotations

from typing import Final

from deploybot.bounded_memory import BoundedDict
from deploybot.domain import ImageOrigin
from deploybot.sources.image_ages import configuration
from deploybot.sources.oci_registry import RegistryConnection

_REMEMBERED: Final = 1_000


class Origins:
    """Caches the origins of images."""

    def __init__(self) -> None:
        """Start with an empty cache."""
        self._known: BoundedDict[str, ImageOrigin] = BoundedDict(_REMEMBERED)

    async def of(self, connection: RegistryConnection, repository: str, digest: str) -> ImageOrigin:
        """Return the origin of an image by its digest; an empty one if its labels do not say."""
        known = self._known.get(digest)
        if known is None:
            part = (await configuration(connection, repository, digest)).get("config")
            known = ImageOrigin.of_labels(part.get("Labels") if isinstance(part, dict) else None)
            self._known[digest] = known
        return known
