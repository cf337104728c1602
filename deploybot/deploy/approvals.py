"""Approvals: a deployment that other people have to allow, bound to exactly what it would do.

Everything that counts is a row, and every decision is made inside the transaction that keeps it, on grants,
locks and approvals as they are then. A task of the bot waits for each request; what it does at the
request's times it also does after a restart, because it only looks at the rows and the clock.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from deploybot.card import Button, Card, Tone
from deploybot.command import Context
from deploybot.deploy.binding import binding_of, config_of, differences
from deploybot.deploy.cards import what
from deploybot.deploy.codes import step_of
from deploybot.deploy.compare import compare_url
from deploybot.deploy.plan import Planner
from deploybot.deploy.questions import Questions, wanted_of
from deploybot.deploy.request_cards import ask_again
from deploybot.deploy.steps import UNREACHABLE_START, Stop
from deploybot.domain import Action, Approval, Deployment, Person, Plan, Request, State, Verdict
from deploybot.errors import Denied, DeploybotError, Unreachable, UserError, Voided
from deploybot.policy import NEEDS_APPROVAL, Decision, Wanted, counting, decide
from deploybot.ports import Clock, CodeSecrets, Store, Tables
from deploybot.settings import Environment, Settings
from deploybot.units import show_duration, show_time

log = logging.getLogger(__name__)

CLOCK_LOOKS = 30.0
REMIND_LEFT = 0.25
PLAN_PAUSE = 2.0
_NOTHING_DONE = "Nothing was deployed."


@dataclass(slots=True)
class _Desk:
    """One request in this bot's memory: one click at a time, and a bell for the task that waits."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    bell: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class _Given:
    """What came of an approval: how many there are now, of how many, and whether that is enough."""

    there: int
    wanted: int
    enough: bool
    refused: str = ""


