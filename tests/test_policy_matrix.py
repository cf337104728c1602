"""The policy's decisions against an oracle of its own, over all combinations."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf

from deploybot.domain import Action, Grant, Lock, Person, Role
from deploybot.policy import (
    Before,
    PendingRequest,
    PolicyQuestion,
    WantedAction,
    counting,
    decide,
)
from tests.policy_people import ME, OTHER, PEOPLE, TEAM

SEED = 20_261_121

PLACES: tuple[str | None, ...] = (None, "*", "shop", "blog")
ENVIRONMENTS: tuple[str | None, ...] = (None, "*", "staging", "production")
COMMANDS = ("deploy", "cancel", "unlock", "help", "plugin")
LOCKS = (None, *(Lock("shop", "production", person.id, person.name, "why", 0.0) for person in PEOPLE))


def grant_shapes() -> Iterator[tuple[Grant, ...]]:
    """No grant, every single one, and pairs and triples of them."""
    single = [
        Grant(ME.id, role, app, environment)
        for role, app, environment in itertools.product(Role, ("*", "shop", "blog"), ("*", "staging", "production"))
    ]
    chosen = random.Random(SEED)
    yield ()
    yield from ((grant,) for grant in single)
    yield from (tuple(chosen.sample(single, count)) for count in (2, 3) for _ in range(30))


def oracle(person: Person | None, question: PolicyQuestion) -> bool:
    """The same answer in another way: a set of all that is allowed, made from the grants one by one."""
    if question.action is Action.ANYONE:
        return question.command in {"help", "whoami", "claim", "link"}
    if person is None:
        return False
    level = {"viewer": 1, "deployer": 2, "approver": 3, "admin": 4}
    wanted = {"view": 1, "deploy": 2, "approve": 3, "admin": 4}[question.action.value]
    best = 0
    for grant in question.grants:
        app_fits = question.app is None or grant.app in ("*", question.app)
        environment_fits = question.environment is None or grant.environment in ("*", question.environment)
        if grant.person == person.id and app_fits and environment_fits:
            best = max(best, level[grant.role.value])
    others_lock = question.lock is not None and question.lock.person != person.id
    if others_lock and question.command == "unlock" and best < level["admin"]:
        return False
    if others_lock and question.action.value == "deploy" and question.command not in {"lock", "unlock", "cancel"}:
        return False
    return best >= wanted


def test_matrix(figure: Callable[[str], None]) -> None:
    cells = wrong = 0
    for grants in grant_shapes():
        for person, action, command, app, environment, lock in itertools.product(
            (ME, OTHER, None), Action, COMMANDS, PLACES, ENVIRONMENTS, LOCKS
        ):
            if person is OTHER and lock is not None:
                continue
            question = PolicyQuestion(
                person=person,
                action=action,
                command=command,
                app=app,
                environment=environment,
                grants=grants,
                lock=lock,
            )
            cells += 1
            wrong += decide(question).allowed is not oracle(person, question)
    figure(f"{wrong} of {cells} cells wrong, seed={SEED}")
    assert cells >= 10_000
    assert wrong == 0


WANTED = (
    None,
    WantedAction(count=1),
    WantedAction(count=2),
    WantedAction(count=1, role=Role.ADMIN),
    WantedAction(count=1, names=("other", "third")),
)
ASKED = (
    None,
    *(
        PendingRequest(requester=requester, approved=approved)
        for requester in (1, 2)
        for approved in ((), (1,), (2,), (2, 3), (3, 3), (9,))
    ),
    *(
        PendingRequest(requester=9, approved=approved, originators=originators)
        for originators in ((1,), (2, 3))
        for approved in ((), (1, 2), (2, 3))
    ),
)
BEFORE = (
    None,
    Before(environment="staging"),
    *(
        Before(environment="staging", release="v2", id="b", there=there, been_here=been)
        for there in ((), (("web1", "v2", "b", True),), (("web1", "v2", "b", True), ("web2", "v2", "b", False)))
        for been in (True, False)
    ),
)


def level(person: int, question: PolicyQuestion) -> int:
    """How much somebody may on shop/production, from 0 to 4."""
    mine = [grant.role.value for grant in question.grants if grant.person == person]
    return max((["viewer", "deployer", "approver", "admin"].index(role) + 1 for role in mine), default=0)


def is_asked_for(person: Person, question: PolicyQuestion) -> bool:
    """Whether somebody is one of those whom the place names, or has the role that it wants."""
    wanted = question.wanted
    if wanted is None:
        return level(person.id, question) >= 3
    named = not wanted.names or person.name in wanted.names
    return named and level(person.id, question) >= (4 if wanted.role is Role.ADMIN else 3)


def lacks_approvals(question: PolicyQuestion) -> bool:
    """Whether something that begins has too few approvals, counted by hand."""
    wanted, request = question.wanted, question.request
    if not question.begins or wanted is None or question.command == "restart":
        return False
    good = {one.id for one in question.people if is_asked_for(one, question)}
    return (
        request is None or len(good & set(request.approved) - {request.requester, *request.originators}) < wanted.count
    )


def comes_too_early(question: PolicyQuestion) -> bool:
    """Whether the environment before it has not the same release, healthy."""
    before = question.before
    if before is None or not before.id or question.command in {"restart", "run"}:
        return False
    if question.command == "rollback" and before.been_here:
        return False
    return not before.there or any(commit != "b" or not well for _, _, commit, well in before.there)


def approval_oracle(question: PolicyQuestion) -> bool:
    """The same answer in another way, for one who is known where nothing is locked."""
    assert question.person
    me, request = question.person.id, question.request
    if question.action is Action.APPROVE:
        mine = request is not None and me in {request.requester, *request.originators, *request.approved}
        return is_asked_for(question.person, question) and not (question.command == "approve" and mine)
    return level(me, question) >= 2 and not lacks_approvals(question) and not comes_too_early(question)


def test_matrix_of_approvals(figure: Callable[[str], None]) -> None:
    chosen = random.Random(SEED)
    shapes = [
        tuple(Grant(person.id, role) for person, role in zip(TEAM, roles, strict=True) if role)
        for roles in itertools.product((None, *Role), repeat=3)
    ]
    cells = wrong = 0
    commands = [(Action.DEPLOY, one) for one in ("deploy", "rollback", "run", "restart")]
    commands += [(Action.APPROVE, one) for one in ("approve", "reject")]
    for (action, command), wanted, request in itertools.product(commands, WANTED, ASKED):
        for grants, begins, before in itertools.product(chosen.sample(shapes, 6), (False, True), BEFORE):
            question = PolicyQuestion(
                person=ME,
                action=action,
                command=command,
                app="shop",
                environment="production",
                grants=grants,
                people=TEAM,
                wanted=wanted,
                request=request,
                before=before,
                begins=begins,
            )
            cells += 1
            wrong += decide(question).allowed is not approval_oracle(question)
    figure(f"{wrong} of {cells} cells of approvals wrong, seed={SEED}")
    assert cells >= 10_000
    assert wrong == 0


def came_in_time(after: int, since: float, request: PendingRequest) -> bool:
    """Whether a role or an account of this moment is older than a request, and than what triggered it."""
    number_is_later = request.number > after
    return number_is_later and (not request.since or since < request.since)


def test_matrix_of_late_roles_and_accounts(figure: Callable[[str], None]) -> None:
    moments = [(after, since) for after in (0, 6, 7, 8) for since in (0.0, 4.9, 5.0, 5.1)]
    mine = [(), *(((role, *moment),) for role in (Role.DEPLOYER, Role.APPROVER) for moment in moments)]
    chosen = random.Random(SEED)
    mine += [tuple((Role.APPROVER, *one) for one in chosen.sample(moments, 2)) for _ in range(20)]
    cells = wrong = 0
    for grants, account, triggered in itertools.product(mine, moments, (0.0, 5.0)):
        request = PendingRequest(requester=OTHER.id, number=7, since=triggered)
        question = PolicyQuestion(
            person=ME,
            action=Action.APPROVE,
            command="approve",
            app="shop",
            environment="production",
            grants=tuple(Grant(ME.id, role, after=after, since=since) for role, after, since in grants),
            people=TEAM,
            wanted=WantedAction(count=1),
            request=request,
            account=account[0],
            account_since=account[1],
        )
        has = any(role is Role.APPROVER and came_in_time(after, since, request) for role, after, since in grants)
        begins = replace(question, person=OTHER, request=replace(request, approved=(ME.id,)), begins=True)
        cells += 2
        wrong += decide(question).allowed is not (has and came_in_time(*account, request))
        wrong += (counting(begins) == (ME.id,)) is not has
    figure(f"{wrong} of {cells} cells of late roles and accounts wrong, seed={SEED}")
    assert cells >= 3_000
    assert wrong == 0


ENDS = (5.0, 10.0, inf)


def may_give(person: Person, question: PolicyQuestion, moment: float) -> bool:
    """Whether somebody is an admin of the target at every hour of what they give, looked up hour by hour."""
    assert question.gives_until is not None
    hours = [moment, *(one - 0.5 for one in (5.0, 10.0, 1e6) if moment < one <= min(question.gives_until, 1e6))]
    return all(
        any(
            (grant.until == 0.0 or hour < grant.until) and grant.app in ("*", question.app)
            for grant in question.grants
            if grant.person == person.id and grant.role.value == "admin"
        )
        for hour in hours
    )


def test_matrix_of_what_admins_give(figure: Callable[[str], None]) -> None:
    chosen = random.Random(SEED)
    single = [
        Grant(ME.id, role, app, until=until)
        for role, app, until in itertools.product((Role.APPROVER, Role.ADMIN), ("*", "shop", "blog"), (0.0, 5.0, 10.0))
    ]
    shapes = [tuple(chosen.sample(single, count)) for count in (0, 1, 2, 3) for _ in range(40)]
    cells = wrong = 0
    for grants, ends, moment, app, command in itertools.product(
        shapes, ENDS, (1.0, 4.9, 5.0, 9.9), ("*", "shop", "blog"), ("allow", "confirm")
    ):
        question = PolicyQuestion(
            person=ME,
            action=Action.ADMIN,
            command=command,
            app=app,
            environment="*",
            grants=grants,
            now=moment,
            gives_until=ends,
        )
        if ends <= moment:
            continue
        cells += 1
        wrong += decide(question).allowed is not may_give(ME, question, moment)
    figure(f"{wrong} of {cells} cells of what admins give wrong, seed={SEED}")
    assert cells >= 5_000
    assert wrong == 0
