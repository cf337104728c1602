"""Deployments as commands see them: asked for, queued one after the other, cancelled, resumed."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import time

from deploybot.card import Card
from deploybot.command import Context
from deploybot.deploy.approvals import Approvals
from deploybot.deploy.automatic import in_the_way, skipped_by
from deploybot.deploy.beginning import Beginning
from deploybot.deploy.bonds import Bonds
from deploybot.deploy.cards import deployment_card, plan_card, what
from deploybot.deploy.journal import Journal
from deploybot.deploy.plan import Planner
from deploybot.deploy.questions import Questions, wanted_of
from deploybot.deploy.runner import Runner, Teller
from deploybot.deploy.steps import Stop
from deploybot.deploy.turns import begins, is_early, last_before, next_time, place_of, show_moment, take_turn
from deploybot.domain import Deployment, Person, Plan, Release, Request, State
from deploybot.errors import Cancelled, DeploybotError, StoreError, UserError, Voided
from deploybot.logs import about_deployment
from deploybot.ports import Clock, Store, Tables
from deploybot.settings import App, Environment, Settings

log = logging.getLogger(__name__)

STORE_PAUSE = 2.0
CLOCK_LOOKS = 30.0  # the machine's clock may be set, and machines sleep
LATE = 600.0


class Deployments:
    """command.DeploymentService, and the queue: one deployment at a time for an app's environment.

    `on_end(app)` is called when one of an app has ended, or a bot that stops has let go of it.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        clock: Clock,
        planner: Planner,
        runner: Runner,
        journal: Journal,
        tell: Teller,
        approvals: Approvals,
        bonds: Bonds,
    ) -> None:
        """Take the ports and parts."""
        self._settings = settings
        self._store = store
        self._clock = clock
        self._planner = planner
        self._runner = runner
        self._journal = journal
        self._tell = tell
        self._approvals = approvals
        self._questions = Questions(settings, clock)
        self._beginning = Beginning(
            settings=settings, store=store, clock=clock, planner=planner, approvals=approvals, bonds=bonds, tell=tell
        )
        self.on_end: Callable[[str], None] = _nobody
        self._stops: dict[int, Stop] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._turns: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def resume(self) -> tuple[Deployment, ...]:
        """After a start: take up every deployment that has not ended; gives them."""
        found = await self._store.read(lambda tables: tables.deployments.open())
        now = self._clock.now()
        await self._approvals.refresh(found)
        for deployment in sorted(found, key=lambda one: (one.state is State.WAITING, begins(one), one.number)):
            if deployment.state is State.WAITING and 0 < deployment.not_before < now - LATE:
                await self._end_waiting(deployment.number, State.FAILED, self._too_late(deployment, now))
            else:
                self._launch(deployment)
        return found

    async def close(self) -> None:
        """Let go of what runs: the jobs go on on their servers and are taken up at the next start."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def idle(self, number: int) -> None:
        """Return once nothing is being done for a deployment: its end is written, its clean-up over."""
        task = self._tasks.get(number)
        if task is not None:
            await asyncio.wait({task})

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
        at: time | None = None,
    ) -> Card:
        """Plan a release and run it when its turn comes, not before `at`, or only show the plan.

        Where the environment wants approvals it waits for them first.
        """
        typed, release = release.typed, dataclasses.replace(release, typed=None)
        plan = await self._planner.deploy(app, environment, release, rollback=rollback, servers=servers)
        zone = self._settings.bot.timezone
        not_before = next_time(at, zone, self._clock.now()) if at else 0.0
        if dry_run:
            wanted = wanted_of(environment)
            begins_at = show_moment(not_before, zone) if at else ""
            return plan_card(plan, begins=begins_at, wants=str(wanted) if wanted else "")
        return await self._add(ctx, plan, not_before, typed=typed)

    async def restart(self, ctx: Context, app: App, environment: Environment) -> Card:
        """Restart what runs."""
        return await self._add(ctx, await self._planner.restart(app, environment))

    async def task(self, ctx: Context, app: App, environment: Environment, task: str) -> Card:
        """Run a named task on the environment's first server."""
        return await self._add(ctx, await self._planner.task(app, environment, task))

    async def approve(self, ctx: Context, number: int, code: str = "") -> Card:
        """Approve a deployment that waits for it, with a one-time code where it asks for one."""
        return await self._approvals.approve(ctx, number, code)

    async def reject(self, ctx: Context, number: int) -> Card:
        """End a deployment that waits for approvals, with the sender's reason."""
        return await self._approvals.reject(ctx, number)

    async def cancel(self, ctx: Context, number: int) -> Card:
        """Stop a deployment that has not ended; the card tells how it went."""
        by = _required(ctx.person).name
        now = self._clock.now()

        def ask(tables: Tables) -> Deployment:
            deployment = tables.deployments.get(number)
            if deployment is None:
                raise UserError(f"There is no deployment #{number}.", hint="See them with: history APP")
            if deployment.state.ended:
                raise UserError(f"#{number} has ended already: {deployment.word}.")
            if deployment.state is State.RESTORING:
                raise UserError(f"#{number} is putting the old release back; that is not interrupted.")
            if not tables.deployments.ask_cancel(number, by):
                raise UserError(f"{deployment.cancel_by} has cancelled #{number} already; it is being stopped.")
            tables.audit.append(actor=by, action="cancel", subject=f"#{number}", detail=ctx.reason, now=now)
            self._tell(tables, number)
            return deployment

        deployment = await self._store.write(ask)
        self._stop_of(number).set(Cancelled(by))
        words = f"Stopping #{number} ({what(deployment.plan)}). Its card tells when it has stopped."
        return Card(title=words, aside=True)

    async def get(self, number: int) -> Deployment | None:
        """One deployment by its number."""
        return await self._store.read(lambda tables: tables.deployments.get(number))

    async def card(self, number: int) -> Card | None:
        """A deployment's card as it reads now."""

        def look(tables: Tables) -> Card | None:
            deployment = tables.deployments.get(number)
            if deployment is None:
                return None
            waits_for = self._waits_for(deployment, tables.deployments.open())
            steps, request = tables.deployments.steps(number), tables.requests.get(number)
            return deployment_card(deployment, steps, waits_for=waits_for, request=request)

        return await self._store.read(look)

    async def history(self, app: App, environment: Environment | None, limit: int) -> tuple[Deployment, ...]:
        """The last deployments, newest first."""
        name = environment.name if environment else None
        return await self._store.read(lambda tables: tables.deployments.recent(app.name, name, limit))

    def log_file(self, number: int) -> str:
        """The path of a deployment's full log, put together anew."""
        return str(self._journal.whole(number))

    async def _add(self, ctx: Context, plan: Plan, not_before: float = 0.0, *, typed: str | None = None) -> Card:
        """Number it, say its card and write the audit row in one transaction, then set it going."""
        person = _required(ctx.person)
        now, wish = self._clock.now(), ctx.incoming.wish
        request = self._approvals.request_for(plan, typed, not_before)

        def add(tables: Tables) -> tuple[Deployment, str]:
            self._questions.insist(self._questions.may_request(tables, person.id, plan))
            older = in_the_way(tables, plan) if wish else ()
            deployment = tables.deployments.add(
                plan,
                requester=person,
                reason=ctx.reason,
                place=None if wish else ctx.incoming.place,
                now=now,
                not_before=not_before,
                needs_approval=request is not None,
                wish=wish,
                skipped=skipped_by(older),
            )
            if wish:
                tables.wishes.fulfil(wish, deployment.number)
            for one in older:
                self._replace(tables, one.number, deployment.number)
            if request is not None:
                self._approvals.add(tables, deployment, request)
            waits_for = self._waits_for(deployment, tables.deployments.open())
            tables.audit.append(
                actor=person.name,
                action=f"{plan.kind.value} asked",
                subject=f"#{deployment.number} {plan.app}/{plan.environment}",
                detail=f"{what(plan)}{_images(plan)}, {_bound(plan, request)}"
                + (f", because {ctx.reason}" if ctx.reason else ""),
                now=now,
            )
            if not waits_for and request is None:
                deployment = tables.deployments.move(deployment.number, State.RUNNING, now=now)
            self._tell(tables, deployment.number, waits_for)
            return deployment, waits_for

        async def commit() -> tuple[Deployment, str]:
            made, waits_for = await self._store.write(add)
            self._launch(made)
            self._approvals.ring(made.skipped)
            return made, waits_for

        # Whoever asked may have gone by now; what is committed has to be set going all the same.
        deployment, waits_for = await asyncio.shield(asyncio.create_task(commit()))
        card = deployment_card(deployment, (), waits_for=waits_for, request=request)
        return dataclasses.replace(card, queued=True)

    def _waits_for(self, deployment: Deployment, others: Iterable[Deployment]) -> str:
        """What comes before this one at the same place, in words; empty when its turn is now."""
        now = self._clock.now()
        if deployment.awaits_approval:
            return ""
        if is_early(deployment, now):
            return show_moment(deployment.not_before, self._settings.bot.timezone)
        last = last_before(deployment, others, now)
        if last is not None:
            return f"#{last.number} ({what(last.plan)} by {last.requester_name}, {last.state.value})"
        # What it would plan on now, the clean-up may be about to delete.
        busy = deployment.state is State.WAITING and self._turns[place_of(deployment.plan)].locked()
        return "the clean-up after the one before" if busy else ""

    def _stop_of(self, number: int) -> Stop:
        return self._stops.setdefault(number, Stop())

    def _launch(self, deployment: Deployment) -> None:
        number = deployment.number
        stop = self._stop_of(number)
        if deployment.cancel_by:
            stop.set(Cancelled(deployment.cancel_by))
        task = asyncio.create_task(self._insist(number, stop), name=f"deployment-{number}")
        self._tasks[number] = task

        def forget(_: asyncio.Task[None]) -> None:
            self._tasks.pop(number, None)
            self._stops.pop(number, None)
            self.on_end(deployment.plan.app)

        task.add_done_callback(forget)

    async def _insist(self, number: int, stop: Stop) -> None:
        with about_deployment(number):
            await self._to_its_end(number, stop)

    async def _to_its_end(self, number: int, stop: Stop) -> None:
        """Run a deployment to its end; a database that cannot be written is waited for, nothing is lost by it."""
        work, broken = self._in_turn(number, stop), False
        while True:
            try:
                await work
            except StoreError as problem:
                log.error("#%s waits: %s", number, problem)  # noqa: TRY400  the sentence says it all
                await asyncio.sleep(STORE_PAUSE)
                work = self._in_turn(number, stop)
            except Exception:
                mark = secrets.token_hex(2)
                log.exception("#%s broke, id %s", number, mark)
                if broken:
                    return
                work, broken = self._broke(number, mark), True
            else:
                return

    async def _in_turn(self, number: int, stop: Stop) -> None:
        """Wait for approvals where it needs some, then until it is this deployment's turn, then run it.

        One whose approvals do not count any more when its turn comes waits for others.
        """
        while await self._approvals.wait(number, stop):
            deployment = await self.get(number)
            if deployment is None:
                return
            turn = self._turns[place_of(deployment.plan)]
            await self._until_its_time(deployment, turn, stop)
            if not await take_turn(turn, stop):
                await self._end_waiting(number, State.CANCELLED, f"{_sentence(stop.why)} It had not begun.")
                return
            try:
                begun = await self._begin(number, stop)
                if begun is not None:
                    await self._runner.run(begun, stop)
                    return
            finally:
                turn.release()

    async def _until_its_time(self, deployment: Deployment, turn: asyncio.Lock, stop: Stop) -> None:
        """Wait for the time before which it may not begin; if another one runs then, its card says so."""
        if not is_early(deployment, self._clock.now()):
            return
        while stop.why is None and (left := deployment.not_before - self._clock.now()) > 0:
            await stop.pause(min(left, CLOCK_LOOKS))

        def tell(tables: Tables) -> None:
            self._tell(tables, deployment.number, self._waits_for(deployment, tables.deployments.open()))

        if turn.locked() and stop.why is None:
            await self._store.write(tell)

    def _too_late(self, deployment: Deployment, now: float) -> str:
        zone = self._settings.bot.timezone
        due, late = show_moment(deployment.not_before, zone), show_moment(now, zone)
        return f"It was to begin at {due}, and it is {late}: too late to begin by itself. Nothing was done."

    async def _begin(self, number: int, stop: Stop) -> Deployment | None:
        """Let it begin, or go on; None when it ended here instead, or waits for approvals again."""
        deployment = await self.get(number)
        if deployment is None or deployment.state.ended:
            return None
        try:
            return await self._beginning.begin(deployment, stop)
        except Cancelled as problem:
            await self._end_waiting(number, State.CANCELLED, f"{_sentence(problem)} It had not begun.")
        except StoreError:
            raise
        except Voided as problem:
            await self._approvals.void(number, problem.changed)
        except DeploybotError as problem:
            await self._end_waiting(number, State.FAILED, f"{str(problem).rstrip('.')}. Nothing was done.")
        return None

    async def _end_waiting(self, number: int, state: State, outcome: str) -> None:
        now = self._clock.now()

        await self._store.write(lambda tables: self._end(tables, number, state, outcome, now))

    def _replace(self, tables: Tables, number: int, by: int) -> None:
        """End one by itself that waits: a newer one by itself comes in its place."""
        tables.deployments.replaced(number, by)
        outcome = f"#{by} came in its place, which is newer. Nothing was deployed."
        self._end(tables, number, State.CANCELLED, outcome, self._clock.now())

    def _end(self, tables: Tables, number: int, state: State, outcome: str, now: float) -> None:
        ended = tables.deployments.move(number, state, now=now, outcome=outcome)
        tables.audit.append(
            actor="deploybot",
            action=f"{ended.plan.kind.value} {'replaced' if ended.replaced_by else state.value}",
            subject=f"#{number} {ended.plan.app}/{ended.plan.environment}",
            detail=outcome,
            now=now,
        )
        self._tell(tables, number)

    async def _broke(self, number: int, mark: str) -> None:
        """Say that the bot itself failed: then nothing is known, and nothing is claimed."""
        outcome = f"Something broke on my side, id {mark}. What runs now: status."
        await self._end_waiting(number, State.UNKNOWN, outcome)


def _nobody(app: str) -> None:
    """Nobody wants to hear that a deployment of an app has ended."""


def _bound(plan: Plan, request: Request | None) -> str:
    """What the audit keeps of a plan."""
    return f"bound to {request.binding.digest[:12]}" if request else f"plan {plan.digest[:12]}"


def _images(plan: Plan) -> str:
    """The images of a plan, whole, for the audit."""
    return "".join(f", {pin.service}: {pin.tag} {pin.reference}" for pin in plan.release.images)


def _sentence(why: Exception | None) -> str:
    text = str(why)
    return f"{text[:1].upper()}{text[1:]}."


def _required(person: Person | None) -> Person:
    """The person of a command that needs one; dispatch has made sure of it."""
    if person is None:
        raise UserError("Only people on the allowlist can do that.")
    return person
