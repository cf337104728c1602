"""Build questions for the policy from what bot.toml and the database say now.

The caller must be inside a transaction, so that the answer and the action on it belong together.
"""

from __future__ import annotations

from collections.abc import Iterable

from deploybot.deployments.auto_targets import auto_text, grants_of, is_used
from deploybot.deployments.originators import authors_of, late_givers_of, originators_of, triggered_at, unknown_cause
from deploybot.deployments.past_releases import LOOK_BACK
from deploybot.deployments.way_back import terms_of_plan, terms_of_release
from deploybot.domain import (
    AUTO,
    EVERY,
    Account,
    Action,
    Approval,
    Deployment,
    Freeze,
    Grant,
    Identity,
    Kind,
    Lock,
    Origin,
    Person,
    Plan,
    Release,
    Request,
    Role,
)
from deploybot.errors import Denied, Locked, TargetFrozen
from deploybot.policy import (
    ActiveFreeze,
    Allowed,
    Before,
    Decision,
    PendingRequest,
    PolicyQuestion,
    RollbackTerms,
    WantedAction,
    approvals_wanted,
    decide,
    lock_text,
)
from deploybot.policy.active_freezes import active_freeze
from deploybot.ports import Clock, Tables
from deploybot.settings import Environment, Settings


def wanted_of(
    environment: Environment | None,
    request: Request | None = None,
    *,
    command: str = Kind.DEPLOY,
    terms: RollbackTerms | None = None,
) -> WantedAction | None:
    """Return the approvals that bot.toml requires for a command, by the `terms` of a rollback if there are some.

    A request keeps its original rules, unless more is required now.
    """
    if environment is not None and environment.approvals:
        now = approvals_wanted(environment.approvals, command, terms)
        count = max(now, request.wanted if request else 0)
        return _wanted(count, environment.approvers) if count else None
    return _wanted(request.wanted, request.approvers) if request else None


def _wanted(count: int, approvers: Iterable[str]) -> WantedAction:
    names = tuple(one.removeprefix("@") for one in approvers if one.startswith("@"))
    role = next((Role(one) for one in approvers if not one.startswith("@")), Role.APPROVER)
    return WantedAction(count=count, role=role, names=names)


