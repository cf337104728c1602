"""The queue: runs the deployments of a target one after the other, each to its end, and resumes them after a crash."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from math import inf
from zoneinfo import ZoneInfo

from deploybot.bot_log import about_deployment
from deploybot.deployments.approvals import Approvals
from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.card_publisher import CardPublisher
from deploybot.deployments.card_titles import headline
from deploybot.deployments.deployment_slots import DeploymentSlots
from deploybot.deployments.log_lines import log_begun, log_ended
from deploybot.deployments.queue_turns import begins, is_in_the_way, last_before, target_of
from deploybot.deployments.runner import DeploymentRunner
from deploybot.deployments.scheduled_starts import earliest, is_early, is_too_late, late_words, waits_until
from deploybot.deployments.start_checks import Beginning
from deploybot.deployments.timeouts import TIMEOUTS, Timeouts
from deploybot.domain import Deployment, Kind, State, Unfinished
from deploybot.errors import Cancelled, DeploybotError, StoreError, TargetFrozen, Voided, sentence
from deploybot.ports import Clock, Store, Tables

log = logging.getLogger(__name__)


class Queue:
    """Runs deployments, each in its own task, which waits for approvals, the scheduled time and its turn.

    `on_end(app)` is called when a deployment of an app has ended, or when a stopping bot has let go of it.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        zone: ZoneInfo,
        approvals: Approvals,
        beginning: Beginning,
        runner: DeploymentRunner,
        queue_card: CardPublisher,
        on_end: Callable[[str], object],
        at_once: int = 0,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        """Take the ports and parts; `zone` is the bot's time zone, for times on cards.

        At most `at_once` deployments run at the same time, 0 for no limit.
        """
        self._store = store
        self._clock = clock
        self._zone = zone
        self._approvals = approvals
        self._beginning = beginning
        self._runner = runner
        self._queue_card = queue_card
        self._on_end = on_end
        self._timeouts = timeouts
        self._stops: dict[int, CancellationWatch] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._turns: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._slots = DeploymentSlots(at_once)
        self._change = asyncio.Event()
        self._ends: Counter[tuple[str, str]] = Counter()
        self._resumed: set[int] = set()
        self._given_up: set[int] = set()
        self._rests = False

    async def resume(self) -> tuple[Deployment, ...]:
        """After a start, resume every deployment that has not ended, and return them."""
        now = self._clock.now()
        found = await self._store.read(lambda tables: tables.deployments.open())
        if any(one.frozen_until > now for one in found):
            # bot.toml may have changed: what is still frozen is found out when its turn comes.
            with contextlib.suppress(StoreError):  # then they wait until the freeze ends
                await self._store.write(lambda tables: tables.deployments.thaw(now))
            found = await self._store.read(lambda tables: tables.deployments.open())
        await self._approvals.refresh(found)
        for deployment in sorted(found, key=lambda one: (one.state is State.WAITING, begins(one), one.number)):
            if is_too_late(deployment, now):
                await self._end_waiting(deployment.number, State.FAILED, late_words(deployment, now, self._zone))
            else:
                if deployment.state is not State.WAITING:
                    self._resumed.add(deployment.number)
                self.launch(deployment)
        return found

    async def close(self) -> None:
        """Let go of what runs: the jobs continue on their servers, and the next start resumes them."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def unfinished(self) -> Unfinished:
        """Return the deployments that have not ended or whose clean-up is not done."""
        running = frozenset(self._tasks)
        return await self._store.read(lambda tables: self._unfinished(tables, running))

    async def rest(self) -> Unfinished:
        """Let nothing begin from now on, unless something has already begun; return what has not ended."""
        running = frozenset(self._tasks)

        def look(tables: Tables) -> Unfinished:
            found = self._unfinished(tables, running)
            # Set in this transaction, so that nothing can begin after the check.
            self._rests = self._beginning.rests = not found.begun
            return found

        return await self._store.write(look)

    def _unfinished(self, tables: Tables, running: frozenset[int]) -> Unfinished:
        now = self._clock.now()
        still = tables.deployments.open()
        waiting = {one.number for one in still if not is_in_the_way(one, now)}
        begun = ({one.number for one in still} | running) - waiting - self._given_up
        return Unfinished(tuple(sorted(begun)), tuple(sorted(waiting)))

    async def idle(self, number: int) -> None:
        """Return once the work on a deployment is done: its end is stored and its clean-up is done."""
        task = self._tasks.get(number)
        if task is not None:
            await asyncio.wait({task})

    def launch(self, deployment: Deployment) -> None:
        """Start the task of a deployment, which waits for its turn."""
        number = deployment.number
        stop = self._stop_of(number)
        if deployment.cancel_by:
            stop.set(Cancelled(deployment.cancel_by))
        task = asyncio.create_task(self._insist(number, stop), name=f"deployment-{number}")
        self._tasks[number] = task

        def forget(_: asyncio.Task[None]) -> None:
            self._tasks.pop(number, None)
            self._stops.pop(number, None)
            self._slots.forget(number)
            self.look_again()
            self._on_end(deployment.plan.app)

        task.add_done_callback(forget)

    def stop(self, number: int, why: Exception) -> None:
        """Cancel a deployment with a reason."""
        self._stop_of(number).set(why)

    def _stop_of(self, number: int) -> CancellationWatch:
        return self._stops.setdefault(number, CancellationWatch())

    def waits_for(self, deployment: Deployment, others: Iterable[Deployment]) -> str:
        """Return in words what comes before this deployment; empty if its turn is now."""
        now = self._clock.now()
        if deployment.awaits_approval:
            return ""
        if self._rests:
            return "the next start of the bot"
        if is_early(deployment, now):
            return waits_until(deployment, self._zone)
        last = last_before(deployment, others, now)
        if last is not None:
            hint = _hint(deployment, [last])
            return f"#{last.number} ({headline(last.plan)}, by {last.requester_name}, {last.word}{hint})"
        if no_slot := self._slots.waits_for(deployment, (one for one in others if one.number not in self._given_up)):
            return no_slot + _hint(deployment, others)
        # The clean-up may be about to delete what a plan made now would rely on.
        busy = deployment.state is State.WAITING and self._turns[target_of(deployment.plan)].locked()
        return "the previous deployment's clean-up" if busy else ""

    def ends(self, app: str, environment: str) -> int:
        """Return how many deployments of a target have ended, clean-up included, since the bot started.

        A plan made before the last of them may be outdated.
        """
        return self._ends[app, environment]

    def replace(self, tables: Tables, number: int, by: int) -> None:
        """End a waiting automatic deployment that a newer automatic one replaces."""
        tables.deployments.replaced(number, by)
        outcome = f"Replaced by the newer #{by}. Nothing was deployed."
        self._end(tables, number, State.CANCELLED, outcome, self._clock.now())

    def drop(self, tables: Tables, number: int, why: str) -> None:
        """End a waiting automatic deployment whose release is no longer wanted."""
        self._end(tables, number, State.CANCELLED, f"{why}. Nothing was deployed.", self._clock.now())

    def wake(self, numbers: Sequence[int]) -> None:
        """Let the tasks of waiting deployments read their rows again."""
        self._approvals.wake(numbers)

    def look_again(self) -> None:
        """Let deployments that wait for a time, a freeze or an older one look whether they may begin now."""
        self._change.set()
        self._change = asyncio.Event()

    async def _insist(self, number: int, stop: CancellationWatch) -> None:
        with about_deployment(number):
            await self._to_its_end(number, stop)
            with contextlib.suppress(StoreError):
                ended = await self._row(number)
                if ended is not None and ended.state.ended:
                    log_ended(ended)

    async def _to_its_end(self, number: int, stop: CancellationWatch) -> None:
        """Run a deployment to its end. If the database cannot be written, wait and retry; nothing is lost."""
        work, broken = self._in_turn(number, stop), False
        while True:
            try:
                await work
            except StoreError as problem:
                log.error("#%s waits: %s", number, problem)  # noqa: TRY400  the message says it all
                await asyncio.sleep(self._timeouts.store_pause)
                work = self._in_turn(number, stop)
            except Exception:
                mark = secrets.token_hex(2)
                log.exception("#%s failed because of a bug, id %s", number, mark)
                if broken:
                    self._given_up.add(number)
                    return
                work, broken = self._broke(number, mark), True
            else:
                return

    async def _in_turn(self, number: int, stop: CancellationWatch) -> None:
        """Wait for the approvals that a deployment needs, then for its turn, then run it.

        If its approvals no longer count when its turn comes, wait for new ones.
        """
        while await self._approvals.wait(number, stop):
            deployment = await self._row(number)
            if deployment is None:
                return
            target, begun, is_later = target_of(deployment.plan), None, False
            turn = self._turns[target]
            await self._until_its_time(number, turn, stop)
            if not await stop.outrun(turn.acquire()):
                await self._end_cancelled(number, stop.why or Cancelled("a person"))
                return
            change = self._change
            try:
                # A cancellation is for what begins it to report.
                is_later = stop.why is None and not await self._may_begin(number)
                begun = None if is_later else await self._begin(number, stop)
                if begun is not None:
                    log_begun(begun, again=number in self._resumed)
                    await self._runner.run(begun, stop)
                    return
            finally:
                # Counted before the release: what finds the turn free must find its plan outdated.
                self._ends[target] += begun is not None
                turn.release()
                if self._slots.free(number):
                    self.look_again()
            if is_later:
                await stop.outrun(change.wait(), within=self._timeouts.clock_check)

    async def _may_begin(self, number: int) -> bool:
        """Return whether a deployment that has the turn is the next of its target, and has a slot."""
        return not await self._comes_later(number) and await self._has_slot(number)

    async def _comes_later(self, number: int) -> bool:
        """Return whether another deployment of the target must begin first, although this one has the turn.

        That one has waited for its time or for a freeze, whose end both noticed.
        """

        def look(tables: Tables) -> bool:
            deployment = tables.deployments.get(number)
            if deployment is None or deployment.state is not State.WAITING:
                return False
            return last_before(deployment, self._alive(tables.deployments.open()), self._clock.now()) is not None

        return await self._store.read(look)

    def _alive(self, deployments: Iterable[Deployment]) -> list[Deployment]:
        """Return those that have a task: others neither run nor come first."""
        return [one for one in deployments if one.number in self._tasks]

    async def _has_slot(self, number: int) -> bool:
        """Take a slot for a deployment that has the turn, and return True; show on its card if there is none."""
        shown = self._slots.is_waiting(number)

        def look(tables: Tables) -> tuple[Deployment | None, list[Deployment]]:
            return tables.deployments.get(number), self._alive(tables.deployments.open())

        deployment, others = await self._store.read(look)
        if deployment is None or deployment.state.ended or self._slots.take(deployment, others):
            return True
        if not shown:
            await self._store.write(lambda tables: self.show_wait(tables, number))
        return False

    async def _until_its_time(self, number: int, turn: asyncio.Lock, stop: CancellationWatch) -> None:
        """Wait until a deployment may begin; if another one runs then, show that on its card.

        The row is read again while it waits: a freeze may end early.
        """
        waited = False
        while stop.why is None:
            change, deployment, now = self._change, await self._row(number), self._clock.now()
            if deployment is None or not is_early(deployment, now):
                break
            waited = True
            await stop.outrun(change.wait(), within=min(earliest(deployment) - now, self._timeouts.clock_check))
        if waited and turn.locked() and stop.why is None:
            await self._store.write(lambda tables: self.show_wait(tables, number))

    def show_wait(self, tables: Tables, number: int) -> None:
        """Show on the card of a waiting deployment what it waits for."""
        deployment = tables.deployments.get(number)
        if deployment is not None and deployment.state is State.WAITING:
            self._queue_card(tables, number, self.waits_for(deployment, tables.deployments.open()))

    def _wait_for_thaw(self, tables: Tables, number: int) -> None:
        """Let a deployment whose turn came in a freeze wait for its end, unless a person has ended it meanwhile."""
        if until := self._beginning.frozen_until(tables, number):
            tables.deployments.freeze(number, until)
            self.show_wait(tables, number)

    async def _row(self, number: int) -> Deployment | None:
        return await self._store.read(lambda tables: tables.deployments.get(number))

    async def _begin(self, number: int, stop: CancellationWatch) -> Deployment | None:
        """Let a deployment begin or continue; return None if it ended here or waits for approvals again."""
        deployment = await self._row(number)
        if deployment is None or deployment.state.ended:
            return None
        try:
            return await self._beginning.begin(deployment, stop, resumed=number in self._resumed)
        except Cancelled as problem:
            await self._end_cancelled(number, problem)
        except StoreError:
            raise
        except Voided as problem:
            await self._approvals.void(number, problem.changed)
        except TargetFrozen as problem:
            if problem.until == inf:
                await self._end_refused(number, problem)
            else:
                await self._store.write(lambda tables: self._wait_for_thaw(tables, number))
        except DeploybotError as problem:
            await self._end_refused(number, problem)
        return None

    async def _end_refused(self, number: int, problem: DeploybotError) -> None:
        await self._end_waiting(number, State.FAILED, f"{str(problem).rstrip('.')}. Nothing was done.")

    async def _end_cancelled(self, number: int, why: Exception) -> None:
        await self._end_waiting(number, State.CANCELLED, f"{sentence(why)} It had not started.")

    async def _end_waiting(self, number: int, state: State, outcome: str) -> None:
        now = self._clock.now()
        await self._store.write(lambda tables: self._end(tables, number, state, outcome, now))

    def _end(self, tables: Tables, number: int, state: State, outcome: str, now: float) -> None:
        ended = tables.deployments.move(number, state, now=now, outcome=outcome)
        tables.audit.append(
            actor="deploybot",
            action=f"{ended.plan.kind.value} {'replaced' if ended.replaced_by else state.value}",
            subject=f"#{number} {ended.plan.app}/{ended.plan.environment}",
            detail=outcome,
            now=now,
        )
        self._queue_card(tables, number)

    async def _broke(self, number: int, mark: str) -> None:
        """End a deployment as unknown because the bot itself failed, and claim nothing else."""
        outcome = f"Something broke on my side, id {mark}. `status` shows what runs now."
        await self._end_waiting(number, State.UNKNOWN, outcome)


def _hint(waiting: Deployment, others: Iterable[Deployment]) -> str:
    """Return how to end the watch that a rollback waits for; empty if it waits for none."""
    watched = (one for one in others if one.state is State.RUNNING and any(part.watch for part in one.plan.servers))
    first = next(watched, None) if waiting.plan.kind is Kind.ROLLBACK else None
    return f"; cancel #{first.number} stops its watch and rolls back at once" if first else ""
