"""Deployments as commands use them: request, approve, cancel and show them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from deploybot.card import Card
from deploybot.command import Context
from deploybot.command_parameters import StartTime
from deploybot.deployments.approvals import Approvals
from deploybot.deployments.auto_targets import in_the_way, insist_unedited, skipped_by
from deploybot.deployments.break_glass import BreakGlass, glass_text, notified_text
from deploybot.deployments.card_publisher import CardPublisher
from deploybot.deployments.card_titles import audit_text, headline
from deploybot.deployments.deployment_card import deployment_card
from deploybot.deployments.deployment_queue import Queue
from deploybot.deployments.dry_run import DryRun
from deploybot.deployments.planner import Planner
from deploybot.deployments.policy_lookup import PolicyQuestions, required
from deploybot.deployments.promotion import Promotion
from deploybot.deployments.queue_card import OpenDeployment, queue_card
from deploybot.deployments.ref_resolution import Releases
from deploybot.deployments.scheduled_starts import start_of
from deploybot.deployments.step_logs import Journal
from deploybot.deployments.vetoes import Vetoes
from deploybot.domain import Deployment, Kind, Person, Phase, Plan, Release, Request, State
from deploybot.errors import Cancelled, UserError
from deploybot.metrics import METRICS
from deploybot.policy import ActiveFreeze, PolicyQuestion, decide
from deploybot.ports import Clock, Store, Tables
from deploybot.settings import App, Environment, Settings

_NEW_PLAN = "a new plan, because another deployment has ended since this one was planned"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _PlannedRequest:
    """A planned request, with the request for the approvals that it needs.

    `ends` is how many deployments of the target had ended when its planning began.
    """

    ctx: Context
    person: Person
    plan: Plan
    request: Request | None
    not_before: float
    now: float
    ends: int
    glass: bool = False

    @property
    def trigger(self) -> int:
        """Return the number of the trigger that caused it; 0 if a person asked."""
        return self.ctx.incoming.trigger


class DeploymentEngine:
    """Implements `command.DeploymentService`. Its `queue` runs the deployments; its `releases` resolve refs."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        clock: Clock,
        planner: Planner,
        journal: Journal,
        publisher: CardPublisher,
        approvals: Approvals,
        queue: Queue,
        releases: Releases,
        glass: BreakGlass,
        promotion: Promotion,
        vetoes: Vetoes,
    ) -> None:
        """Take the ports and parts."""
        self._settings = settings
        self._store = store
        self._clock = clock
        self._planner = planner
        self._journal = journal
        self._publisher = publisher
        self._approvals = approvals
        self._glass = glass
        self._promotion = promotion
        self._questions = PolicyQuestions(settings, clock)
        self._dry_run = DryRun(settings, store, publisher.mask, self._questions)
        self.veto = vetoes.veto
        self.queue = queue
        self.releases = releases

    async def request(
        self,
        ctx: Context,
        app: App,
        environment: Environment,
        release: Release,
        *,
        rollback: bool = False,
        servers: Sequence[str] = (),
        dry_run: bool = False,
        at: StartTime | None = None,
        remove_orphans: bool = False,
        break_glass: bool = False,
        code: str = "",
        promoted_from: str = "",
    ) -> Card:
        """Plan a release and run it when its turn comes, not before `at`; or only show the plan.

        If the environment needs approvals, the deployment first waits for them, unless an admin breaks the glass, with
        a `code` if they have enrolled. `remove_orphans` removes containers of the project that are in no Compose file,
        including those that the bot did not make. `promoted_from` is the environment whose release it is.
        """
        typed = None if release.deployment else release.typed
        release = await self.releases.names.of_request(environment, release, ctx.incoming.trigger)
        if break_glass and at:
            raise UserError(
                "A break-glass deployment starts now, so it cannot be scheduled.", hint="Leave `--at` and `--in` out."
            )
        origin = await self._planner.releases.origin(app, environment, release, back=rollback)
        kind = Kind.ROLLBACK if rollback else Kind.DEPLOY
        not_before = start_of(at, self._settings.bot.timezone, self._clock.now())
        first = Plan(kind=kind, app=app.name, environment=environment.name, release=release, servers=(), origin=origin)
        frozen = await self._insist(ctx, first, glass=break_glass, starts=not_before, dry_run=dry_run)
        if break_glass and not dry_run:
            await self._glass.insist(ctx, code)
        ends = self.queue.ends(app.name, environment.name)
        plan = await self._planner.deploy(
            app,
            environment,
            release,
            rollback=rollback,
            servers=servers,
            remove_orphans=remove_orphans,
            origin=origin,
            promoted_from=promoted_from,
        )
        await insist_unedited(self._store, plan, is_automatic=bool(ctx.incoming.trigger))
        if dry_run:
            return await self._dry_run.card(
                plan, reason=ctx.reason, begins=not_before, frozen=frozen, glass=break_glass
            )
        thaw = frozen.until if frozen else 0.0
        return await self._add(ctx, plan, ends, not_before, typed=typed, glass=break_glass, thaw=thaw)

    async def promote(
        self,
        ctx: Context,
        app: App,
        environment: Environment,
        *,
        dry_run: bool = False,
        at: StartTime | None = None,
        break_glass: bool = False,
        code: str = "",
    ) -> Card:
        """Deploy exactly what runs healthy in the environment before, as `request` does."""
        release = await self.promotable(app, environment)
        return await self.request(
            ctx,
            app,
            environment,
            release,
            dry_run=dry_run,
            at=at,
            break_glass=break_glass,
            code=code,
            promoted_from=environment.after or "",
        )

    async def promotable(self, app: App, environment: Environment) -> Release:
        """Return what runs healthy in the environment before, unless all servers of this one run it already."""
        return await self._promotion.release(app, environment)

    async def _insist(
        self, ctx: Context, plan: Plan, *, glass: bool, starts: float, dry_run: bool
    ) -> ActiveFreeze | None:
        """Check the policy before any server is asked. Raises Denied, Locked or TargetFrozen.

        Return the freeze if it does not stop the request: a dry run, or an automatic deployment that waits for its end.
        """
        person = required(ctx.person)
        question = await self._store.read(
            lambda tables: self._questions.may_request(tables, person.id, plan, glass=glass, starts=starts)
        )
        decision = decide(question)
        if decision.frozen and (dry_run or (ctx.incoming.trigger and question.waits_for_thaw)):
            return question.frozen
        self._questions.refuse(question, decision)
        return None

    async def restart(self, ctx: Context, app: App, environment: Environment) -> Card:
        """Restart what runs."""
        ends = self.queue.ends(app.name, environment.name)
        return await self._add(ctx, await self._planner.restart(app, environment), ends)

    async def task(self, ctx: Context, app: App, environment: Environment, task: str) -> Card:
        """Run a named task on the environment's first server."""
        ends = self.queue.ends(app.name, environment.name)
        return await self._add(ctx, await self._planner.task(app, environment, task), ends)

    async def approve(self, ctx: Context, number: int, code: str = "") -> Card:
        """Approve a deployment that waits for approvals, with a one-time code if it needs one."""
        return await self._approvals.approve(ctx, number, code)

    async def reject(self, ctx: Context, number: int) -> Card:
        """End a deployment that waits for approvals, with the sender's reason."""
        return await self._approvals.reject(ctx, number)

    async def cancel(self, ctx: Context, number: int) -> Card:
        """Stop a deployment that has not ended; its card shows how it went. Raises Denied for who may not."""
        person = required(ctx.person)
        by, now = person.name, self._clock.now()

        def ask(tables: Tables) -> Deployment:
            deployment = tables.deployments.get(number)
            if deployment is None:
                raise UserError(f"There is no deployment #{number}.", hint="See them with: history APP")
            self._questions.insist(self._questions.may_cancel(tables, person.id, deployment))
            if deployment.state.ended:
                raise UserError(f"#{number} has already ended: {deployment.word}.")
            if deployment.state is State.RESTORING:
                raise UserError(f"#{number} is restoring the old release, which cannot be interrupted.")
            if not tables.deployments.ask_cancel(number, by):
                raise UserError(f"{deployment.cancel_by} already cancelled #{number}; it is stopping.")
            tables.audit.append(actor=by, action="cancel", subject=f"#{number}", detail=ctx.reason, now=now)
            self._publisher(tables, number)
            return deployment

        deployment = await self._store.write(ask)
        self.queue.stop(number, Cancelled(by))
        words = f"Stopping #{number} ({headline(deployment.plan)}). Its card shows when it has stopped."
        return Card(title=words, aside=True)

    async def unfinished(self, ctx: Context, targets: Sequence[tuple[App, Environment]]) -> Card:
        """Return what waits and what runs on these targets, with buttons for requests that the sender may decide."""
        person, account = required(ctx.person).id, ctx.incoming.identity
        seen = {(app.name, environment.name) for app, environment in targets}

        def look(tables: Tables) -> list[OpenDeployment]:
            unfinished = tables.deployments.open()
            mine = [one for one in unfinished if (one.plan.app, one.plan.environment) in seen]
            return [
                OpenDeployment(
                    deployment=one,
                    request=tables.requests.get(one.number) if one.needs_approval else None,
                    waits_for=self.queue.waits_for(one, unfinished) if one.state is State.WAITING else "",
                    decides=one.awaits_approval
                    and decide(self._questions.may_decide(tables, person, one, "approve", speaks_by=account)).allowed,
                )
                for one in mine
            ]

        return queue_card(await self._store.read(look))

    async def get(self, number: int) -> Deployment | None:
        """Return one deployment."""
        return await self._store.read(lambda tables: tables.deployments.get(number))

    async def card(self, number: int) -> Card | None:
        """Return a deployment's card as it reads now."""

        def look(tables: Tables) -> Card | None:
            deployment = tables.deployments.get(number)
            if deployment is None:
                return None
            wait = self.queue.waits_for(deployment, tables.deployments.open())
            steps, request = tables.deployments.steps(number), tables.requests.get(number)
            mask, now = self._publisher.mask, self._publisher.progress.of(steps)
            made = deployment_card(deployment, steps, waits_for=wait, request=request, progress=now, mask=mask)
            return self._publisher.complete(tables, made, deployment, steps)

        return await self._store.read(look)

    async def history(self, app: App, environment: Environment | None, limit: int) -> tuple[Deployment, ...]:
        """Return the last deployments, newest first."""
        name = environment.name if environment else None
        return await self._store.read(lambda tables: tables.deployments.recent(app.name, name, limit))

    def log_file(self, number: int) -> str:
        """Rebuild a deployment's full log and return its path."""
        return str(self._journal.whole(number))

    async def log_parts(self, number: int) -> tuple[tuple[str, Path], ...]:
        """Return name (`web1 build`) and file of each step's log, in the order in which the steps began."""
        rows = await self._store.read(lambda tables: tables.deployments.steps(number))
        named = ((f"{row.server} {'back: ' if row.phase is Phase.RESTORE else ''}{row.name}", row) for row in rows)
        return tuple((name, path) for name, row in named if (path := self._journal.path(row)).exists())

    async def _add(
        self,
        ctx: Context,
        plan: Plan,
        ends: int,
        not_before: float = 0.0,
        *,
        typed: str | None = None,
        glass: bool = False,
        thaw: float = 0.0,
    ) -> Card:
        """Store the requested deployment, then launch it. `thaw` is when the freeze ends that it waits for."""
        request = None if glass else await self._approvals.request_for(plan, typed, not_before, thaw)
        planned = _PlannedRequest(
            ctx=ctx,
            person=required(ctx.person),
            plan=plan,
            request=request,
            not_before=not_before,
            now=self._clock.now(),
            ends=ends,
            glass=glass,
        )

        async def commit() -> tuple[Deployment, str, Request | None]:
            made, waits_for, kept = await self._store.write(lambda tables: self._keep(tables, planned))
            self.queue.launch(made)
            self._approvals.wake(made.skipped)
            if glass:
                METRICS.broken_glass.add(plan.app, plan.environment)
            return made, waits_for, kept

        # The requester may be gone by now; a committed deployment must be launched anyway.
        deployment, waits_for, kept = await asyncio.shield(asyncio.create_task(commit()))
        card = deployment_card(deployment, (), waits_for=waits_for, request=kept, mask=self._publisher.mask)
        return dataclasses.replace(card, queued=True)

    def _keep(self, tables: Tables, planned: _PlannedRequest) -> tuple[Deployment, str, Request | None]:
        """Number the deployment, queue its card and write the audit row, if the policy allows it.

        Returns the deployment, what it waits for, and its request.
        """
        plan, request = planned.plan, planned.request
        question = self._questions.may_request(
            tables, planned.person.id, plan, glass=planned.glass, starts=planned.not_before
        )
        decision = decide(question)
        is_frozen = decision.frozen and question.waits_for_thaw and bool(planned.trigger)
        if not is_frozen:
            self._questions.refuse(question, decision)
        older = in_the_way(tables, plan) if planned.trigger else ()
        deployment = tables.deployments.add(
            plan,
            requester=planned.person,
            reason=planned.ctx.reason,
            channel=None if planned.trigger else planned.ctx.incoming.channel,
            now=planned.now,
            not_before=planned.not_before,
            needs_approval=request is not None,
            trigger=planned.trigger,
            skipped=skipped_by(older),
            glass=glass_text(question) if planned.glass else "",
        )
        if is_frozen and question.frozen is not None:
            tables.deployments.freeze(deployment.number, question.frozen.until)
            deployment = dataclasses.replace(deployment, frozen_until=question.frozen.until)
        if planned.trigger:
            tables.triggers.mark_deployed(planned.trigger, deployment.number)
        for one in older:
            self.queue.replace(tables, one.number, deployment.number)
        if request is not None:
            self._approvals.add(tables, deployment, request)
        waits_for = self.queue.waits_for(deployment, tables.deployments.open())
        self._audit(tables, planned, deployment)
        if planned.glass:
            self._sound(tables, planned, deployment, question)
        if not waits_for and request is None and self.queue.ends(plan.app, plan.environment) != planned.ends:
            waits_for = _NEW_PLAN
        if not waits_for and request is None:
            deployment = tables.deployments.move(deployment.number, State.RUNNING, now=planned.now)
        self._publisher(tables, deployment.number, waits_for)
        return deployment, waits_for, tables.requests.get(deployment.number)

    def _sound(
        self, tables: Tables, planned: _PlannedRequest, deployment: Deployment, question: PolicyQuestion
    ) -> None:
        """Record in the audit that the glass was broken, and notify all other admins, in the same transaction."""
        notified = notified_text(question, planned.person.id)
        tables.audit.append(
            actor=planned.person.name,
            action="break glass",
            subject=f"#{deployment.number} {question.target}",
            detail=f"bypassed {deployment.glass}, because {planned.ctx.reason}; notified {notified}",
            now=planned.now,
        )
        self._publisher.wake(tables, deployment, *self._glass.alarm(tables, deployment, question))

    def _audit(self, tables: Tables, planned: _PlannedRequest, deployment: Deployment) -> None:
        plan, reason = planned.plan, planned.ctx.reason
        because = f", because {reason}" if reason else ""
        tables.audit.append(
            actor=planned.person.name,
            action=f"{plan.kind.value} asked",
            subject=f"#{deployment.number} {plan.app}/{plan.environment}",
            detail=f"{audit_text(plan, planned.request)}{because}",
            now=planned.now,
        )