class PolicyQuestions:
    """Makes questions; stores nothing."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """Take bot.toml and the clock."""
        self._settings = settings
        self._clock = clock
        self._automatic = is_used(settings)

    def ask(
        self,
        tables: Tables,
        who: Identity | int,
        *,
        action: Action,
        command: str,
        app: str | None,
        environment: str | None,
        release: Release | None = None,
        number: int = 0,
        begins: bool = False,
        origin: Origin | None = None,
        glass: bool = False,
        speaks_by: Identity | None = None,
        starts: float = 0.0,
        plan: Plan | None = None,
    ) -> PolicyQuestion:
        """Return a question about a person, by account or id; app and environment are as in `policy.PolicyQuestion`.

        `release` is what would run. `number` is the deployment in question, 0 if there is none; it `begins` if it is
        about to. `origin` is what the repository says about the commit, None if it was not asked yet. With `glass`, the
        person wants to break it, and a rollback wants the approvals of a deployment. `speaks_by` is the account of a
        person given by id, `starts` when it would start, if later than now, `plan` what would be done or was requested.
        """
        now = self._clock.now()
        people = tables.people.everybody()
        person = tables.people.of(who) if isinstance(who, Identity) else _by_id(people, who)
        bot = tables.people.of(AUTO) if self._automatic else None
        target = self._target(app, environment)
        request = tables.requests.get(number) if number else None
        account = _account_of(tables, who, speaks_by)
        terms = _terms(tables, target, kind := plan.kind.value if plan else command, release, plan)
        freeze, frozen = self._freezes(tables, target, now, starts)
        return PolicyQuestion(
            person=person,
            action=action,
            command=command,
            app=app,
            environment=environment,
            grants=self._grants(tables, bot),
            people=tuple(one for one in people if one != bot),
            lock=_lock_in_the_way(tables.locks.all(now), person, app, environment),
            freeze=freeze,
            frozen=frozen,
            ran_here=frozen is None or target is None or release is None or _ran_here(tables, target, release),
            freeze_windows=_windows(target),
            wanted=wanted_of(target, request, command=kind, terms=None if glass else terms),
            rollback=terms,
            request=_pending(tables, request, target),
            before=self._before(tables, target, release) if target and target.after else None,
            allowed=_allowed(target, origin),
            begins=begins,
            glass=glass,
            auto=auto_text(target),
            itself=bot is not None and person == bot,
            now=now,
            account=account.after if account else 0,
            account_since=account.since if account else 0.0,
        )

    def _freezes(
        self, tables: Tables, target: Environment | None, now: float, starts: float
    ) -> tuple[Freeze | None, ActiveFreeze | None]:
        """Return the freeze that a person set on a target, and what freezes it when something would start."""
        freeze = tables.freezes.get(target.app, target.name, now) if target else None
        zone = self._settings.bot.timezone
        return freeze, active_freeze(target, freeze, max(now, starts), zone, later=starts > now)

    def grants(self, tables: Tables) -> tuple[Grant, ...]:
        """Return all grants, with what bot.toml allows the bot itself."""
        return self._grants(tables, tables.people.of(AUTO) if self._automatic else None)

    def _grants(self, tables: Tables, bot: Person | None) -> tuple[Grant, ...]:
        """Return all grants; the bot's own come from bot.toml alone, whatever the table has."""
        grants = tables.people.grants()
        if bot is None:
            return grants
        return (*(one for one in grants if one.person != bot.id), *grants_of(bot, self._settings))

    def may_request(
        self, tables: Tables, person: int, plan: Plan, *, glass: bool = False, starts: float = 0.0
    ) -> PolicyQuestion:
        """Return the question whether a person may request a plan that starts now, or at a later time."""
        return self._of_plan(tables, person, plan, glass=glass, starts=starts)

    def may_begin(self, tables: Tables, deployment: Deployment) -> PolicyQuestion:
        """Return the question whether a deployment may begin, as its requester."""
        return self._of_plan(
            tables, deployment.requester, deployment.plan, number=deployment.number, glass=bool(deployment.glass)
        )

    def may_decide(
        self,
        tables: Tables,
        person: int,
        deployment: Deployment,
        command: str,
        *,
        speaks_by: Identity | None = None,
    ) -> PolicyQuestion:
        """Return the question whether a person may approve or reject a request."""
        plan = deployment.plan
        return self.ask(
            tables,
            person,
            action=Action.APPROVE,
            command=command,
            app=plan.app,
            environment=plan.environment,
            number=deployment.number,
            speaks_by=speaks_by,
            plan=plan,
        )

    def may_cancel(
        self, tables: Tables, person: int, deployment: Deployment, *, command: str = "cancel"
    ) -> PolicyQuestion:
        """Return the question whether a person may cancel a deployment, or veto its rollback."""
        plan = deployment.plan
        return self.ask(
            tables, person, action=Action.DEPLOY, command=command, app=plan.app, environment=plan.environment
        )

    def _of_plan(
        self, tables: Tables, person: int, plan: Plan, *, number: int = 0, glass: bool = False, starts: float = 0.0
    ) -> PolicyQuestion:
        return self.ask(
            tables,
            person,
            action=Action.DEPLOY,
            command=plan.kind.value,
            app=plan.app,
            environment=plan.environment,
            release=plan.release,
            number=number,
            begins=bool(number),
            origin=plan.origin or Origin(found="no ref that was checked", unsigned="its signature was not checked"),
            glass=glass,
            starts=starts,
            plan=plan,
        )

    def wanted(self, tables: Tables, plan: Plan) -> WantedAction | None:
        """Return the approvals that a new request for a plan needs."""
        target = self._target(plan.app, plan.environment)
        terms = _terms(tables, target, plan.kind.value, plan.release, plan)
        return wanted_of(target, command=plan.kind.value, terms=terms)

    def insist(self, question: PolicyQuestion) -> None:
        """Ask the policy and raise its refusal: Locked or TargetFrozen if only that prevents it, else Denied."""
        self.refuse(question, decide(question))

    def refuse(self, question: PolicyQuestion, decision: Decision) -> None:
        """Raise Locked, TargetFrozen or Denied if the decision is a no."""
        if decision.allowed:
            return
        if decision.held and question.lock is not None:
            raise Locked(lock_text(question.lock, self._clock.now()))
        if decision.frozen and question.frozen is not None:
            urgent = question.command == Kind.DEPLOY
            raise TargetFrozen(question.frozen.sentence(question.target), question.frozen.until, urgent=urgent)
        raise Denied(decision.reasons, who_may=", ".join(decision.who_may) or "no one on the allowlist")

    def _target(self, app: str | None, environment: str | None) -> Environment | None:
        found = self._settings.apps.get(app or "")
        return found.environments.get(environment or "") if found else None

    def _before(self, tables: Tables, target: Environment, release: Release | None) -> Before:
        """Return how a release does in the environment that comes before this one."""
        after = str(target.after)
        if release is None:
            return Before(environment=after)
        rows = {row.server: row for row in tables.running.get(target.app, after)}
        found = [(name, rows.get(name)) for name in self._settings.apps[target.app].environments[after].servers]
        there = tuple(
            (name, str(row.release), row.release.id, row.healthy) if row else (name, "", "", False)
            for name, row in found
        )
        return Before(
            environment=after,
            release=str(release),
            id=release.id,
            there=there,
            been_here=_ran_here(tables, target, release),
        )


