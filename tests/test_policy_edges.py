"""The policy at its edges: rights next door, somebody unknown, and facts of which one is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import Action, Grant, Lock, Person, Role
from deploybot.policy import Before, PendingRequest, PolicyQuestion, WantedAction, counting, decide, explain, who_may

ANA, BEN, CEM = Person(1, "ana"), Person(2, "ben"), Person(3, "cem")
LOCK = Lock("shop", "production", ANA.id, ANA.name, "measuring", 1_800_000_000.0)
DEPLOY = PolicyQuestion(
    person=ANA,
    action=Action.DEPLOY,
    command="deploy",
    app="shop",
    environment="production",
    grants=(Grant(ANA.id, Role.DEPLOYER), Grant(BEN.id, Role.APPROVER), Grant(CEM.id, Role.ADMIN)),
    people=(CEM, BEN, ANA),
)
APPROVE = replace(
    DEPLOY, person=BEN, action=Action.APPROVE, command="approve", request=PendingRequest(requester=ANA.id)
)
UNLOCK = replace(DEPLOY, command="unlock", lock=LOCK)


def told(question: PolicyQuestion, rule: str) -> str:
    """What a rule says; empty where it has nothing to say."""
    found = explain(question).get(rule)
    return found.reason if found else ""


def test_a_role_in_one_environment_is_a_role_on_at_least_one_app_and_no_more() -> None:
    staging = replace(DEPLOY, grants=(Grant(ANA.id, Role.DEPLOYER, "shop", "staging"),))
    assert decide(replace(staging, app=None, environment=None)).allowed
    assert decide(replace(staging, environment=None)).allowed
    assert decide(replace(staging, app=None, environment="staging")).allowed
    assert not decide(staging).allowed
    assert not decide(replace(staging, app=None)).allowed


def test_what_is_deployed_by_itself_is_said_only_where_a_release_would_come() -> None:
    auto = replace(DEPLOY, auto="a push to main")
    assert told(auto, "automatic") == "A push to main is deployed there automatically."
    assert told(replace(auto, command="lock"), "automatic") == ""
    assert told(replace(auto, environment="*"), "automatic") == ""


def test_the_holder_of_a_lock_deploys_and_releases_it() -> None:
    assert told(replace(DEPLOY, lock=LOCK), "lock") == "You hold the lock there."
    assert decide(replace(DEPLOY, lock=LOCK)).allowed
    assert decide(UNLOCK).allowed


@pytest.mark.parametrize("grant", [Grant(BEN.id, Role.ADMIN, "blog"), Grant(BEN.id, Role.ADMIN, "*", "staging")])
def test_an_admin_of_another_place_does_not_release_a_lock(grant: Grant) -> None:
    grants = (grant, Grant(BEN.id, Role.DEPLOYER))
    assert not decide(replace(UNLOCK, person=BEN, grants=grants)).allowed


@pytest.mark.parametrize(
    "question", [replace(DEPLOY, lock=LOCK), UNLOCK, replace(APPROVE, wanted=WantedAction(count=1))]
)
def test_strangers_are_refused_whatever_else_speaks_against_them(question: PolicyQuestion) -> None:
    decision = decide(replace(question, person=None))
    assert not decision.allowed
    assert decision.reasons[0] == "You are not on the allowlist."


@pytest.mark.parametrize("grant", [Grant(BEN.id, Role.ADMIN, "blog"), Grant(BEN.id, Role.ADMIN, "*", "staging")])
def test_an_approver_of_another_target_learns_only_of_the_missing_role(grant: Grant) -> None:
    decision = decide(replace(APPROVE, grants=(grant,), wanted=WantedAction(count=1, names=("cem",))))
    assert decision.reasons == ("`approve` needs the role approver on shop/production; you have no role there.",)


def test_only_approvers_learn_whose_approvals_are_wanted() -> None:
    wanted = replace(DEPLOY, person=CEM, wanted=WantedAction(count=1))
    assert told(wanted, "approver") == ""
    assert told(replace(wanted, action=Action.APPROVE, command="approve"), "approver") != ""


def test_some_approvals_are_counted_for_who_waits() -> None:
    question = replace(
        DEPLOY, wanted=WantedAction(count=2), request=PendingRequest(requester=ANA.id, approved=(BEN.id,)), begins=True
    )
    assert told(question, "approvals") == "It needs 2 approvals by an approver (not the requester); it has 1."


def test_who_asked_does_not_count_however_high_their_role() -> None:
    request = PendingRequest(requester=CEM.id, approved=(CEM.id, BEN.id))
    assert counting(replace(DEPLOY, wanted=WantedAction(count=1), request=request)) == (BEN.id,)
    originators = PendingRequest(requester=9, approved=(CEM.id, BEN.id), originators=(CEM.id,))
    assert counting(replace(DEPLOY, wanted=WantedAction(count=1), request=originators)) == (BEN.id,)
    givers = PendingRequest(requester=9, approved=(CEM.id, BEN.id), givers=(CEM.id,))
    assert counting(replace(DEPLOY, wanted=WantedAction(count=1), request=givers)) == (BEN.id,)


BEFORE = Before(environment="staging", release="v2", id="b", there=(("web1", "v2", "b", True),))


@pytest.mark.parametrize(
    ("there", "allowed"),
    [
        ((("web1", "v2", "b", True),), True),
        ((("web1", "v2", "b", True), ("web2", "v2", "b", True)), True),
        ((), False),
        ((("web1", "v2", "b", False),), False),
        ((("web1", "v1", "a", True),), False),
        ((("web1", "v2", "b", True), ("web2", "v1", "a", True)), False),
    ],
)
def test_every_server_before_has_the_same_release_and_is_healthy(
    there: tuple[tuple[str, str, str, bool], ...], allowed: bool
) -> None:
    assert decide(replace(DEPLOY, before=replace(BEFORE, there=there))).allowed is allowed


@pytest.mark.parametrize(
    ("command", "been_here", "allowed"), [("rollback", True, True), ("rollback", False, False), ("deploy", True, False)]
)
def test_only_a_rollback_to_what_ran_here_skips_the_environment_before(
    command: str, been_here: bool, allowed: bool
) -> None:
    before = replace(BEFORE, there=(), been_here=been_here)
    assert decide(replace(DEPLOY, command=command, before=before)).allowed is allowed


def test_who_could_is_named_in_order() -> None:
    assert who_may(DEPLOY) == ("ana", "ben", "cem")
