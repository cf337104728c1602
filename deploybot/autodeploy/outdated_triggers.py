"""End triggers and waiting automatic deployments that are no longer wanted: their source moved on or was deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from deploybot.autodeploy.trigger_cards import plain
from deploybot.autodeploy.trigger_records import TriggerRecords
from deploybot.autodeploy.watched_sources import IMAGES, Found, There
from deploybot.domain import AutoRule, Deployment, Release, State, Trigger, TriggerState
from deploybot.events.watched_refs import fits
from deploybot.ports import Store, Tables
from deploybot.settings import App


class WaitingDeployments(Protocol):
    """The part of the queue that ends automatic deployments which have not started."""

    def drop(self, tables: Tables, number: int, why: str) -> None:
        """End a waiting deployment with a reason, in the caller's transaction."""

    def wake(self, numbers: Sequence[int]) -> None:
        """Let the tasks of deployments read their rows again, after that transaction."""


class OutdatedTriggers:
    """Ends what waits, each with the reason on its card. Deployments that people requested are left alone."""

    def __init__(self, store: Store, records: TriggerRecords, queue: WaitingDeployments | None) -> None:
        """Take the ports. `queue` is None where no deployments wait."""
        self._store = store
        self._records = records
        self._queue = queue

    def passed(
        self, tables: Tables, app: App, environment: str, moved: Sequence[Found], is_wanted: Callable[[Release], bool]
    ) -> list[int]:
        """End what waits for older values of sources that moved on to values which need no deployment.

        Keep deployments of a release that is wanted now. Return the numbers of the deployments that ended.
        """

        def why(trigger: Trigger) -> str:
            newer = next((one for one in moved if _replaces(one, trigger)), None)
            return f"Newer: {plain(newer.words)}, which needs no deployment of its own" if newer else ""

        current = tables.triggers.current(app.name, environment)
        if current is not None and (problem := why(current)):
            commits = {one.commit for one in moved if one.commit}
            if current.source == IMAGES or current.commit not in commits:
                self._records.put(tables, app, replace(current, state=TriggerState.OVERTAKEN, problem=problem))
        waiting = _waiting(tables, app.name, environment)
        return self._drop(tables, [(one, why(by)) for one, by in waiting if not is_wanted(one.plan.release)])

    def moved_back(self, tables: Tables, app: App, trigger: Trigger, is_wanted: Callable[[Release], bool]) -> list[int]:
        """End deployments that wait for a value which the source of a trigger that was left no longer has."""
        waiting = _waiting(tables, app.name, trigger.environment)
        why = f"Newer: {trigger.why}, which is not deployed automatically"
        return self._drop(
            tables,
            [(one, why) for one, by in waiting if by.source == trigger.source and not is_wanted(one.plan.release)],
        )

    async def withdraw(self, app: App, there: There) -> None:
        """Drop what waits for a deleted branch, tag or release: the deletion means that it is no longer wanted."""

        def gone(tables: Tables) -> tuple[list[tuple[Trigger, str]], list[tuple[Deployment, str]]]:
            triggers = [one for one in tables.triggers.pending(app.name) if not one.state.ended]
            return (
                [(one, why) for one in triggers if (why := _deletion(app, one, there))],
                [(one, why) for one, by in _waiting(tables, app.name) if (why := _deletion(app, by, there))],
            )

        def withdraw(tables: Tables) -> list[int]:
            triggers, deployments = gone(tables)
            for one, problem in triggers:
                self._records.put(tables, app, replace(one, state=TriggerState.LEFT, problem=problem))
            return self._drop(tables, deployments)

        if any(await self._store.read(gone)):
            self.wake(await self._store.write(withdraw))

    def wake(self, numbers: Sequence[int]) -> None:
        """Let the tasks of deployments that ended stop, once the transaction is committed."""
        if self._queue is not None and numbers:
            self._queue.wake(numbers)

    def _drop(self, tables: Tables, deployments: Sequence[tuple[Deployment, str]]) -> list[int]:
        ended = []
        for one, why in deployments:
            if self._queue is not None and why:
                self._queue.drop(tables, one.number, why)
                ended.append(one.number)
        return ended


def source_text(where: str) -> str:
    """Return `The branch develop` or `The tag v1.4`."""
    kind, _, name = where.partition("/")
    return f"The {'branch' if kind == 'heads' else 'tag'} {plain(name)}"


def _waiting(tables: Tables, app: str, environment: str = "") -> Iterator[tuple[Deployment, Trigger]]:
    """Yield the automatic deployments of an app or target that have not started, each with its trigger."""
    for one in tables.deployments.open():
        is_here = one.plan.app == app and environment in {"", one.plan.environment}
        if is_here and one.trigger and one.state is State.WAITING and not one.cancel_by:
            trigger = tables.triggers.get(one.trigger)
            if trigger is not None:
                yield one, trigger


def _replaces(found: Found, trigger: Trigger) -> bool:
    """Return whether a value takes the place of the one that caused a trigger: same branch, images, or rule of tags."""
    if found.where == trigger.source:
        return True
    return found.where.startswith("tags/") and found.rule is trigger.rule


def _deletion(app: App, trigger: Trigger, there: There) -> str:
    """Return that the branch, tag or release of a trigger was deleted, or an empty text if it still exists."""
    kind, _, name = trigger.source.partition("/")
    known = there.heads.branches if kind == "heads" else there.heads.tags
    if trigger.source != IMAGES and name not in known:
        return f"{source_text(trigger.source)} was deleted"
    environment = app.environments.get(trigger.environment)
    auto = environment.auto if environment is not None else None
    if auto is None or trigger.rule is not AutoRule.RELEASE or name in there.published:
        return ""
    return "" if auto.tag and fits(auto.tag, name) else f"The release {plain(name)} was deleted"
