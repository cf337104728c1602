"""Choose the newest of a repository's tags. Pure. `tags` are full commits by name, `dates` are those of commits."""

from __future__ import annotations

from collections.abc import Mapping

from deploybot.domain.versions import tag_version


def newest_tag(tags: Mapping[str, str], dates: Mapping[str, float], *, early: bool) -> str:
    """Return the newest tag: by version if any of them is one, or else by the dates of their commits.

    Pre-releases (`v2.0.0-rc.1`) count only if `early` is set. Return an empty text if there is none.
    """
    versions = {name: version for name in tags if (version := tag_version(name)) is not None}
    if versions:
        fit = {name: version for name, version in versions.items() if early or version.is_release}
        return max(sorted(fit), key=fit.__getitem__, default="")
    return max(sorted(tags), key=lambda name: dates.get(tags[name], 0.0), default="")


def is_later(name: str, old: str, tags: Mapping[str, str], dates: Mapping[str, float]) -> bool:
    """Return whether a tag is newer than another: by version, or else by the dates of their commits."""
    new_version, old_version = tag_version(name), tag_version(old)
    if new_version and old_version:
        return new_version > old_version
    return old not in tags or dates.get(tags[name], 0.0) > dates.get(tags[old], 0.0)
