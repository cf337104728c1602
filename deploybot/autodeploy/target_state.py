"""The database's state of a target, by which a change is weighed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploybot.domain import AutoRule, Deployment, Pin, Running, State, Trigger
from deploybot.ports import Tables
from deploybot.settings import Environment

_GOOD_LOOK = 50


@dataclass(frozen=True, slots=True)
class TargetState:
    """The database's state of an environment: values considered, running releases, open triggers and deployments.

    `commit_is_open` is true if the automatic deployment of a commit waits or runs.
    """

    seen: dict[str, str]
    runs: tuple[Running, ...]
    current: Trigger | None
    open: tuple[Deployment, ...]
    good: tuple[Deployment, ...]
    last: Deployment | None = None
    commit_is_open: bool = False

    def is_there(self, servers: Sequence[str], commit: str) -> bool:
        """Return whether a commit runs healthy on all servers, and nothing else is just being deployed."""
        healthy = {row.server for row in self.runs if row.healthy and row.release.is_from(commit)}
        return healthy >= {*servers} and all(one.plan.release.is_from(commit) for one in self.begun)

    @property
    def begun(self) -> tuple[Deployment, ...]:
        """Return the deployments that run and are not being cancelled."""
        return tuple(one for one in self.open if one.state is State.RUNNING and not one.cancel_by)

    @property
    def has_before_images(self) -> bool:
        """Return whether new images have to wait: for a commit, which brings them, or for what is being deployed."""
        waits = self.current is not None and self.current.rule is not AutoRule.IMAGE
        return waits or self.commit_is_open or bool(self.begun)

    @property
    def decided_images(self) -> tuple[tuple[Pin, ...], ...]:
        """Return the images of open deployments and of the last one, if that was automatic, however it ended."""
        open_ = tuple(one for one in self.open if not one.cancel_by)
        last = (self.last,) if self.last is not None and self.last.trigger else ()
        return tuple(one.plan.release.images for one in (*open_, *last))

    def on_its_way(self, commit: str) -> bool:
        """Return whether a deployment of a commit is still open and not being cancelled."""
        return any(one.plan.release.is_from(commit) and not one.cancel_by for one in self.open)


def target_state(tables: Tables, environment: Environment) -> TargetState:
    """Read the state of an environment."""
    app, name = environment.app, environment.name
    rows = {row.server: row for row in tables.running.get(app, name)}
    here = [one for one in tables.deployments.open() if (one.plan.app, one.plan.environment) == (app, name)]
    last = tables.deployments.recent(app, name, 1)
    return TargetState(
        seen=tables.triggers.considered(app, name),
        runs=tuple(rows[server] for server in environment.servers if server in rows),
        current=tables.triggers.current(app, name),
        open=tuple(here),
        good=tables.deployments.good(app, name, _GOOD_LOOK),
        last=last[0] if last else None,
        commit_is_open=any(is_of_commit(tables, one) for one in here),
    )


def is_of_commit(tables: Tables, deployment: Deployment) -> bool:
    """Return whether a branch, tag or release triggered a deployment that is not being cancelled."""
    trigger = tables.triggers.get(deployment.trigger) if deployment.trigger and not deployment.cancel_by else None
    return trigger is not None and trigger.rule is not AutoRule.IMAGE
