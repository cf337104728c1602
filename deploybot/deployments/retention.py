"""Which releases a clean-up keeps on a server, in addition to those in use there, and whose files stay on the bot."""

from __future__ import annotations

from collections.abc import Iterable

from deploybot.domain import Release
from deploybot.ports import Site, Tables
from deploybot.settings import App

LEAST_GOOD = 8
"""How many good releases of an environment stay on the bot, whatever `keep` is."""


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


def releases_in_need(tables: Tables, app: App) -> frozenset[str]:
    """Return the ids of the releases of an app that may still be sent to a server.

    They run somewhere, ran well lately, or belong to an unfinished deployment, which may also go back. This is also so
    in environments that bot.toml does not have any more. At least as many good ones stay as a picker offers.
    """
    plans = [one.plan for one in tables.deployments.open() if one.plan.app == app.name]
    found = {one.id for plan in plans for one in (plan.release, *plan.replaced)}
    running = [row for row in tables.running.all() if row.app == app.name]
    found |= {row.release.id for row in running}
    for name in {*app.environments, *(row.environment for row in running)}:
        keep = max(app.at(name).keep if name in app.environments else app.keep, LEAST_GOOD)
        found |= {one.plan.release.id for one in tables.deployments.good(app.name, name, keep)}
    return frozenset(found)
