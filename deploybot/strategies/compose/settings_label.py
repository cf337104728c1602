"""The label `deploybot.settings`: equal if a container need not be recreated for its settings or mounts."""

from __future__ import annotations

import posixpath

from deploybot.strategies.compose.compose_model import ComposeService
from deploybot.strategies.compose.mounted_paths import PathFacts, sources_of
from deploybot.strategies.compose.service_hash import digest

RELEASE_LABEL = "deploybot.release"
IMAGE_LABEL = "deploybot.image"
SETTINGS_LABEL = "deploybot.settings"
_LENGTH = 12


def settings_of(service: ComposeService, facts: PathFacts) -> str:
    """Return a hash of a service's settings and one of its mounts: `SETTINGS-CONTENT`, 12 hex digits each.

    Two releases in different folders with equal settings and equal content get the same label. CONTENT is left out if
    nothing from the server is mounted.
    """
    sources = [f"{posixpath.normpath(target)} {facts.identity(source)}" for source, target in sources_of(service)]
    settings = service.base[:_LENGTH]
    return f"{settings}-{digest(chr(10).join(sorted(sources)))[:_LENGTH]}" if sources else settings


def same_settings(label: str, other: str) -> bool:
    """Return whether two labels have the same settings, whatever is mounted."""
    return label.partition("-")[0] == other.partition("-")[0]


def same_content(label: str, other: str) -> bool:
    """Return whether two labels have the same mounted content."""
    return label.partition("-")[2] == other.partition("-")[2]
