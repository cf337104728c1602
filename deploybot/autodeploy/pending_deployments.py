"""Turn triggers into deployments. Each waits for builds and the policy, and is then requested like any command.

The command is handled as usual, with the person `deploybot` as its sender. One transaction writes the deployment and
the end of its trigger. A bot that was killed resumes open triggers and deploys nothing twice.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import inf

from deploybot.autodeploy.commit_order import CommitOrder, newer_than
from deploybot.autodeploy.target_state import is_of_commit, was_there
from deploybot.autodeploy.trigger_records import TriggerRecords
from deploybot.autodeploy.watched_sources import IMAGES, WAITING_IMAGES, images_text
from deploybot.backoff import Backoff
from deploybot.card import Card
from deploybot.command import Incoming
from deploybot.domain import AUTO, Build, Channel, Deployment, Release, State, Trigger, TriggerState
from deploybot.errors import DeploybotError
from deploybot.events.build_verdicts import Light, judge
from deploybot.ports import Clock, Store, Tables
from deploybot.settings import App, Environment
from deploybot.settings.build_senders import forge_named

log = logging.getLogger(__name__)

NO_BUILD_KNOWN = 900.0
_RETRY = Backoff(30.0, 3600.0)
Handle = Callable[[Incoming, Callable[[Card], Awaitable[None]]], Awaitable[Card | None]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The policy's answer to a trigger now: why it is refused, and until when.

    `why` is empty if the trigger is allowed. `until` is 0.0 if the end is unknown.
    """

    why: str = ""
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class _Hold:
    """Why a trigger must wait, whether the channels should be notified, and when to check again without an event."""

    why: str
    with_card: bool
    until: float = inf


class TriggerRequests:
    """Processes triggers until they end, one at a time for each app."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        records: TriggerRecords,
        handle: Handle,
        refusal: Callable[[Trigger], Awaitable[Refusal]],
        callers: Iterable[str] = (),
    ) -> None:
        """Use the dispatcher's `handle`, and `refusal` to ask the policy without recording anything.

        `callers` are the senders that may call for all apps.
        """
        self._store = store
        self._clock = clock
        self._records = records
        self._handle = handle
        self._refusal = refusal
        self._callers = frozenset(callers)

    async def go_on(self, app: App, order: CommitOrder) -> float:
        """Process all open triggers of an app. Return the seconds until it is worth trying again without an event.

        `order` compares a trigger with what was deployed while it waited.
        """
        due = inf
        for trigger in await self._store.read(lambda tables: tables.triggers.pending(app.name)):
            due = min(due, await self._go_on(app, trigger, order))
        return max(due - self._clock.now(), 0.0)

    async def _go_on(self, app: App, trigger: Trigger, order: CommitOrder) -> float:
        """Process one trigger. Return the time at which to check it again."""
        environment = app.environments.get(trigger.environment)
        settled = await self._store.read(lambda tables: _settled(tables, environment, trigger))
        if settled is not None or environment is None or trigger.state is not TriggerState.OPEN:
            kept = settled or trigger
            if kept.state is not trigger.state or kept.shown not in {"", kept.state}:
                await self._put(app, kept, with_card=kept.state is TriggerState.ASKED)
            return inf
        if hold := await self._hold(app, environment, trigger):
            if hold.why != trigger.problem or (hold.with_card and not trigger.shown):
                await self._put(app, replace(trigger, problem=hold.why), with_card=hold.with_card)
            return hold.until
        # More than the longest pause can remain only if the clock was set back since.
        waits = 0 < trigger.next_at - self._clock.now() <= _RETRY.longest
        if waits:
            return trigger.next_at
        newer = await self._store.read(lambda tables: newer_than(tables, environment, trigger))
        try:
            problem = await order.first_newer(app, trigger.commit, newer)
        except DeploybotError as failure:
            return await self._later(app, replace(trigger, tries=trigger.tries + 1), str(failure))
        if not problem:
            return await self._ask_for(app, trigger)
        await self._put(app, replace(trigger, state=TriggerState.LEFT, problem=problem), with_card=True)
        return inf

    async def _put(self, app: App, trigger: Trigger, *, with_card: bool = False) -> None:
        await self._store.write(lambda tables: self._records.put(tables, app, trigger, with_card=with_card))

    async def _hold(self, app: App, environment: Environment, trigger: Trigger) -> _Hold | None:
        """Return the reason to wait: the commit's builds, an open deployment of the same release, or the policy."""
        auto = environment.auto
        if auto is not None and trigger.source != IMAGES:
            builds, image_waits = await self._store.read(lambda tables: _commit_of(tables, trigger))
            verdict = judge(auto, builds, trigger.source.partition("/")[2], forge_named(app, self._callers))
            late_at = trigger.made + NO_BUILD_KNOWN
            if verdict.light is Light.RED:
                return _Hold(verdict.why, with_card=True)
            if verdict.light is Light.WAITS:
                tells = verdict.unreported or image_waits
                late = tells and self._clock.now() >= late_at
                return _Hold(verdict.why, with_card=late, until=late_at if tells and not late else inf)
        if number := await self._store.read(lambda tables: _on_its_way(tables, trigger)):
            return _Hold(f"#{number} is about to deploy it", with_card=False)
        if number := await self._store.read(lambda tables: _before_images(tables, trigger)):
            return _Hold(f"#{number} comes first: images are deployed with the commit that runs", with_card=False)
        refusal = await self._refusal(trigger)
        return _Hold(refusal.why, with_card=True, until=refusal.until or inf) if refusal.why else None

    async def _ask_for(self, app: App, trigger: Trigger) -> float:
        """Send the command as `deploybot`. If it leads to no deployment, post the reason and retry later."""
        tried = replace(trigger, tries=trigger.tries + 1)
        await self._put(app, tried)
        log.info("%s/%s: %s", trigger.app, trigger.environment, trigger.command)
        card = await self._handle(_incoming(tried, self._clock.now()), _silence)
        kept = await self._store.read(lambda tables: tables.triggers.get(trigger.number))
        if kept is None or kept.state is not TriggerState.OPEN:
            if kept is not None and kept.shown:
                await self._put(app, kept)
            return inf
        why = " ".join(filter(None, (card.title, card.text))) if card else "The command got no answer."
        return await self._later(app, kept, why)

    async def _later(self, app: App, trigger: Trigger, why: str) -> float:
        """Post why a try failed. Return the time of the next one."""
        again = self._clock.now() + _RETRY.after(trigger.tries)
        await self._put(app, replace(trigger, problem=why, next_at=again), with_card=True)
        return again


