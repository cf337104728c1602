"""Rules about the watch of a new release: it needs something to look at, and time."""

from __future__ import annotations

from collections.abc import Iterator

from deploybot.config.config_errors import Path, Problem
from deploybot.part_tables import has_containers
from deploybot.settings import App, Environment

LONGEST_VETO = 600.0
_SHORTEST = 60.0
_LONGEST = 7200.0


def check_watch(path: Path, app: App, environment: Environment) -> Iterator[Problem]:
    """Yield a watch that can find nothing, and a veto without one. `path` is the environment's."""
    if environment.watch is None:
        if environment.veto is not None:
            yield Problem((*path, "veto"), "has no effect without `watch`: set `watch`, too")
        return
    if (environment.veto or 0.0) > LONGEST_VETO:
        yield Problem((*path, "veto"), "should be at most 10m: until the veto time ends, users get the worse release")
    if environment.watch < _SHORTEST:
        yield Problem((*path, "watch"), "should be at least 1m: a shorter watch cannot tell a fault from chance")
    if environment.watch > _LONGEST:
        yield Problem((*path, "watch"), "should be at most 2h: other deployments wait for it")
    there = app.at(environment)
    sees_url = there.health is not None and there.health.http is not None
    if not (has_containers(app.strategy) or there.logs or sees_url):
        text = "has nothing to look at: set `health = { http = … }` or `logs`"
        yield Problem((*path, "watch"), text)
