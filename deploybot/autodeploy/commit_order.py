"""Compare commits, so that an older release never replaces a newer one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from deploybot.autodeploy.watched_sources import IMAGES
from deploybot.bounded_memory import BoundedDict
from deploybot.domain import Deployment, Running, State, Trigger
from deploybot.ports import RefSource, Tables
from deploybot.settings import App, Environment

_REMEMBERED: Final = 1000


class CommitOrder:
    """Asks the repository which of two commits is older. It remembers the answers, because they never change."""

    def __init__(self, refs: RefSource) -> None:
        """Take the repository."""
        self._refs = refs
        self._known: BoundedDict[tuple[str, str, str], bool] = BoundedDict(_REMEMBERED)

    async def is_older(self, app: App, commit: str, other: str) -> bool:
        """Return whether a commit is an ancestor of another one. If one of them no longer exists, it is not."""
        if commit == other:
            return False
        key = (app.name, commit, other)
        answer = self._known.get(key)
        if answer is None and (answer := await self._refs.is_ancestor(app, commit, other)) is not None:
            self._known[key] = answer
        return bool(answer)

    async def first_newer(self, app: App, commit: str, others: Iterable[tuple[str | None, str]]) -> str:
        """Return the problem of the first of `others` (commit and problem) that is newer, or an empty text."""
        for other, problem in others:
            if other and await self.is_older(app, commit, other):
                return problem
        return ""


def commits_there(runs: Iterable[Running], begun: Iterable[Deployment]) -> list[tuple[str | None, str]]:
    """Return the commits that run, or are being deployed, each with the problem of an older one."""
    return [
        *((row.release.code, f"It is older than {row.release}, which runs there") for row in runs),
        *(
            (one.plan.release.code, f"It is older than {one.plan.release}, which is being deployed there")
            for one in begun
        ),
    ]


def newer_than(tables: Tables, environment: Environment, trigger: Trigger) -> list[tuple[str | None, str]]:
    """Return the commits at the target of a trigger that must not be older than its own; see `commits_there`.

    A single new image is deployed with the commit that runs, whatever that is.
    """
    if trigger.source == IMAGES and trigger.ref != trigger.commit:
        return []
    rows = tables.running.get(trigger.app, trigger.environment)
    here = (one for one in tables.deployments.open() if one.state is State.RUNNING and not one.cancel_by)
    begun = (one for one in here if (one.plan.app, one.plan.environment) == (trigger.app, trigger.environment))
    return commits_there((row for row in rows if row.server in environment.servers), begun)
