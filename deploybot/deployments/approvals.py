"""Approvals: a deployment that other people must allow, bound to exactly what it would do.

Everything that counts is a row. Every decision is made inside the transaction that stores it, on the grants, locks and
approvals of that moment. For each request a task of the bot waits. It only reads the rows and the clock, so reminders
and expiry also work after a restart.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakValueDictionary

from deploybot.card import Button, Card, Tone
from deploybot.command import Context
from deploybot.deployments.approval_card import ask_again
from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.card_titles import headline
from deploybot.deployments.compare_links import compare_url
from deploybot.deployments.fingerprint_check import FingerprintCheck
from deploybot.deployments.one_time_codes import NEXT_CODE, CodeCheck
from deploybot.deployments.planner import sealed
from deploybot.deployments.policy_lookup import PolicyQuestions, required
from deploybot.deployments.request_state import NOTHING_DONE, ApprovalCount, expired_text, waiting, wanting
from deploybot.deployments.timeouts import TIMEOUTS, Timeouts
from deploybot.domain import Approval, Deployment, Identity, Kind, Person, Plan, Request, RequestVerdict, State
from deploybot.errors import DeploybotError, StoreError, Unreachable, UserError, Voided, sentence
from deploybot.policy import NEEDS_APPROVAL, ONLY_AUTHORS, PolicyQuestion, counting, missing, needed, who_may
from deploybot.ports import Clock, CodeSecrets, Store, Tables
from deploybot.settings import Environment, Settings
from deploybot.units import show_duration

REMIND_LEFT = 0.25


@dataclass(slots=True, weakref_slot=True)
class _OpenRequest:
    """One request in this bot's memory: a lock for one click at a time, and an event that wakes the waiting task."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    bell: asyncio.Event = field(default_factory=asyncio.Event)


