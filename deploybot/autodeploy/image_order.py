"""Compare the tags of images, so that a deleted tag brings no older version back. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from deploybot.domain import Pin
from deploybot.domain.image_tags import TagRule
from deploybot.settings import ImageOf

IMAGE_TAGS: Final = "image tags"
"""The source under which the tags that were considered last are stored, beside their digests."""


def tags_text(pins: Iterable[Pin]) -> str:
    """Return `web=1.4.5 worker=2.0`, sorted."""
    return " ".join(sorted(f"{pin.service}={pin.tag}" for pin in pins))


def older_problem(images: Mapping[str, ImageOf], new: Iterable[Pin], seen: str, runs: Iterable[Pin]) -> str:
    """Return why a new image is older than one that was considered last (`seen`) or runs, or an empty text."""
    before = dict(one.partition("=")[::2] for one in seen.split())
    running = {pin.service: pin.tag for pin in runs}
    for pin in new:
        rule = _rule(images, pin)
        if rule is not None and _is_older(rule, pin.tag, before.get(pin.service, "")):
            return f"{pin.service} {before[pin.service]}, which is newer, was deleted"
        if rule is not None and _is_older(rule, pin.tag, running.get(pin.service, "")):
            return f"{pin.service} {pin.tag} is older than {running[pin.service]}, which runs there"
    return ""


def _rule(images: Mapping[str, ImageOf], pin: Pin) -> TagRule | None:
    """Return the rule that orders the tags of an image; None for an exact tag, and for an order by time."""
    of = images.get(pin.service)
    rule = TagRule.of(of.tag) if of is not None else None
    return None if rule is None or (rule.pattern is not None and rule.order == "time") else rule


def _is_older(rule: TagRule, tag: str, other: str) -> bool:
    """Return whether another tag counts for the rule, too, and is newer."""
    return bool(other) and other != tag and rule.newest((tag, other)) == other
