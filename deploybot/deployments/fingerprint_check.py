"""Check whether what was requested is still what would be done, by asking the repository and the servers again."""

from __future__ import annotations

import logging
from dataclasses import replace

from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.fingerprint import binding_of, config_of, differences
from deploybot.deployments.planner import Planner
from deploybot.deployments.step_runner import UNREACHABLE_START
from deploybot.deployments.timeouts import TIMEOUTS, Timeouts
from deploybot.domain import Binding, Deployment, Plan, Release, Request
from deploybot.errors import Unreachable, UserError, Voided
from deploybot.ports import Clock
from deploybot.settings import App, Settings

log = logging.getLogger(__name__)


class FingerprintCheck:
    """Binds requests to plans, and finds what has changed since."""

    def __init__(self, settings: Settings, planner: Planner, clock: Clock, timeouts: Timeouts = TIMEOUTS) -> None:
        """Take bot.toml, the planner and the clock."""
        self._settings = settings
        self._planner = planner
        self._clock = clock
        self._timeouts = timeouts

    def bind(self, plan: Plan, ref: str | None) -> Binding:
        """Return what approvals of a plan are bound to; `ref` is what was typed, None if nothing was typed."""
        return binding_of(plan, self._settings, ref=ref)

    def kept(self, plan: Plan, request: Request) -> None:
        """Raise Voided if a plan differs from what was requested; the ref is not resolved again."""
        old = request.binding
        if changed := differences(old, binding_of(plan, self._settings, ref=old.ref), down=plan.down):
            raise Voided(changed)

    async def changes(self, deployment: Deployment, request: Request) -> tuple[str, ...]:
        """Return what has changed since the request, as sentences: release, config, what it replaces, steps.

        Raises Unreachable if that cannot be determined now, UserError if the plan is no longer possible.
        """
        old, plan = request.binding, deployment.plan
        known = replace(old, config=config_of(plan, self._settings))
        if not known.config:
            return (f"config: bot.toml no longer has {plan.app} {plan.environment}",)
        app = self._settings.apps[plan.app]
        meant = await self._meaning(app, plan, old)
        if meant is None:
            return differences(old, replace(known, release=None))
        known = replace(known, release=meant.bare())
        try:
            again = await self._planner.again(app, app.environments[plan.environment], plan)
        except UserError:
            if found := differences(old, known):
                return found
            raise
        return differences(old, binding_of(again, self._settings, ref=old.ref, release=meant), down=again.down)

    async def _meaning(self, app: App, plan: Plan, old: Binding) -> Release | None:
        """Return what the typed ref means now, None if it no longer exists; the release itself if no ref was typed."""
        if old.ref is None:
            return plan.release
        return await self._planner.meaning(app, app.environments[plan.environment], old.ref)

    async def insist(self, deployment: Deployment, request: Request, stop: CancellationWatch) -> None:
        """Raise Voided if something has changed, or the reason of a cancellation.

        A server or repository that does not answer is retried for UNREACHABLE_START seconds; then raises Unreachable.
        """
        last = self._clock.now() + UNREACHABLE_START
        while True:
            if stop.why is not None:
                raise stop.why
            try:
                changed = await stop.before(self.changes(deployment, request))
            except Unreachable as problem:
                if self._clock.now() > last:
                    raise
                log.info("#%s could not be checked yet: %s", deployment.number, problem)
            else:
                if changed:
                    raise Voided(changed)
                if changed is not None:
                    return
            await stop.pause(self._timeouts.recheck_pause)