def _incoming(trigger: Trigger, now: float) -> Incoming:
    """Return the command as a message. Each try has its own id, so a try that was interrupted can be repeated."""
    return Incoming(
        identity=AUTO,
        channel=Channel(AUTO.platform, f"{trigger.app}/{trigger.environment}", private=True),
        text=f"{trigger.command} because {trigger.why}",
        id=f"{trigger.number}.{trigger.tries}",
        at=now,
        name=AUTO.user,
        trigger=trigger.number,
    )


async def _silence(card: Card) -> None:
    """Ignore progress cards: they have no reader here."""
    del card


def _settled(tables: Tables, environment: Environment | None, trigger: Trigger) -> Trigger | None:
    """Return the trigger in its final state (or ASKED), or None if it is still to be deployed automatically."""
    if trigger.state.ended:
        return trigger
    if environment is None or environment.auto is None:
        return replace(trigger, state=TriggerState.LEFT, problem="`auto` in bot.toml no longer deploys there")
    if problem := was_there(tables, trigger):
        return replace(trigger, state=TriggerState.LEFT, problem=problem)
    if _runs(tables, environment, trigger):
        return replace(trigger, state=TriggerState.DONE, problem="")
    return replace(trigger, state=TriggerState.ASKED, problem="") if environment.auto.ask else None


def _commit_of(tables: Tables, trigger: Trigger) -> tuple[tuple[Build, ...], bool]:
    """Return the builds of a trigger's commit, and whether new images wait for it."""
    considered = tables.triggers.considered(trigger.app, trigger.environment)
    return tables.triggers.builds(trigger.app, trigger.commit), WAITING_IMAGES in considered


def _runs(tables: Tables, environment: Environment, trigger: Trigger) -> bool:
    """Return whether the release already runs healthy on all servers, for example deployed by a person.

    While something else is being deployed, it soon runs no longer.
    """
    if any(one.state is State.RUNNING and not _is_wanted(trigger, one.plan.release) for one in _open(tables, trigger)):
        return False
    rows = {row.server: row for row in tables.running.get(trigger.app, trigger.environment) if row.healthy}
    runs = [rows[server].release for server in environment.servers if server in rows]
    return bool(runs) and len(runs) == len(environment.servers) and all(_is_wanted(trigger, one) for one in runs)


def _on_its_way(tables: Tables, trigger: Trigger) -> int:
    """Return the number of an open deployment of the same release, or 0 if there is none or it is being cancelled."""
    for one in _open(tables, trigger):
        if _is_wanted(trigger, one.plan.release):
            return 0 if one.cancel_by else one.number
    return 0


def _before_images(tables: Tables, trigger: Trigger) -> int:
    """Return the number of the deployment for which an image waits: one that runs, or that of a commit; 0 if none."""
    before = (one for one in _open(tables, trigger) if one.state is not State.WAITING or is_of_commit(tables, one))
    return next((one.number for one in before if trigger.source == IMAGES), 0)


def _open(tables: Tables, trigger: Trigger) -> Iterator[Deployment]:
    """Yield the open deployments to the target of a trigger."""
    target = (trigger.app, trigger.environment)
    return (one for one in tables.deployments.open() if (one.plan.app, one.plan.environment) == target)


def _is_wanted(trigger: Trigger, release: Release) -> bool:
    """Return whether a release is what a trigger deploys."""
    return (
        images_text(release.images) == trigger.release if trigger.source == IMAGES else release.is_from(trigger.release)
    )
