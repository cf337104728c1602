"""Turn triggers into deployments. Each waits for builds and the policy, and is then requested like any command.

The command is handled as usual, with the person `deploybot` as its sender. One transaction writes the deployment and
the end of its trigger. A bot that was killed resumes open triggers and deploys nothing twice.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from math import inf

from deploybot.autodeploy.trigger_records import TriggerBook
from deploybot.autodeploy.watched_sources import IMAGES, images_text
from deploybot.backoff import Backoff
from deploybot.card import Card
from deploybot.command import Incoming
from deploybot.domain import AUTO, Place, Release, Trigger, TriggerState
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
    """Why a trigger has to wait, whether the channels should be notified, and when to check again without an event."""

    why: str
    aloud: bool
    until: float = inf


class TriggerRequests:
    """Processes triggers until they end, one at a time for each app."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        book: TriggerBook,
        handle: Handle,
        refusal: Callable[[Trigger], Awaitable[Refusal]],
        callers: Iterable[str] = (),
    ) -> None:
        """Use the dispatcher's `handle`, and `refusal` to ask the policy without recording anything.

        `callers` are the senders that may call for all apps.
        """
        self._store = store
        self._clock = clock
        self._book = book
        self._handle = handle
        self._refusal = refusal
        self._callers = frozenset(callers)

    async def go_on(self, app: App) -> float:
        """Process all open triggers of an app. Return the seconds until it is worth trying again without an event."""
        due = inf
        for wish in await self._store.read(lambda tables: tables.wishes.pending(app.name)):
            due = min(due, await self._go_on(app, wish))
        return max(due - self._clock.now(), 0.0)

    async def _go_on(self, app: App, wish: Trigger) -> float:
        """Process one trigger. Return the time at which to check it again."""
        environment = app.environments.get(wish.environment)
        settled = await self._store.read(lambda tables: _settled(tables, environment, wish))
        if settled is not None or environment is None or wish.state is not TriggerState.OPEN:
            kept = settled or wish
            if kept.state is not wish.state or kept.shown not in {"", kept.state}:
                await self._put(app, kept, aloud=kept.state is TriggerState.ASKED)
            return inf
        if hold := await self._hold(app, environment, wish):
            if hold.why != wish.problem or (hold.aloud and not wish.shown):
                await self._put(app, replace(wish, problem=hold.why), aloud=hold.aloud)
            return hold.until
        # More than the longest pause can remain only if the clock was set back since.
        waits = 0 < wish.next_at - self._clock.now() <= _RETRY.longest
        return wish.next_at if waits else await self._ask_for(app, wish)

    async def _put(self, app: App, wish: Trigger, *, aloud: bool = False) -> None:
        await self._store.write(lambda tables: self._book.put(tables, app, wish, aloud=aloud))

    async def _hold(self, app: App, environment: Environment, wish: Trigger) -> _Hold | None:
        """Return the reason to wait: the commit's builds, an open deployment of the same release, or the policy."""
        auto = environment.auto
        if auto is not None and wish.source != IMAGES:
            builds = await self._store.read(lambda tables: tables.wishes.builds(wish.app, wish.commit))
            verdict = judge(auto, builds, wish.source.partition("/")[2], forge_named(app, self._callers))
            unheard = wish.made + NO_BUILD_KNOWN
            if verdict.light is Light.RED:
                return _Hold(verdict.why, aloud=True)
            if verdict.light is Light.WAITS:
                late = verdict.unheard and self._clock.now() >= unheard
                return _Hold(verdict.why, aloud=late, until=unheard if verdict.unheard and not late else inf)
        if number := await self._store.read(lambda tables: _on_its_way(tables, wish)):
            return _Hold(f"#{number} is about to deploy it", aloud=False)
        refusal = await self._refusal(wish)
        return _Hold(refusal.why, aloud=True, until=refusal.until or inf) if refusal.why else None

    async def _ask_for(self, app: App, wish: Trigger) -> float:
        """Send the command as `deploybot`. If it leads to no deployment, post the reason and retry later."""
        tried = replace(wish, tries=wish.tries + 1)
        await self._put(app, tried)
        log.info("%s/%s: %s", wish.app, wish.environment, wish.command)
        card = await self._handle(_incoming(tried, self._clock.now()), _silence)
        kept = await self._store.read(lambda tables: tables.wishes.get(wish.number))
        if kept is None or kept.state is not TriggerState.OPEN:
            if kept is not None and kept.shown:
                await self._put(app, kept)
            return inf
        why = " ".join(filter(None, (card.title, card.text))) if card else "The command got no answer."
        again = self._clock.now() + _RETRY.after(tried.tries)
        await self._put(app, replace(kept, problem=why, next_at=again), aloud=True)
        return again


def _incoming(wish: Trigger, now: float) -> Incoming:
    """Return the command as a message. Each try has its own id, so a try that was interrupted can be repeated."""
    return Incoming(
        identity=AUTO,
        place=Place(AUTO.platform, f"{wish.app}/{wish.environment}", private=True),
        text=f"{wish.command} because {wish.why}",
        id=f"{wish.number}.{wish.tries}",
        at=now,
        name=AUTO.user,
        wish=wish.number,
    )


async def _silence(card: Card) -> None:
    """Ignore progress cards: they have no reader here."""
    del card


def _settled(tables: Tables, environment: Environment | None, wish: Trigger) -> Trigger | None:
    """Return the trigger in its final state (or ASKED), or None if it still has to be deployed automatically."""
    if wish.state.ended:
        return wish
    if environment is None or environment.auto is None:
        return replace(wish, state=TriggerState.LEFT, problem="`auto` in bot.toml no longer deploys there")
    if number := tables.wishes.once(wish.app, wish.environment, wish.release):
        return replace(wish, state=TriggerState.LEFT, problem=f"It was already deployed automatically, as #{number}")
    if _runs(tables, environment, wish):
        return replace(wish, state=TriggerState.DONE, problem="")
    return replace(wish, state=TriggerState.ASKED, problem="") if environment.auto.ask else None


def _runs(tables: Tables, environment: Environment, wish: Trigger) -> bool:
    """Return whether the release already runs healthy on all servers, for example deployed by a person."""
    rows = {row.server: row for row in tables.running.get(wish.app, wish.environment) if row.healthy}
    runs = [rows[server].release for server in environment.servers if server in rows]
    return bool(runs) and len(runs) == len(environment.servers) and all(_is_wanted(wish, one) for one in runs)


def _on_its_way(tables: Tables, wish: Trigger) -> int:
    """Return the number of an open deployment of the same release, or 0 if there is none or it is being cancelled."""
    for one in tables.deployments.open():
        here = (one.plan.app, one.plan.environment) == (wish.app, wish.environment)
        if here and _is_wanted(wish, one.plan.release):
            return 0 if one.cancel_by else one.number
    return 0


def _is_wanted(wish: Trigger, release: Release) -> bool:
    """Return whether a release is what a trigger deploys."""
    return images_text(release.images) == wish.release if wish.source == IMAGES else release.is_from(wish.release)
