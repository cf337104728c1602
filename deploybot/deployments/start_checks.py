"""The checks between a deployment's turn and its first step: check everything again, and make a new plan."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from math import inf
from typing import TypeVar

from deploybot.deployments.approvals import Approvals
from deploybot.deployments.auto_targets import insist_same_files, insist_unedited
from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.fingerprint_check import FingerprintCheck
from deploybot.deployments.planner import Planner
from deploybot.deployments.policy_lookup import PolicyQuestions
from deploybot.deployments.step_execution import lost_from
from deploybot.deployments.step_runner import UNREACHABLE_START
from deploybot.domain import Deployment, Kind, Plan, Request, State
from deploybot.errors import Unreachable, UserError
from deploybot.policy import decide
from deploybot.ports import Clock, Store, Tables
from deploybot.settings import App, Settings

T = TypeVar("T")

log = logging.getLogger(__name__)

PAUSE = 2.0
_LOOK_BACK = 50
_PUTS = frozenset({Kind.DEPLOY, Kind.ROLLBACK})


class Beginning:
    """Lets deployments begin, unless it `rests` because the bot is about to stop."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        clock: Clock,
        planner: Planner,
        approvals: Approvals,
        fingerprints: FingerprintCheck,
        queue_card: Callable[[Tables, int], None],
    ) -> None:
        """Take the ports and parts; `queue_card(tables, number)` queues a deployment's card in the same transaction."""
        self._settings = settings
        self._store = store
        self._clock = clock
        self._planner = planner
        self._approvals = approvals
        self._fingerprints = fingerprints
        self._queue_card = queue_card
        self._questions = PolicyQuestions(settings, clock)
        self.rests = False

    async def begin(
        self, deployment: Deployment, stop: CancellationWatch, *, resumed: bool = False
    ) -> Deployment | None:
        """Let a deployment begin when its turn has come, with a new plan if it waited; None if it lacks approvals.

        One that had begun may be `resumed` after a start of the bot. If no step has begun, it gets a new plan, too,
        because its plan may be as old as the bot was down. Raises what prevents it: Denied, Locked, Voided,
        Unreachable, UserError, or the reason of a cancellation.
        """
        if deployment.state is not State.WAITING:
            return await self._go_on(deployment, stop, resumed=resumed)
        await self._look_again(deployment, stop)
        return await self._begin_planned_again(deployment, stop)

    async def _go_on(self, deployment: Deployment, stop: CancellationWatch, *, resumed: bool) -> Deployment | None:
        """Resume a deployment that has begun; before its first step, check rights and approvals again."""
        steps = await self._store.read(lambda tables: tables.deployments.steps(deployment.number))
        if steps or deployment.state is not State.RUNNING or stop.why is not None:
            return deployment
        await self._look_again(deployment, stop)
        if not resumed or lost_from(self._settings, deployment.plan):
            return deployment  # if bot.toml lost something, the runner ends it and says so
        return await self._begin_planned_again(deployment, stop)

    async def _begin_planned_again(self, deployment: Deployment, stop: CancellationWatch) -> Deployment | None:
        plan = await self._plan_again(deployment, stop)
        return await self._store.write(lambda tables: self._move_on(tables, deployment, plan))

    async def _look_again(self, deployment: Deployment, stop: CancellationWatch) -> None:
        """Raise what prevents it from beginning: Denied, Locked, Voided, or the reason of a cancellation.

        If only approvals are missing, the transaction in which it begins handles that.
        """
        deployment = await self._with_origin(deployment, stop)

        def look(tables: Tables) -> Request | None:
            _insist_on_newest(tables, deployment)
            question = self._questions.may_begin(tables, deployment)
            decision = decide(question)
            if not decision.waits or deployment.state is not State.WAITING:
                self._questions.refuse(question, decision)
            return tables.requests.get(deployment.number)

        request = await self._store.read(look)
        if request is not None:
            await self._fingerprints.insist(deployment, request, stop)

    def frozen_until(self, tables: Tables, number: int) -> float:
        """Return until when a freeze stops a deployment (Unix time); 0.0 if none does, or if it has no end."""
        deployment = tables.deployments.get(number)
        if deployment is None or deployment.state.ended:
            return 0.0
        question = self._questions.may_begin(tables, deployment)
        is_frozen = question.frozen is not None and question.frozen.until < inf and decide(question).frozen
        return question.frozen.until if question.frozen and is_frozen else 0.0

    def _move_on(self, tables: Tables, deployment: Deployment, plan: Plan) -> Deployment | None:
        """Let it begin, if the policy still allows it in this same transaction; return None if it lacks approvals.

        Only what was approved may run: raises Voided if the new plan differs. The commit is judged by what the
        repository said for the new plan.
        """
        now = tables.deployments.get(deployment.number)
        if now is None or now.state.ended or self.rests:
            return None  # it was rejected or replaced by a newer one during the checks
        question = self._questions.may_begin(tables, replace(deployment, plan=plan))
        decision = decide(question)
        if decision.waits and now.state is State.WAITING:
            self._approvals.send_back(tables, replace(deployment, plan=plan))
            return None
        self._questions.refuse(question, decision)
        request = tables.requests.get(deployment.number)
        if request is not None:
            self._fingerprints.kept(plan, request)
        tables.deployments.replan(deployment.number, plan, begun=True)
        moved = tables.deployments.move(deployment.number, State.RUNNING, now=self._clock.now())
        self._queue_card(tables, deployment.number)
        return moved

    async def _with_origin(self, deployment: Deployment, stop: CancellationWatch) -> Deployment:
        """Return the deployment with what the repository says about its commit now, which a push may have changed."""
        plan = deployment.plan
        app = self._settings.apps.get(plan.app)
        environment = app.environments.get(plan.environment) if app else None
        if app is None or environment is None:
            return deployment  # the new plan reports that

        async def look() -> Deployment:
            origin = await self._planner.origin(app, environment, plan)
            return replace(deployment, plan=replace(plan, origin=origin))

        return await self._answered(deployment, stop, look)

    async def _plan_again(self, deployment: Deployment, stop: CancellationWatch) -> Plan:
        """Plan the same again against the present state, which the deployment before has changed."""
        old = deployment.plan
        app = self._settings.apps.get(old.app)
        environment = app.environments.get(old.environment) if app else None
        if app is None or environment is None:
            raise UserError(f"bot.toml no longer has {old.app} {old.environment}")

        async def plan() -> Plan:
            new = await self._planner.again(app, environment, old)
            if deployment.trigger:
                await self._insist_on_order(app, old, new)
            await insist_unedited(self._store, new, is_automatic=bool(deployment.trigger))
            insist_same_files(old, new)
            return new

        return await self._answered(deployment, stop, plan)

    async def _insist_on_order(self, app: App, old: Plan, new: Plan) -> None:
        """Raise UserError if an automatic deployment would replace something newer, deployed while it waited."""
        fresh = [one for one in new.replaced if one not in old.replaced]
        newer = await self._planner.releases.newer_of(app, new.release, fresh)
        if newer is not None:
            raise UserError(f"{new.release} is older than {newer}, which runs there")

    async def _answered(
        self, deployment: Deployment, stop: CancellationWatch, ask: Callable[[], Coroutine[object, object, T]]
    ) -> T:
        """Ask until there is an answer.

        People may not be watching any more, so what does not answer is retried for UNREACHABLE_START seconds. Raises
        what prevents the deployment, or the reason of a cancellation.
        """
        last = self._clock.now() + UNREACHABLE_START
        while True:
            if stop.why is not None:
                raise stop.why
            try:
                if (answer := await stop.before(ask())) is not None:
                    return answer
            except Unreachable as problem:
                if self._clock.now() > last:
                    raise
                log.info("#%s could not be planned yet: %s", deployment.number, problem)
            await stop.pause(PAUSE)


def _insist_on_newest(tables: Tables, deployment: Deployment) -> None:
    """Raise UserError if something newer was deployed while a deployment waited for the end of a freeze.

    That was urgent: break glass, or a rollback. What waited would replace it unnoticed.
    """
    if not deployment.frozen_until:
        return
    plan = deployment.plan
    for one in tables.deployments.recent(plan.app, plan.environment, _LOOK_BACK):
        meanwhile = one.number > deployment.number and one.started < deployment.frozen_until
        if meanwhile and one.state is State.SUCCEEDED and one.plan.kind in _PUTS:
            raise UserError(f"#{one.number} deployed {one.plan.release} while this waited for the end of the freeze")