class Approvals:
    """Requests for approvals: made, approved, rejected, reminded of, expired, and void where something has changed."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        clock: Clock,
        planner: Planner,
        codes: CodeSecrets,
        tell: Callable[[Tables, int], None],
    ) -> None:
        """Take the ports; `tell(tables, number)` queues the cards of a deployment in the same transaction."""
        self._settings = settings
        self._store = store
        self._clock = clock
        self._planner = planner
        self._codes = codes
        self._tell = tell
        self._questions = Questions(settings, clock)
        self._desks: defaultdict[int, _Desk] = defaultdict(_Desk)

    def request_for(self, plan: Plan, ref: str | None, not_before: float) -> Request | None:
        """The request that a plan needs, to be kept with its deployment; None where it needs no approvals.

        `ref` is what was typed, None where nobody typed one. With `not_before` it has until then.
        """
        environment = self._environment(plan)
        wanted = wanted_of(environment)
        if environment is None or wanted is None or plan.kind not in NEEDS_APPROVAL:
            return None
        now = self._clock.now()
        expires = not_before or now + environment.approval_within
        before = next((part.replaces.commit for part in plan.servers if part.replaces), "")
        differs = before != plan.release.commit
        return Request(
            deployment=0,
            binding=binding_of(plan, self._settings, ref=ref),
            wanted=wanted.count,
            approvers=environment.approvers,
            expires=expires,
            remind_at=expires - (expires - now) * REMIND_LEFT,
            code=environment.approval_code is not None,
            compare=compare_url(self._settings.apps[plan.app].repo, before, plan.release.commit) if differs else "",
        )

    async def refresh(self, deployments: Sequence[Deployment]) -> None:
        """After a start: ask for what bot.toml asks for now, never for less than was asked for at first."""

        def refresh(tables: Tables) -> None:
            for one in deployments:
                if one.awaits_approval:
                    self._refresh_one(tables, one)

        await self._store.write(refresh)

    def _refresh_one(self, tables: Tables, deployment: Deployment) -> None:
        request = tables.requests.get(deployment.number)
        environment = self._environment(deployment.plan)
        if request is None or environment is None or not environment.approvals:
            return
        code = request.code or environment.approval_code is not None
        count = max(request.wanted, environment.approvals)
        if tables.requests.ask(deployment.number, wanted=count, approvers=environment.approvers, code=code):
            self._tell(tables, deployment.number)

    async def approve(self, ctx: Context, number: int, code: str = "") -> Card:
        """Approve a request as the sender, with a one-time code where it asks for one.

        Raises UserError, Denied or Unreachable where it is not approved by that; the card then says who tried.
        Void, and so ended, is what has changed since it was asked for: that is the answer, too.
        """
        person = _required(ctx.person)
        async with self._desks[number].turn:
            try:
                return await self._approve(ctx, person, number, code)
            except DeploybotError as problem:
                await self._note(number, f"{person.name}: {problem}")
                raise

    async def _approve(self, ctx: Context, person: Person, number: int, code: str) -> Card:
        deployment, request = await self._store.read(lambda tables: _open(tables, number))
        step = await self._step(person, request, code)
        changed = await self.changes(deployment, request)
        if changed:
            return await self._void(number, changed)
        given = await self._store.write(lambda tables: self._give(tables, person, number, step))
        if given.refused:
            raise UserError(given.refused, hint="Your phone shows a new one every 30 seconds.")
        self._desks[number].bell.set()
        if given.enough:
            return Card(title=f"#{number} is approved.", tone=Tone.GOOD)
        return Card(title=f"#{number} has {given.there} of {given.wanted} approvals now.", tone=Tone.GOOD)

    async def _step(self, person: Person, request: Request, code: str) -> int:
        """The time step of a right code, 0 for a wrong one or where none is wanted."""
        if not request.code:
            return 0
        secret = await self._codes.get(person.id)
        if secret is None:
            raise UserError("An approval takes a one-time code, and you have none yet.", hint="Type `totp` in private.")
        if not code:
            how = f"approve #{request.deployment} code 123456"
            raise UserError("An approval takes a one-time code of your phone.", hint=f"Like this: `{how}`.")
        return step_of(secret, code, self._clock.now())

    def _give(self, tables: Tables, person: Person, number: int, step: int) -> _Given:
        """Keep an approval, if everything still allows it."""
        now = self._clock.now()
        deployment, request = _open(tables, number)
        if now >= request.expires:
            raise UserError(f"#{number} has expired: its time was {show_time(request.expires)}.")
        self._may(tables, person, deployment, "approve")
        if request.code:
            refused = self._use_code(tables, person, number, step, now)
            if refused:
                return _Given(0, 0, enough=False, refused=refused)
        tables.requests.approve(number, Approval(person.id, person.name, now))
        tables.requests.note(number, "")
        given = self._count(tables, deployment, now)
        detail = f"{given.there} of {given.wanted}, bound to {request.binding.digest[:12]}"
        self._audit(tables, person.name, "approve", deployment, detail)
        self._tell(tables, number)
        return given

    def _use_code(self, tables: Tables, person: Person, number: int, step: int, now: float) -> str:
        """Use a code up; why not, where it is wrong. What is counted here stays, so nothing is raised."""
        until = tables.codes.paused(person.id, now)
        if until:
            return f"Too many wrong codes: I take none of yours before {show_time(until)}."
        if step and tables.codes.use(person.id, step):
            return ""
        tables.codes.fail(person.id, now)
        subject = f"#{number}"
        tables.audit.append(actor=person.name, action="approve wrong code", subject=subject, now=now)
        return "This code is wrong, or was used already."

    def _count(self, tables: Tables, deployment: Deployment, now: float) -> _Given:
        """Count the approvals that count now, and note since when they are enough."""
        number = deployment.number
        question = self._questions.ask(
            tables,
            deployment.requester,
            action=Action.DEPLOY,
            command=deployment.plan.kind.value,
            app=deployment.plan.app,
            environment=deployment.plan.environment,
            number=number,
            begins=True,
        )
        counts = counting(question)
        wanted = _asked_for(question.wanted)
        tables.requests.count_only(number, counts)
        enough = len(counts) >= wanted
        tables.deployments.approve(number, now if enough else 0.0)
        return _Given(len(counts), wanted, enough)

    async def reject(self, ctx: Context, number: int) -> Card:
        """End a request that has not begun, with the sender's reason. Raises UserError or Denied."""
        person = _required(ctx.person)
        if not ctx.reason:
            raise UserError("A rejection needs a reason.", hint=f"Like this: `reject #{number} because …`.")

        def reject(tables: Tables) -> Deployment:
            deployment, _ = _waiting(tables, number)
            self._may(tables, person, deployment, "reject")
            words = f"Rejected by {person.name}: {ctx.reason.rstrip('.')}. {_NOTHING_DONE}"
            return self._end(tables, deployment, Verdict.REJECTED, words, actor=person.name)

        rejected = await self._store.write(reject)
        self._desks[number].bell.set()
        return Card(title=f"#{number} ({what(rejected.plan)}) is rejected.")

    async def wait(self, number: int, stop: Stop) -> bool:
        """Until a request is approved (True) or has ended; reminds, and lets it expire, at its times.

        A wish to stop is for the caller: then it gives True, too.
        """
        bell = self._desks[number].bell
        while True:
            bell.clear()
            seconds = await self._store.write(lambda tables: self._look(tables, number))
            if seconds < 0:
                self._desks.pop(number, None)
                return False
            if seconds == 0 or stop.why is not None:
                return True
            await _first(bell, stop, min(seconds, CLOCK_LOOKS))

    def _look(self, tables: Tables, number: int) -> float:
        """Do what the time has come for; the seconds until the next, 0.0 where it waits no more, -1.0 if it ended."""
        now = self._clock.now()
        deployment, request = tables.deployments.get(number), tables.requests.get(number)
        if deployment is None or request is None or deployment.state.ended:
            return -1.0
        if not deployment.awaits_approval:
            return 0.0
        if now >= request.expires and not deployment.cancel_by:
            self._end(tables, deployment, Verdict.EXPIRED, _expired(deployment, request))
            return -1.0
        if now >= request.remind_at and tables.requests.remind(number):
            self._audit(tables, "deploybot", f"{deployment.plan.kind.value} reminded", deployment, "")
            self._tell(tables, number)
        next_at = request.expires if now >= request.remind_at else request.remind_at
        return max(next_at - now, 0.001)

    def judge(self, tables: Tables, deployment: Deployment) -> Decision:
        """What the policy says of a deployment that is about to begin, on everything as it is now."""
        plan = deployment.plan
        question = self._questions.ask(
            tables,
            deployment.requester,
            action=Action.DEPLOY,
            command=plan.kind.value,
            app=plan.app,
            environment=plan.environment,
            release=plan.release,
            number=deployment.number,
            begins=True,
        )
        return decide(question)

    def send_back(self, tables: Tables, deployment: Deployment) -> None:
        """Let a deployment that was approved wait for approvals again: some of them do not count any more."""
        given = self._count(tables, deployment, self._clock.now())
        detail = f"{given.there} of {given.wanted} approvals count any more"
        self._audit(tables, "deploybot", f"{deployment.plan.kind.value} lacks approvals", deployment, detail)
        self._tell(tables, deployment.number)

    async def changes(self, deployment: Deployment, request: Request) -> tuple[str, ...]:
        """What has changed since it was asked for, as sentences.

        Raises Unreachable where that cannot be known now, UserError where it could not be done any more.
        """
        old, plan = request.binding, deployment.plan
        config = config_of(plan, self._settings)
        if config != old.config:
            return differences(old, replace(old, config=config, digest=""))
        app = self._settings.apps[plan.app]
        commit = plan.release.commit
        if old.ref is not None:
            commit = await self._planner.meaning(app, old.ref)
            if not commit:
                return differences(old, replace(old, commit="", digest=""))
        again = await self._planner.again(app, app.environments[plan.environment], plan)
        return differences(old, binding_of(again, self._settings, ref=old.ref, commit=commit))

    async def verify(self, deployment: Deployment, stop: Stop) -> None:
        """Look once more whether what was approved is what would be done; Voided where it is not.

        For one that was approved by nobody because nobody had to, there is nothing to look at. A server or a
        repository that does not answer is asked again for a minute.
        """
        last = self._clock.now() + UNREACHABLE_START
        request = await self._store.read(lambda tables: tables.requests.get(deployment.number))
        while request is not None:
            if stop.why is not None:
                raise stop.why
            try:
                changed = await self.changes(deployment, request)
            except Unreachable as problem:
                if self._clock.now() > last:
                    raise
                log.info("#%s is not looked at yet: %s", deployment.number, problem)
                await stop.pause(PLAN_PAUSE)
                continue
            if changed:
                raise Voided(changed)
            return

    async def guard(self, deployment: Deployment, stop: Stop) -> None:
        """The last look before a first step: rights, approvals and what they are bound to. Raises Voided."""

        def look(tables: Tables) -> Decision | None:
            asked = tables.requests.get(deployment.number) is not None
            return self.judge(tables, deployment) if asked and not tables.deployments.steps(deployment.number) else None

        if await self._store.read(look) is None:
            return
        await self.verify(deployment, stop)
        decision = await self._store.read(look)
        if decision is not None and not decision.allowed:
            raise Voided(decision.reasons)

    async def void(self, number: int, changed: Sequence[str]) -> None:
        """End a request whose approvals count for nothing any more."""
        await self._void(number, changed)

    async def _void(self, number: int, changed: Sequence[str]) -> Card:
        def void(tables: Tables) -> tuple[Deployment, Request]:
            deployment, request = _waiting(tables, number)
            words = f"{Voided(tuple(changed))}. {_NOTHING_DONE}"
            return self._end(tables, deployment, Verdict.VOID, words), request

        deployment, request = await self._store.write(void)
        self._desks[number].bell.set()
        again = ask_again(deployment.plan, request.binding.ref)
        return Card(
            title=f"#{number} is void, and was not deployed.",
            text="\n".join(changed),
            tone=Tone.WARN,
            ok=False,
            buttons=(Button("Ask anew", again),),
        )

    def _may(self, tables: Tables, person: Person, deployment: Deployment, command: str) -> None:
        """Ask the policy for who decides about a request; Denied."""
        question = self._questions.ask(
            tables,
            person.id,
            action=Action.APPROVE,
            command=command,
            app=deployment.plan.app,
            environment=deployment.plan.environment,
            number=deployment.number,
        )
        decision = decide(question)
        if not decision.allowed:
            raise Denied(decision.reasons, who_may=", ".join(decision.who_may) or "nobody on the allowlist")

    def _end(
        self, tables: Tables, deployment: Deployment, verdict: Verdict, words: str, *, actor: str = "deploybot"
    ) -> Deployment:
        ended = tables.deployments.move(deployment.number, State.CANCELLED, now=self._clock.now(), outcome=words)
        tables.requests.close(deployment.number, verdict)
        self._audit(tables, actor, f"{ended.plan.kind.value} {verdict}", ended, words)
        self._tell(tables, deployment.number)
        return ended

    def _audit(self, tables: Tables, actor: str, action: str, deployment: Deployment, detail: str) -> None:
        plan = deployment.plan
        subject = f"#{deployment.number} {plan.app}/{plan.environment}"
        tables.audit.append(actor=actor, action=action, subject=subject, detail=detail, now=self._clock.now())

    async def _note(self, number: int, text: str) -> None:
        """Say on an open request's card that somebody tried in vain: its button was used up and has to be made anew."""
        at = time.strftime("%H:%M:%S UTC", time.gmtime(self._clock.now()))

        def note(tables: Tables) -> None:
            deployment = tables.deployments.get(number)
            if deployment is not None and deployment.awaits_approval:
                tables.requests.note(number, f"{text} ({at})")
                self._tell(tables, number)

        await self._store.write(note)

    def _environment(self, plan: Plan) -> Environment | None:
        app = self._settings.apps.get(plan.app)
        return app.environments.get(plan.environment) if app else None


