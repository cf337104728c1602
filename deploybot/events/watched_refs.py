"""Decide which branches and tags matter to an app. `domain.ref_globs` reads the patterns."""

from __future__ import annotations

from deploybot.domain.ref_globs import fits, fits_any
from deploybot.settings import App

__all__ = ["USUAL", "environments_of", "fits", "fits_any", "watched"]

USUAL = ("main", "master", "trunk", "develop", "release/*")
"""The branches that matter if bot.toml names none."""


def watched(app: App, branch: str) -> bool:
    """Return whether a branch matters to everybody: that of the app or an environment, or one that `auto` deploys.

    If an environment has no branch in bot.toml, those in USUAL matter, too.
    """
    autos = (one.auto.branch for one in app.environments.values() if one.auto and one.auto.branch)
    branches = [there.branch for there in app.everywhere()]
    named = [*filter(None, branches), *autos]
    return fits_any(named if all(branches) else [*named, *USUAL], branch)


def environments_of(app: App, branch: str, tag: str = "") -> frozenset[str]:
    """Return the environments that `auto` deploys a branch or tag to, or offers to."""
    return frozenset(
        name
        for name, one in app.environments.items()
        if one.auto
        and (
            (branch and one.auto.branch and fits(one.auto.branch, branch))
            or (tag and one.auto.tag and fits(one.auto.tag, tag))
        )
    )
