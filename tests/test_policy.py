"""The policy against an oracle of its own, and every reason word for word."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf

import pytest

from deploybot.domain import Action, Grant, Lock, Person, Role
from deploybot.policy import (
    LEAST,
    OPEN_COMMANDS,
    RULES,
    Before,
    Decision,
    PendingRequest,
    PolicyQuestion,
    Voice,
    WantedAction,
    counting,
    decide,
    explain,
    lock_text,
    role_of,
    suffices,
    who_may,
)

ME = Person(1, "me")
OTHER = Person(2, "other")
PEOPLE = (ME, OTHER)
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


THIRD = Person(3, "third")
TEAM = (ME, OTHER, THIRD)
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


def ask(action: Action = Action.DEPLOY, command: str = "deploy", **more: object) -> Decision:
    """Ask for somebody who is deployer of shop, among people of whom one is admin."""
    grants = (Grant(ME.id, Role.DEPLOYER, "shop"), Grant(OTHER.id, Role.ADMIN))
    question = {"person": ME, "app": "shop", "environment": "production", "grants": grants, "people": PEOPLE} | more
    return decide(PolicyQuestion(action=action, command=command, **question))  # type: ignore[arg-type]


def test_yes_says_why() -> None:
    assert ask() == Decision(allowed=True, reasons=("You are deployer on shop/production.",))


def test_stranger() -> None:
    decision = ask(person=None)
    assert decision.reasons == ("You are not on the allowlist.",)
    assert decision.who_may == ("me", "other")


@pytest.mark.parametrize(
    ("app", "environment", "sentence"),
    [
        ("blog", "live", "`deploy` needs the role deployer on blog/live; you have no role there."),
        ("*", "*", "`deploy` needs the role deployer on every app; you have no role there."),
        ("*", "production", "`deploy` needs the role deployer on production of every app; you have no role there."),
        ("blog", None, "`deploy` needs the role deployer on blog; you have no role there."),
        ("blog", "*", "`deploy` needs the role deployer on every environment of blog; you have no role there."),
    ],
)
def test_no_role(app: str, environment: str | None, sentence: str) -> None:
    decision = ask(app=app, environment=environment)
    assert decision.reasons == (sentence,)
    assert decision.who_may == ("other",)


def test_what_is_deployed_by_itself_is_said_and_nothing_else_is_the_bots() -> None:
    auto = "a push to main"
    own = ask(itself=True, auto=auto)
    assert own.reasons == ("`auto` in bot.toml deploys to shop/production automatically.",)
    other = ask(itself=True, app="blog", environment="live")
    assert other.reasons == ("`auto` in bot.toml does not allow `deploy` on blog/live.",)
    question = PolicyQuestion(
        person=ME, action=Action.DEPLOY, command="deploy", app="shop", environment="production", auto=auto
    )
    assert explain(question)["automatic"].reason == "A push to main is deployed there automatically."
    assert "automatic" not in explain(replace(question, auto=""))


def test_who_brought_it_about_may_not_approve() -> None:
    grants = (Grant(ME.id, Role.APPROVER),)
    request = PendingRequest(requester=9, originators=(ME.id,))
    decision = ask(Action.APPROVE, "approve", grants=grants, wanted=WantedAction(count=1), request=request)
    assert decision.reasons == ("You triggered it, which counts as your own request: someone else must approve it.",)


def test_who_gave_the_account_afterwards_may_not_approve() -> None:
    grants = (Grant(ME.id, Role.APPROVER),)
    request = PendingRequest(requester=9, originators=(8,), givers=(7, ME.id))
    decision = ask(Action.APPROVE, "approve", grants=grants, wanted=WantedAction(count=1), request=request)
    assert decision.reasons == (
        "You linked the account only after it triggered this deployment, so someone else must approve it.",
    )
    assert ask(Action.APPROVE, "reject", grants=grants, wanted=WantedAction(count=1), request=request).allowed
    request = PendingRequest(requester=9, originators=(8,), givers=(7,))
    assert ask(Action.APPROVE, "approve", grants=grants, wanted=WantedAction(count=1), request=request).allowed


def test_too_low_a_role() -> None:
    decision = ask(Action.ADMIN, "allow")
    assert decision.reasons == ("`allow` needs the role admin on shop/production; you are deployer there.",)


def test_nowhere_a_role() -> None:
    decision = ask(Action.VIEW, "status", grants=(), app=None, environment=None)
    assert decision.reasons == ("`status` needs the role viewer on at least one app; you have no role there.",)
    assert decision.who_may == ()


def test_a_plugin_cannot_open_itself() -> None:
    decision = ask(Action.ANYONE, "party")
    assert not decision.allowed
    assert decision.reasons == ("Only claim, help, link, whoami are for everyone.",)


@pytest.mark.parametrize("command", sorted(OPEN_COMMANDS))
def test_open_commands(command: str) -> None:
    decision = ask(Action.ANYONE, command, person=None)
    assert decision == Decision(allowed=True, reasons=(f"`{command}` is for everyone.",))


LOCK = Lock("shop", "production", OTHER.id, OTHER.name, "measuring", 1_800_000_000.0)


def test_a_lock_holds_others() -> None:
    decision = ask(lock=LOCK)
    assert decision.reasons == ("shop/production is locked by other.",)
    assert decision.held
    assert decision.who_may == ("other",)


def test_a_lock_is_not_the_only_reason() -> None:
    decision = ask(lock=LOCK, grants=())
    assert len(decision.reasons) == 2
    assert not decision.held


def test_a_lock_holds_admins_too() -> None:
    grants = (Grant(ME.id, Role.ADMIN), Grant(OTHER.id, Role.DEPLOYER))
    assert not ask(lock=LOCK, grants=grants).allowed
    assert ask(Action.DEPLOY, "unlock", lock=LOCK, grants=grants).allowed


def test_unlocking() -> None:
    assert ask(Action.DEPLOY, "unlock", lock=LOCK, person=OTHER).allowed
    assert ask(Action.DEPLOY, "unlock").allowed
    decision = ask(Action.DEPLOY, "unlock", lock=LOCK)
    assert decision.reasons == ("Only other, who holds the lock, or an admin can remove it.",)


def test_a_lock_does_not_keep_from_looking() -> None:
    assert ask(Action.VIEW, "status", lock=LOCK).allowed


def test_roles_are_ordered() -> None:
    grants = (Grant(ME.id, Role.ADMIN, "shop", "staging"), Grant(ME.id, Role.VIEWER))
    assert role_of(ME, grants, "shop", "staging") is Role.ADMIN
    assert role_of(ME, grants, "shop", "production") is Role.VIEWER
    assert role_of(ME, (), "shop", "production") is None
    assert not suffices(Role.ADMIN, Action.ANYONE)
    assert [suffices(role, Action.APPROVE) for role in Role] == [False, False, True, True]
    assert set(LEAST) == set(Action) - {Action.ANYONE}


def test_lock_text() -> None:
    assert lock_text(LOCK, 1_800_000_720.0) == (
        "shop/production is locked by other since 2027-01-15 08:00 UTC (12 min): “measuring”. "
        "other or an admin can remove it: `unlock shop production`."
    )
    bounded = Lock("shop", "staging", OTHER.id, OTHER.name, "", 1_800_000_000.0, 1_800_007_200.0)
    assert lock_text(bounded, 1_800_000_060.0) == (
        "shop/staging is locked by other since 2027-01-15 08:00 UTC (1 min), until 2027-01-15 10:00 UTC. "
        "other or an admin can remove it: `unlock shop staging`."
    )


GRANTS = (Grant(ME.id, Role.DEPLOYER), Grant(OTHER.id, Role.APPROVER), Grant(THIRD.id, Role.ADMIN))


def told(command: str = "deploy", **more: object) -> dict[str, str]:
    """What every rule says to a deployment to production."""
    action = Action.APPROVE if command in {"approve", "reject"} else Action.DEPLOY
    question = {"person": ME, "app": "shop", "environment": "production", "grants": GRANTS, "people": TEAM} | more
    return {
        name: finding.reason
        for name, finding in explain(PolicyQuestion(action=action, command=command, **question)).items()  # type: ignore[arg-type]
    }


def test_every_rule_reports_what_it_decides() -> None:
    assert told() == {
        "allowlist": "You are me, who is on the allowlist.",
        "role": "You are deployer on shop/production.",
        "lock": "shop/production is not locked.",
        "approvals": "shop/production needs no approvals.",
        "after": "No other environment is required first.",
    }
    assert set(told("approve", wanted=WantedAction(count=1), request=PendingRequest(requester=2))) <= set(RULES)


def test_what_approvals_say() -> None:
    two = WantedAction(count=2, names=("ana", "ben", "cem"))
    assert told(wanted=two)["approvals"] == ("It will wait for 2 approvals by @ana, @ben or @cem (not the requester).")
    assert told("restart", wanted=two)["approvals"] == "A restart needs no approval: the release stays the same."
    one, request = WantedAction(count=1), PendingRequest(requester=1)
    assert told(wanted=one, begins=True)["approvals"] == (
        "It was requested before shop/production needed 1 approval by an approver: request it again."
    )
    assert told(wanted=one, request=request, begins=True)["approvals"] == (
        "It needs 1 approval by an approver (not the requester); it has none."
    )
    assert told(wanted=one, request=replace(request, approved=(3,)), begins=True)["approvals"] == (
        "It has 1 of 1 approval by an approver."
    )
    assert "approvals" not in told(wanted=one, environment="*")
    assert "after" not in told(wanted=one, app=None)


def test_what_approvers_are_shown() -> None:
    admin, request = WantedAction(count=1, role=Role.ADMIN), PendingRequest(requester=1, approved=(2,))
    assert told("approve", person=OTHER, wanted=admin)["approver"] == (
        "shop/production needs 1 approval by an admin: yours does not count."
    )
    assert told("approve", person=THIRD, wanted=admin, request=request) == {
        "allowlist": "You are third, who is on the allowlist.",
        "role": "You are admin on shop/production.",
        "approver": "shop/production needs 1 approval by an admin: yours counts.",
        "another person": "Someone else requested it.",
    }
    assert told("approve", person=OTHER, request=request)["another person"] == "You already approved it."
    assert told("approve", request=request)["another person"] == (
        "You can't approve your own request: someone else must approve it."
    )
    # Who has too low a role is told that, and not a second reason for the same.
    assert "approver" not in told("approve", wanted=admin)


def test_what_comes_before() -> None:
    there = (("web1", "v1 (aaaa)", "a", True), ("web2", "", "", False), ("web3", "v2 (bbbb)", "b", False))
    before = Before(environment="staging", release="v2 (bbbb)", id="b", there=there)
    assert told(before=before)["after"] == (
        "v2 (bbbb) must be healthy in staging first. "
        "There now: web1: v1 (aaaa); web2: nothing; web3: v2 (bbbb), not healthy."
    )
    assert told(before=replace(before, id=""))["after"] == ("The same release must be healthy in staging first.")
    assert told(before=replace(before, there=(("web1", "v2 (bbbb)", "b", True),)))["after"] == (
        "v2 (bbbb) is healthy in staging."
    )
    assert told("rollback", before=replace(before, been_here=True))["after"] == (
        "v2 (bbbb) has run well here before, so staging is not checked."
    )
    assert "after" not in told("run", before=before)


def test_only_missing_approvals_can_be_waited_for() -> None:
    question = PolicyQuestion(
        person=ME,
        action=Action.DEPLOY,
        command="deploy",
        app="shop",
        environment="production",
        grants=GRANTS,
        people=TEAM,
        wanted=WantedAction(count=1),
        request=PendingRequest(requester=1),
        begins=True,
    )
    decision = decide(question)
    assert (decision.allowed, decision.waits, decision.held) == (False, True, False)
    locked = decide(replace(question, lock=LOCK))
    assert (locked.waits, locked.held) == (False, False)


def test_whose_approvals_count() -> None:
    request = PendingRequest(requester=1, approved=(1, 2, 2, 3, 9))
    question = PolicyQuestion(
        person=ME,
        action=Action.DEPLOY,
        command="deploy",
        app="shop",
        environment="production",
        grants=GRANTS,
        people=TEAM,
        wanted=WantedAction(count=1),
        request=request,
    )
    assert counting(question) == (2, 3)
    assert counting(replace(question, wanted=WantedAction(count=1, names=("third",)))) == (3,)
    assert counting(replace(question, request=None)) == ()
    may = replace(question, action=Action.APPROVE, command="approve", request=PendingRequest(requester=3, approved=()))
    assert who_may(may) == ("other",)
    assert explain(replace(question, lock=LOCK, person=OTHER))["lock"].voice is Voice.PASSES