def _waiting(tables: Tables, number: int) -> tuple[Deployment, Request]:
    """A request whose deployment has not begun; UserError for everything else."""
    deployment, request = tables.deployments.get(number), tables.requests.get(number)
    if deployment is None:
        raise UserError(f"There is no deployment #{number}.", hint="See them with: history APP")
    if request is None:
        raise UserError(f"#{number} needs no approval.")
    if deployment.state.ended:
        ended = request.verdict.value or deployment.state.value
        raise UserError(f"#{number} has ended already: {ended}.", hint=deployment.outcome)
    if deployment.state is not State.WAITING:
        raise UserError(f"#{number} has begun already.", hint=f"`cancel #{number}` stops it.")
    if deployment.cancel_by:
        raise UserError(f"{deployment.cancel_by} has cancelled #{number} already.")
    return deployment, request


def _open(tables: Tables, number: int) -> tuple[Deployment, Request]:
    """A request that still wants approvals; UserError for everything else."""
    deployment, request = _waiting(tables, number)
    if not deployment.awaits_approval:
        by = ", ".join(one.name for one in request.approvals if one.counts)
        raise UserError(f"#{number} is approved already, by {by}.")
    return deployment, request


def _asked_for(wanted: Wanted | None) -> int:
    """How many approvals a request wants: it always wants some."""
    if wanted is None:
        raise ValueError("a request wants approvals")
    return wanted.count


def _expired(deployment: Deployment, request: Request) -> str:
    there = sum(one.counts for one in request.approvals)
    had = f"{there or 'none'} of the {request.wanted} approvals it needs"
    if deployment.not_before:
        return f"It was to begin at {show_time(deployment.not_before)}, and had {had} by then. {_NOTHING_DONE}"
    within = show_duration(request.expires - deployment.created)
    return f"It had {had} within {within}, and has expired. {_NOTHING_DONE}"


async def _first(bell: asyncio.Event, stop: Stop, seconds: float) -> None:
    """Until the bell rings, somebody wishes to stop, or so many seconds are over."""
    tasks = {asyncio.ensure_future(bell.wait()), asyncio.ensure_future(stop.wait())}
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _required(person: Person | None) -> Person:
    """The person of a command that needs one; dispatch has made sure of it."""
    if person is None:
        raise Denied(("You are not on the allowlist.",))
    return person
