"""Where an image was built from, as its labels say. Whoever built the image wrote them: they are not verified.

https://github.com/opencontainers/image-spec/blob/main/annotations.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_REVISION = "org.opencontainers.image.revision"
_SOURCE = "org.opencontainers.image.source"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
# It becomes a link on a card, so most characters are refused.
_ADDRESS = re.compile(r"https://[A-Za-z0-9.-]{1,253}(?:/[A-Za-z0-9._~-]{1,100}){2,10}/?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ImageOrigin:
    """The commit of an image (`revision`, a full SHA) and its `repository` (an https URL); empty if unknown."""

    revision: str = ""
    repository: str = ""

    @classmethod
    def of_labels(cls, labels: object) -> ImageOrigin:
        """Read the labels of an image's configuration. Anything but a full commit and a plain address is ignored."""
        found = labels if isinstance(labels, Mapping) else {}
        revision, source = (str(found.get(key, "")) for key in (_REVISION, _SOURCE))
        return cls(
            revision if _COMMIT.fullmatch(revision) else "",
            source if _ADDRESS.fullmatch(source) else "",
        )


@dataclass(frozen=True, slots=True)
class ImageCommits:
    """The commits of a service's old and new image, by their labels. `url` compares them; empty if it is not safe."""

    service: str
    old: str
    new: str
    url: str = ""
