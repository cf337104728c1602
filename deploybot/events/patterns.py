"""Patterns of branches and tags: `*` stands for anything but a slash, `**` for anything, `?` for one character."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from deploybot.settings import App

USUAL = ("main", "master", "trunk", "develop", "release/*")
"""The branches that matter where bot.toml names none."""


def fits(pattern: str, name: str) -> bool:
    """Whether a name matches a pattern as a whole."""
    return _compiled(pattern).fullmatch(name) is not None


def fits_any(patterns: Iterable[str], name: str) -> bool:
    """Whether a name matches one of them."""
    return any(fits(pattern, name) for pattern in patterns)


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    signs = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    return re.compile("".join(signs.get(part, re.escape(part)) for part in parts), re.DOTALL)


def watched(app: App, branch: str) -> bool:
    """Whether a branch is one that everybody wants to hear of: the app's, and those that `auto` deploys."""
    autos = (one.auto.branch for one in app.environments.values() if one.auto and one.auto.branch)
    named = [*filter(None, (app.branch,)), *autos]
    return fits_any(named if app.branch else [*named, *USUAL], branch)


def environments_of(app: App, branch: str, tag: str = "") -> frozenset[str]:
    """The environments that `auto` deploys a branch or a tag to, or asks for it."""
    return frozenset(
        name
        for name, one in app.environments.items()
        if one.auto
        and (
            (branch and one.auto.branch and fits(one.auto.branch, branch))
            or (tag and one.auto.tag and fits(one.auto.tag, tag))
        )
    )
