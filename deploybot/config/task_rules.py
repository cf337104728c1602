"""Rules about the tasks around the switch to a release: `before_switch` and `after_switch`."""

from __future__ import annotations

from collections.abc import Iterator

from deploybot.config.config_errors import Path, Problem
from deploybot.settings import App, Environment
from deploybot.wording import meant


def check_switch_tasks(path: Path, app: App) -> Iterator[Problem]:
    """Yield names that are no tasks of the app in an environment, and tasks that are listed twice there.

    `path` is the app's. What the app itself lists is reported there, and once.
    """
    found = (one for environment in app.environments.values() for one in _problems(path, app, environment))
    yield from dict.fromkeys(found)


def _problems(path: Path, app: App, environment: Environment) -> Iterator[Problem]:
    there = app.at(environment)
    for key in ("before_switch", "after_switch"):
        has_own = getattr(environment, key) is not None
        where = (*path, "environments", environment.name, key) if has_own else (*path, key)
        names = [one.task for one in getattr(there, key) or ()]
        for name in dict.fromkeys(names):
            if name not in there.tasks:
                yield Problem(where, f'{app.name} has no task "{name}"{meant(name, there.tasks)}')
            elif names.count(name) > 1:
                yield Problem(where, f'"{name}" is listed more than once')