class Approvals:
    """Creates, approves, rejects and expires requests, reminds people of them, and voids them if something changed."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        clock: Clock,
        fingerprints: FingerprintCheck,
        codes: CodeSecrets,
        queue_card: Callable[[Tables, int], None],
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        """Take the ports; `queue_card(tables, number)` queues the cards of a deployment in the same transaction."""
        self._settings = settings
        self._store = store
        self._clock = clock
        self._fingerprints = fingerprints
        self._codes = CodeCheck(codes, clock)
        self._queue_card = queue_card
        self._timeouts = timeouts
        self._questions = PolicyQuestions(settings, clock)
        self._open_requests: WeakValueDictionary[int, _OpenRequest] = WeakValueDictionary()

    async def request_for(self, plan: Plan, ref: str | None, not_before: float, thaw: float = 0.0) -> Request | None:
        """Return the request that a plan needs, to store with its deployment; None if it needs no approvals.

        `ref` is what was typed, None if nothing was typed. With `not_before` (Unix time) the request expires then.
        `thaw` is the end of the freeze that it waits for: there is time for approvals after it, too.
        """
        environment = self._environment(plan)
        wanted = await self._store.read(lambda tables: self._questions.wanted(tables, plan))
        if environment is None or wanted is None or plan.kind not in NEEDS_APPROVAL:
            return None
        now = self._clock.now()
        expires = not_before or max(now, thaw) + environment.approval_within
        return Request(
            deployment=0,
            binding=self._fingerprints.bind(plan, ref),
            wanted=wanted.count,
            approvers=environment.approvers,
            expires=expires,
            remind_at=expires - (expires - now) * REMIND_LEFT,
            code=environment.approval_code is not None,
            compare=_compare(self._settings.apps[plan.app].repo or "", plan),
        )

    def add(self, tables: Tables, deployment: Deployment, request: Request) -> None:
        """Store the request of a new deployment; note on it if too few people could approve it."""
        number = deployment.number
        tables.requests.add(replace(request, deployment=number))
        question = self._questions.may_decide(tables, deployment.requester, deployment, "approve")
        self._note_missing(tables, number, question)
        able = who_may(question)
        if len(able) < needed(question):
            names = ", ".join(able) or "no one"
            tables.requests.note(number, f"too few people can approve it now ({names}): give the role with `allow`")

    async def refresh(self, deployments: Sequence[Deployment]) -> None:
        """After a start, require what bot.toml requires now, but never less than was required at first.

        A button pressed while the bot died may be used up without effect, so the cards are posted again.
        """
        open_ones = [one for one in deployments if one.awaits_approval and not one.cancel_by]
        note = f"deploybot restarted; press again if your answer is missing here ({self._time()})"

        def refresh(tables: Tables) -> None:
            for one in open_ones:
                self._ask_for_more(tables, one)
                self._count(tables, one, self._clock.now())
                tables.requests.note(one.number, note)
                self._queue_card(tables, one.number)

        if open_ones:
            await self._store.write(refresh)

    def _ask_for_more(self, tables: Tables, deployment: Deployment) -> None:
        request, environment = tables.requests.get(deployment.number), self._environment(deployment.plan)
        if request is None or environment is None or not environment.approvals:
            return
        code = request.code or environment.approval_code is not None
        wanted = self._questions.may_begin(tables, deployment).wanted
        count = max(request.wanted, wanted.count if wanted else 0)
        tables.requests.ask(deployment.number, wanted=count, approvers=environment.approvers, code=code)

    async def approve(self, ctx: Context, number: int, code: str) -> Card:
        """Approve a request as the sender. `code` is a one-time code, or empty.

        If something has changed since the request, end it as void and return the card that says so. Raises UserError,
        Denied or Unreachable if this did not approve it; the request's card then shows who tried.
        """
        person = required(ctx.person)
        async with self._open_request(number).turn:
            try:
                return await self._approve(person, ctx.incoming.identity, number, code)
            except StoreError:
                raise
            except DeploybotError as problem:
                await self._note(number, f"{person.name}: {problem} ({self._time()})")
                raise

    async def _approve(self, person: Person, account: Identity, number: int, code: str) -> Card:
        deployment, request = await self._store.read(lambda tables: wanting(tables, number, self._clock.now()))
        step = await self._codes.approval_step(person, request, code) if request.code else 0
        changed = await self._changes(deployment, request)
        if changed:
            return await self.void(number, changed)
        given = await self._store.write(lambda tables: self._give(tables, person, account, number, step))
        if given.refused:
            raise UserError(given.refused, hint=NEXT_CODE)
        self._open_request(number).bell.set()
        if not given.missing:
            return Card(title=f"#{number} is approved.", tone=Tone.GOOD, aside=True)
        title = f"#{number} has {given.there} of {given.wanted} approvals now."
        return Card(title=title, text=given.why, tone=Tone.GOOD, aside=True)

    async def _changes(self, deployment: Deployment, request: Request) -> tuple[str, ...]:
        """Return what has changed; raise Unreachable if that takes too long.

        So the approver always gets an answer, and their button is posted again.
        """
        try:
            async with asyncio.timeout(self._timeouts.recheck):
                return await self._fingerprints.changes(deployment, request)
        except TimeoutError:
            why = f"no answer within {show_duration(self._timeouts.recheck)}, so changes since the request are unknown"
            raise Unreachable("the repository or a server", why) from None

    def _give(self, tables: Tables, person: Person, account: Identity, number: int, step: int) -> ApprovalCount:
        """Store an approval, if everything still allows it."""
        now = self._clock.now()
        deployment, request = wanting(tables, number, now)
        self._questions.insist(self._questions.may_decide(tables, person.id, deployment, "approve", speaks_by=account))
        if request.code:
            refused = self._codes.use(tables, person, step, now=now, about=f"#{number}")
            if refused:
                return ApprovalCount(refused=refused)
        tables.requests.approve(number, Approval(person.id, person.name, now, account=account))
        tables.requests.note(number, "")
        given = self._count(tables, deployment, now)
        detail = f"{given.there} of {given.wanted}, bound to {request.binding.digest[:12]}"
        self._audit(tables, person.name, "approve", deployment, detail)
        self._queue_card(tables, number)
        return given

    def _count(self, tables: Tables, deployment: Deployment, now: float) -> ApprovalCount:
        """Count the approvals that are valid now, and store since when they are enough."""
        question = self._questions.may_begin(tables, deployment)
        if question.wanted is None:
            raise StoreError(f"the request for #{deployment.number} is no longer in the database")
        counts = counting(question)
        changed = tables.requests.count_only(deployment.number, counts)
        lacking = missing(question)
        changed |= self._note_missing(tables, deployment.number, question)
        changed |= self._show_terms(tables, deployment, question)
        changed |= tables.deployments.approve(deployment.number, 0.0 if lacking else now)
        wanted = needed(question)
        why = ONLY_AUTHORS if lacking and len(counts) >= wanted else ""
        return ApprovalCount(len(counts), wanted, missing=lacking, why=why, changed=changed)

    @staticmethod
    def _note_missing(tables: Tables, number: int, question: PolicyQuestion) -> bool:
        """Store for the card how many approvals are missing, and why it needs one more; return whether that changed."""
        more = question.request.unknown if question.request else ""
        return tables.requests.lack(number, missing=missing(question), more=more)

    @staticmethod
    def _show_terms(tables: Tables, deployment: Deployment, question: PolicyQuestion) -> bool:
        """Store for the card how a rollback counts now; return whether that changed."""
        row = tables.deployments.get(deployment.number) if deployment.plan.kind is Kind.ROLLBACK else None
        if row is None or row.state is not State.WAITING or question.wanted is None:
            return False
        terms = question.rollback
        if terms is not None and not terms.forward:
            terms = replace(terms, back=question.wanted.count)  # an older request may need more than bot.toml does now
        plan = replace(row.plan, counts_as=terms.counts_as if terms else "")
        if plan == row.plan:
            return False
        tables.deployments.replan(row.number, sealed(plan))
        return True

    async def reject(self, ctx: Context, number: int) -> Card:
        """End a request that has not begun, with the sender's reason. Raises UserError or Denied."""
        person = required(ctx.person)
        if not ctx.reason:
            raise UserError("A rejection needs a reason.", hint=f"Like this: `reject #{number} because …`.")

        def reject(tables: Tables) -> Deployment:
            deployment, _ = waiting(tables, number)
            self._questions.insist(self._questions.may_decide(tables, person.id, deployment, "reject"))
            words = f"Rejected by {person.name}: {ctx.reason.rstrip('.')}. {NOTHING_DONE}"
            return self._end(tables, deployment, RequestVerdict.REJECTED, words, actor=person.name)

        rejected = await self._store.write(reject)
        self._open_request(number).bell.set()
        return Card(title=f"#{number} ({headline(rejected.plan)}) is rejected.", aside=True)

    async def wait(self, number: int, stop: CancellationWatch) -> bool:
        """Wait until a deployment needs no more approvals (return True) or has ended (return False).

        Meanwhile, send the reminder and let the request expire. A cancellation also returns True: the caller handles
        it.
        """
        open_request = self._open_request(number)
        while True:
            open_request.bell.clear()
            seconds = await self._look(number)
            if seconds <= 0 or stop.why is not None:
                return seconds >= 0
            await stop.outrun(open_request.bell.wait(), within=min(seconds, self._timeouts.clock_check))

    async def _look(self, number: int) -> float:
        """Return the seconds until a request needs attention; 0.0 if it no longer waits, -1.0 if it has ended."""
        deployment = await self._store.read(lambda tables: tables.deployments.get(number))
        if deployment is None or deployment.state.ended:
            return -1.0
        if not deployment.awaits_approval:
            return 0.0
        return await self._store.write(lambda tables: self._do_what_is_due(tables, number))

    def _do_what_is_due(self, tables: Tables, number: int) -> float:
        """Remind people or let the request expire; return the same number as `_look`.

        An approver may have lost their role meanwhile. The card must then stop showing their approval as valid.
        """
        now = self._clock.now()
        try:
            deployment, request = waiting(tables, number)
        except UserError:
            return 0.0  # decided or cancelled just now: the next look handles that
        if not deployment.awaits_approval:
            return 0.0
        if now >= request.expires:
            self._end(tables, deployment, RequestVerdict.EXPIRED, expired_text(deployment, request))
            return -1.0
        changed = self._count(tables, deployment, now).changed
        if now >= request.remind_at and tables.requests.remind(number):
            self._audit(tables, "deploybot", f"{deployment.plan.kind.value} reminded", deployment, "")
            changed = True
        if changed:
            self._queue_card(tables, number)
        next_at = request.expires if now >= request.remind_at else request.remind_at
        return max(next_at - now, 0.001)

    def send_back(self, tables: Tables, deployment: Deployment) -> None:
        """Make an approved deployment wait for approvals again: some no longer count, or more are needed."""
        self._ask_for_more(tables, deployment)
        given = self._count(tables, deployment, self._clock.now())
        detail = f"{given.there} of {given.wanted} approvals count now"
        self._audit(tables, "deploybot", f"{deployment.plan.kind.value} lacks approvals", deployment, detail)
        self._queue_card(tables, deployment.number)

    async def void(self, number: int, changed: Sequence[str]) -> Card:
        """End a request whose approvals no longer count; return the card that says so and offers a new request."""

        def void(tables: Tables) -> tuple[str, ...]:
            deployment, request = tables.deployments.get(number), tables.requests.get(number)
            if deployment is None or request is None or deployment.state.ended:
                return ()  # it has already ended; its card shows how
            words = f"{sentence(Voided(tuple(changed)))} {NOTHING_DONE}"
            self._end(tables, deployment, RequestVerdict.VOID, words)
            return (ask_again(deployment, request),)

        again = await self._store.write(void)
        self._open_request(number).bell.set()
        return Card(
            title=f"#{number} is void, and was not deployed." if again else f"#{number} has already ended.",
            text="\n".join(changed) if again else "",
            tone=Tone.WARN,
            ok=False,
            aside=True,
            buttons=tuple(Button("Ask again", command) for command in again),
        )

    def wake(self, numbers: Sequence[int]) -> None:
        """Wake the tasks that wait for these requests, so that they read their rows again."""
        for number in numbers:
            self._open_request(number).bell.set()

    def _end(
        self, tables: Tables, deployment: Deployment, verdict: RequestVerdict, words: str, *, actor: str = "deploybot"
    ) -> Deployment:
        ended = tables.deployments.move(deployment.number, State.CANCELLED, now=self._clock.now(), outcome=words)
        tables.requests.close(deployment.number, verdict)
        self._audit(tables, actor, f"{ended.plan.kind.value} {verdict}", ended, words)
        self._queue_card(tables, deployment.number)
        return ended

    def _audit(self, tables: Tables, actor: str, action: str, deployment: Deployment, detail: str) -> None:
        plan = deployment.plan
        subject = f"#{deployment.number} {plan.app}/{plan.environment}"
        tables.audit.append(actor=actor, action=action, subject=subject, detail=detail, now=self._clock.now())

    async def _note(self, number: int, text: str) -> None:
        """Note a failed attempt on an open request's card: that posts the used-up button again."""

        def note(tables: Tables) -> None:
            deployment = tables.deployments.get(number)
            if deployment is not None and deployment.awaits_approval:
                tables.requests.note(number, text)
                self._queue_card(tables, number)

        await self._store.write(note)

    def _open_request(self, number: int) -> _OpenRequest:
        """Return the in-memory state of a request; it lasts as long as something refers to it."""
        open_request = self._open_requests.get(number)
        if open_request is None:
            open_request = self._open_requests[number] = _OpenRequest()
        return open_request

    def _time(self) -> str:
        return time.strftime("%H:%M:%S UTC", time.gmtime(self._clock.now()))

    def _environment(self, plan: Plan) -> Environment | None:
        app = self._settings.apps.get(plan.app)
        return app.environments.get(plan.environment) if app else None


def _compare(repo: str, plan: Plan) -> str:
    """Return the page that compares what runs with the release; empty if they are not two different commits."""
    old = next((part.replaces for part in plan.servers if part.replaces), None)
    if old is None or not old.code or not plan.release.code or old.same_code(plan.release):
        return ""
    return compare_url(repo, old.code, plan.release.code)