def _terms(
    tables: Tables, target: Environment | None, kind: str, release: Release | None, plan: Plan | None
) -> RollbackTerms | None:
    """Return the terms of a rollback; None for anything else, and where it needs as many approvals as a deployment."""
    if target is None or kind != Kind.ROLLBACK:
        return None
    return terms_of_plan(tables, target, plan) if plan else terms_of_release(tables, target, release)


def _ran_here(tables: Tables, target: Environment, release: Release) -> bool:
    """Return whether a release ran well in a target."""
    good = tables.deployments.good(target.app, target.name, LOOK_BACK)
    return any(one.plan.release.id == release.id for one in good)


def _allowed(target: Environment | None, origin: Origin | None) -> Allowed | None:
    """Return what bot.toml limits for a target; None if it accepts every commit."""
    if target is None or not (target.refs or target.signed):
        return None
    return Allowed(refs=tuple(map(str, target.refs)), signed=target.signed, origin=origin)


def _pending(tables: Tables, request: Request | None, target: Environment | None) -> PendingRequest | None:
    deployment = tables.deployments.get(request.deployment) if request else None
    if request is None or deployment is None or deployment.state.ended:
        return None  # it has ended: the answer says so, not who may decide
    given = tuple(one.person for one in request.approvals if one.counts and _is_theirs(tables, one, deployment.number))
    unknown = unknown_cause(tables, deployment)
    authors: tuple[int, ...] = ()
    if target is not None and target.approvals_exclude == "authors":
        authors, of_authors = authors_of(tables, deployment.plan)
        unknown = unknown or of_authors
    return PendingRequest(
        requester=deployment.requester,
        approved=given,
        originators=originators_of(tables, deployment),
        givers=late_givers_of(tables, deployment),
        unknown=unknown,
        authors=authors,
        number=deployment.number,
        since=triggered_at(tables, deployment),
    )


def _is_theirs(tables: Tables, approval: Approval, number: int) -> bool:
    """Return whether the account of an approval was its person's all the time since request `number`.

    An account that was unlinked may have been stolen. That it was linked again later changes nothing.
    """
    if approval.account is None:
        return True
    account = tables.people.account(approval.account)
    return account is not None and not account.detached and account.person == approval.person and account.after < number


def _account_of(tables: Tables, who: Identity | int, speaks_by: Identity | None) -> Account | None:
    """Return the account that speaks; None if only the person is known."""
    identity = who if isinstance(who, Identity) else speaks_by
    return tables.people.account(identity) if identity is not None else None


def _windows(target: Environment | None) -> str:
    return ", ".join(one.text for one in target.freeze) if target else ""


def _by_id(people: Iterable[Person], wanted: int) -> Person | None:
    return next((person for person in people if person.id == wanted), None)


def _lock_in_the_way(
    locks: Iterable[Lock], person: Person | None, app: str | None, environment: str | None
) -> Lock | None:
    """Return the lock of a target; with several environments, another person's lock before one's own."""
    here = [lock for lock in locks if app in {EVERY, lock.app} and environment in {None, EVERY, lock.environment}]
    return next((lock for lock in here if person is None or lock.person != person.id), here[0] if here else None)


def required(person: Person | None) -> Person:
    """Return the person of a command that needs one; dispatch has already checked it."""
    if person is None:
        raise Denied(("You are not on the allowlist.",))
    return person
