"""Compare what runs after a switch with what the release should run, and check that it stays up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from deploybot.backoff import Backoff
from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.health_gate import HealthGate
from deploybot.deployments.release_shortfalls import shortfalls
from deploybot.deployments.stability import changes_between, others_than
from deploybot.domain import Effect, EffectKind, Gate, Manifest, Observed, WatchBaseline
from deploybot.errors import EngineError, Unhealthy, Unreachable
from deploybot.observed_state import SETTINGS_LABEL, has_ended, observe
from deploybot.ports import Clock, Servers
from deploybot.settings import App, Environment, project_name
from deploybot.units import show_duration

_PAUSES = Backoff(0.2, 2.0, factor=1.6)
OBSERVE_WITHIN = 10.0
_LOOKS = 60
"""About how many times a server is observed in a long watch."""


class Verifier:
    """Verifies a release on a server against its manifest."""

    def __init__(self, servers: Servers, gate: HealthGate, clock: Clock) -> None:
        """Take the ports, and the gate that reads the last log lines of failed containers."""
        self._servers = servers
        self._gate = gate
        self._clock = clock

    async def settle(
        self,
        app: App,
        environment: Environment,
        server: str,
        manifest: Manifest,
        stop: CancellationWatch,
        *,
        since: float,
    ) -> Observed:
        """Return what runs once every service runs exactly its image and is healthy.

        Raises Unhealthy for what cannot recover, or if the time for a start is over `since` then; or the reason in
        `stop`.
        """
        limit = _limit(app, environment)
        end = since + limit
        pauses = iter(_PAUSES)
        while True:
            observed, hopeless, waiting = await self._shortfalls(app, environment, server, manifest)
            if observed is not None and not hopeless and not waiting:
                return observed
            if stop.why is not None:
                raise stop.why
            pause = next(pauses)
            if hopeless or self._clock.now() + pause > end:
                await self._fail(app, environment, server, manifest, hopeless or _late(waiting, limit))
            await stop.pause(pause)

    def watches(self, app: App, manifest: Manifest) -> bool:
        """Return whether there is anything to watch."""
        return bool(app.stable and manifest.services)

    async def baseline(self, app: App, environment: Environment, server: str, stop: CancellationWatch) -> WatchBaseline:
        """Return what a watch that begins now compares with. Raises as `settle` does."""
        first = await self._observed(app, environment, server, self._clock.now() + OBSERVE_WITHIN, stop)
        return WatchBaseline.of(first, self._clock.now())

    async def stay(
        self,
        app: App,
        environment: Environment,
        server: str,
        manifest: Manifest,
        stop: CancellationWatch,
        *,
        first: WatchBaseline,
        end: float,
    ) -> Observed:
        """Return what runs if everything is still up at `end` (Unix time), and nothing restarted since `first`.

        It observes once at least, even if that time is over. Raises as `settle` does.
        """
        longest = max(_PAUSES.longest, (end - self._clock.now()) / _LOOKS)
        while True:
            if (left := end - self._clock.now()) > 0:
                await stop.pause(min(left, longest))
            if stop.why is not None:
                raise stop.why
            now = await self._observed(app, environment, server, max(end, self._clock.now()) + OBSERVE_WITHIN, stop)
            if unstable := changes_between(first, now, manifest):
                await self._fail(app, environment, server, manifest, unstable)
            if self._clock.now() >= end:
                return now

    async def same(
        self,
        app: App,
        environment: Environment,
        server: str,
        manifest: Manifest,
        stop: CancellationWatch,
        *,
        first: WatchBaseline | None,
    ) -> None:
        """Insist that containers run the images of a release, and are those of `first`, whether they are up or not.

        Raises as `settle` does.
        """
        now = await self._observed(app, environment, server, self._clock.now() + OBSERVE_WITHIN, stop)
        if others := others_than(first, now, manifest):
            await self._fail(app, environment, server, manifest, others)

    async def is_as_before(self, app: App, environment: Environment, server: str, manifest: Manifest) -> bool:
        """Return whether all that is wrong was recorded as unhealthy before: a retry would not change that."""
        kept = tuple(one for one in manifest.services if not one.unwell)
        if len(kept) == len(manifest.services):
            return False
        observed, hopeless, waiting = await self._shortfalls(app, environment, server, replace(manifest, services=kept))
        return observed is not None and not hopeless and not waiting

    async def _shortfalls(
        self, app: App, environment: Environment, server: str, manifest: Manifest
    ) -> tuple[Observed | None, list[str], list[str]]:
        try:
            observed = await self._look(app, environment, server)
        except (Unreachable, EngineError) as problem:
            return None, [], [str(problem)]
        return (observed, *shortfalls(observed, manifest))

    async def _observed(
        self, app: App, environment: Environment, server: str, end: float, stop: CancellationWatch
    ) -> Observed:
        """Observe; retry while a server does not answer for a moment."""
        while True:
            try:
                return await self._look(app, environment, server)
            except (Unreachable, EngineError) as problem:
                if self._clock.now() > end:
                    raise Unhealthy(server, str(problem)) from problem
            await stop.pause(_PAUSES.first)
            if stop.why is not None:
                raise stop.why

    async def _look(self, app: App, environment: Environment, server: str) -> Observed:
        return await observe(self._servers, app, environment, server, timeout=OBSERVE_WITHIN)

    async def _fail(self, app: App, environment: Environment, server: str, manifest: Manifest, why: list[str]) -> None:
        gate = Gate(kind="docker", target=project_name(app, environment))
        services = {one.service for one in manifest.services}
        raise Unhealthy(server, ", ".join(why), await self._gate.last_words(server, gate, services))


def _limit(app: App, environment: Environment) -> float:
    """Return how long containers may take to start: as long as the health check may take, too, if that is longer."""
    there = app.at(environment)
    return max(there.compose.wait, there.health.within) if there.health else there.compose.wait


def _late(waiting: list[str], limit: float) -> list[str]:
    """Add to what is not up in time which setting gives it more, if it only needs more."""
    if not all(words.endswith(" is starting") for words in waiting):
        return waiting
    return [*waiting[:-1], f"{waiting[-1]} (after {show_duration(limit)}: raise compose.wait if it needs more)"]


def as_verified(manifest: Manifest, observed: Observed, effects: Iterable[Effect] = ()) -> Manifest:
    """Add to a record which services had ended when the release was verified: these are jobs.

    Of the services whose containers stayed by the plan's `effects`, a container that a person made has no settings of
    ours, and keeps running so.
    """
    services = observed.services
    stayed = {one.service for one in effects if one.kind in {EffectKind.KEPT, EffectKind.STARTED}}
    by_hand = {name for name in stayed if name in services and not services[name][0].label(SETTINGS_LABEL)}
    return replace(
        manifest,
        services=tuple(
            replace(
                one,
                ended=has_ended(services.get(one.service, ())),
                settings="" if one.service in by_hand else one.settings,
            )
            for one in manifest.services
        ),
    )


def as_restored(manifest: Manifest, observed: Observed) -> Manifest:
    """Add to a record with which settings its services were seen to run: their files may yield others by now."""
    services = observed.services
    labels = {name: ones[0].label(SETTINGS_LABEL) for name, ones in services.items()}
    return replace(
        manifest,
        services=tuple(replace(one, settings=labels.get(one.service, one.settings)) for one in manifest.services),
    )
