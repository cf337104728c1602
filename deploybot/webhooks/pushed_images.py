"""Read names of images as senders write them."""

from __future__ import annotations

import re

from deploybot.domain import canonical_image
from deploybot.settings.event_values import is_image, is_tag

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def digest(text: str) -> str:
    """Return the text if it is a digest as in `ImagePushed`, or an empty text."""
    return text if _DIGEST.fullmatch(text) else ""


def split(reference: str) -> tuple[str, str, str]:
    """Split `registry.example.com:5000/acme/shop:v1@sha256:…` into canonical image, tag and digest.

    Each one is empty if it is missing or if Docker would not accept it.
    """
    name, _, found = reference.partition("@")
    head, colon, tag = name.rpartition(":")
    # A colon before a slash is the registry's port.
    if not colon or "/" in tag:
        head, tag = name, ""
    return image(head), tag if is_tag(tag) else "", digest(found)


def image(name: str) -> str:
    """Return the canonical form of an image's repository, or an empty text if it is not a valid one."""
    return canonical_image(name) if is_image(name) else ""
