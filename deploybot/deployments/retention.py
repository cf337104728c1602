"""Which releases a clean-up keeps on a server, in addition to those in use there."""

from __future__ import annotations

from collections.abc import Iterable

from deploybot.domain import Release
from deploybot.ports import Site, Tables


def releases_to_keep(tables: Tables, site: Site, release: Release, previous: Release | None) -> tuple[str, ...]:
    """Return the ids of releases to keep: the new and the replaced one, the last good ones, and requested ones."""
    app = site.app
    good = tables.deployments.good(app.name, site.environment.name, app.keep)
    stay = [release, *([previous] if previous else []), *(one.plan.release for one in good)]
    return with_requested(tables, app.name, (one.id for one in stay))


def with_requested(tables: Tables, app: str, keep: Iterable[str]) -> tuple[str, ...]:
    """Return the ids `keep` and those of releases that unfinished deployments of the app need."""
    requested = (one.plan.release.id for one in tables.deployments.open() if one.plan.app == app)
    return tuple(dict.fromkeys((*keep, *requested)))
