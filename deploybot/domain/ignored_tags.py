"""Which tags of a repository `auto` does not deploy, and why. Pure. `domain.image_tags` does the same for images."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from deploybot.domain.ref_globs import fits
from deploybot.domain.versions import tag_version


@dataclass(frozen=True, slots=True)
class IgnoredTags:
    """The tags that do not count for something (`web`, `auto`), newest first, each with the reason.

    `problem` says why they are unknown; it is empty if they are known.
    """

    what: str
    tags: tuple[tuple[str, str], ...] = ()
    problem: str = ""


def ignored_refs(glob: str, tags: Collection[str]) -> list[tuple[str, str]]:
    """Return the tags that `auto.tag` never deploys, in the order of `tags`."""
    only_versions = any(fits(glob, tag) and tag_version(tag) for tag in tags)
    found = ((tag, _why_not(glob, tag, only_versions=only_versions)) for tag in tags)
    return [(tag, why) for tag, why in found if why]


def unpublished(tags: Iterable[str], published: Collection[str]) -> list[tuple[str, str]]:
    """Return the tags that `auto.release` never deploys, in the order of `tags`."""
    return [(tag, "no webhook reported its release") for tag in tags if tag not in published]


def _why_not(glob: str, tag: str, *, only_versions: bool) -> str:
    if not fits(glob, tag):
        return f"it does not match `{glob}`"
    version = tag_version(tag)
    if version is None:
        return "it is not a version, but other tags are" if only_versions else ""
    if version.is_release or "-" in glob:
        return ""
    return f"it is a pre-release, and `{glob}` has no `-`"
