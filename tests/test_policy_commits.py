"""The policy about commits that a target accepts, about break glass, and about who the admins are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import Action, Grant, Lock, Origin, Person, Role
from deploybot.policy import (
    PASSED_BY_GLASS,
    Allowed,
    Before,
    PolicyQuestion,
    RuleFinding,
    Voice,
    WantedAction,
    admins_of,
    broken_rules,
    decide,
    explain,
)

ANA, BEN = Person(1, "ana"), Person(2, "ben")
DEPLOY = PolicyQuestion(
    person=ANA,
    action=Action.DEPLOY,
    command="deploy",
    app="shop",
    environment="production",
    grants=(Grant(ANA.id, Role.ADMIN), Grant(BEN.id, Role.DEPLOYER)),
    people=(ANA, BEN),
    now=1000.0,
)
REFS = ("main", "tag v* on main")
ON_MAIN = Origin(ref="branch main")
SIGNED = Origin(signature="ana on the commit")
FOREIGN = Origin(found="branch evil", unsigned="the commit has no signature")
RAN = Origin(ran=True)
ON_EVIL = "Only commits on main or tag v* on main may be deployed to shop/production; this one is on branch evil."
NO_SIGNATURE = "Only signed commits may be deployed to shop/production: the commit has no signature."


def limited(
    origin: Origin | None, command: str = "deploy", *, refs: bool = True, signed: bool = True
) -> PolicyQuestion:
    """A deployment to a target that limits commits."""
    allowed = Allowed(refs=REFS if refs else (), signed=signed, origin=origin)
    return replace(DEPLOY, command=command, allowed=allowed)


def about_commits(question: PolicyQuestion) -> dict[str, RuleFinding]:
    """What the two rules about commits say."""
    return {name: one for name, one in explain(question).items() if name in {"refs", "signed"}}


def reasons(question: PolicyQuestion) -> dict[str, str]:
    """The sentences of the two rules about commits; none of them refuses."""
    found = about_commits(question)
    assert {one.voice for one in found.values()} <= {Voice.PASSES}
    return {name: one.reason for name, one in found.items()}


def test_a_commit_on_no_accepted_ref_or_without_a_signature_is_refused() -> None:
    assert decide(limited(FOREIGN)).reasons == (ON_EVIL, NO_SIGNATURE)
    assert decide(limited(FOREIGN, signed=False)).reasons == (ON_EVIL,)
    assert decide(limited(FOREIGN, refs=False)).reasons == (NO_SIGNATURE,)
    assert not decide(limited(FOREIGN)).allowed


def test_one_of_the_two_is_not_enough() -> None:
    assert decide(limited(replace(ON_MAIN, unsigned=FOREIGN.unsigned))).reasons == (NO_SIGNATURE,)
    assert decide(limited(replace(SIGNED, found="branch evil"))).reasons == (ON_EVIL,)
    assert decide(limited(replace(ON_MAIN, signature=SIGNED.signature))).allowed


def test_the_reasons_name_what_let_the_commit_in() -> None:
    assert reasons(limited(replace(ON_MAIN, signature="ana on the commit"))) == {
        "refs": "The commit is on branch main; allowed: main or tag v* on main.",
        "signed": "The commit is signed by ana on the commit.",
    }


def test_a_commit_that_nobody_looked_at_yet_is_neither_accepted_nor_refused() -> None:
    assert reasons(limited(None)) == {
        "refs": "Only commits on main or tag v* on main may be deployed here; a commit is checked when it is known.",
        "signed": "Only signed commits may be deployed here; a signature is verified when the commit is known.",
    }


def test_only_a_rollback_brings_back_what_ran_well_here() -> None:
    assert reasons(limited(RAN, "rollback")) == {
        "refs": "The commit has run well here before, so it may come back from any ref.",
        "signed": "The commit has run well here before, so it may come back without a signature.",
    }
    assert decide(limited(RAN, "rollback")).allowed
    for only in ({"signed": False}, {"refs": False}):
        assert decide(limited(RAN, "rollback", **only)).allowed
        assert not decide(limited(RAN, "deploy", **only)).allowed
    assert decide(limited(FOREIGN, "rollback")).reasons == (ON_EVIL, NO_SIGNATURE)


@pytest.mark.parametrize("command", ["restart", "run", "lock", "unlock", "cancel"])
def test_what_brings_no_commit_is_not_asked_for_one(command: str) -> None:
    assert about_commits(limited(FOREIGN, command)) == {}
    assert decide(limited(FOREIGN, command)).allowed


def test_a_target_without_limits_asks_nothing() -> None:
    assert about_commits(DEPLOY) == {}
    assert about_commits(limited(FOREIGN, refs=False, signed=False)) == {}


@pytest.mark.parametrize("several", [{"environment": "*"}, {"environment": None}, {"app": "*"}, {"app": None}])
def test_the_limits_of_one_target_say_nothing_about_several(several: dict[str, str | None]) -> None:
    question = replace(limited(FOREIGN), **several)  # type: ignore[arg-type]
    assert about_commits(question) == {}


LOCK = Lock("shop", "production", BEN.id, BEN.name, "measuring", 1.0)
HELD_UP = replace(
    DEPLOY,
    lock=LOCK,
    wanted=WantedAction(count=2),
    before=Before(environment="staging", release="v2", id="b", there=(("web1", "v1", "a", True),)),
)
"""A deployment that a lock, missing approvals and the environment before stop."""


def test_break_glass_passes_locks_approvals_and_the_order_and_says_which() -> None:
    broken = replace(HELD_UP, glass=True)
    assert decide(broken).allowed
    assert broken_rules(broken) == ("lock", "approvals", "after")
    assert set(broken_rules(broken)) <= PASSED_BY_GLASS
    findings = explain(broken)
    assert findings["lock"] == RuleFinding(
        Voice.PASSES, "shop/production is locked by ben. Break glass bypasses this.", broken=True
    )
    assert findings["approvals"].reason == (
        "It needs 2 approvals by an approver (not the requester). Break glass bypasses this."
    )
    assert findings["break glass"] == RuleFinding(
        Voice.PASSES, "You use break glass: it bypasses locks, freezes, approvals and the order of environments."
    )


def test_without_break_glass_nothing_is_bypassed() -> None:
    assert broken_rules(HELD_UP) == ()
    assert "break glass" not in explain(HELD_UP)
    assert not decide(HELD_UP).allowed


def test_break_glass_where_nothing_is_in_the_way_breaks_nothing() -> None:
    assert broken_rules(replace(DEPLOY, glass=True)) == ()


def test_break_glass_lets_no_foreign_commit_in() -> None:
    assert decide(replace(limited(FOREIGN), glass=True)).reasons == (ON_EVIL, NO_SIGNATURE)


@pytest.mark.parametrize(
    ("grant", "allowed"),
    [
        (Grant(BEN.id, Role.ADMIN), True),
        (Grant(BEN.id, Role.ADMIN, "shop", "production"), True),
        (Grant(BEN.id, Role.APPROVER), False),
        (Grant(BEN.id, Role.ADMIN, "shop", "staging"), False),
        (Grant(BEN.id, Role.ADMIN, "blog"), False),
        (Grant(BEN.id, Role.ADMIN, until=1000.0), False),
    ],
)
def test_only_an_admin_of_the_target_breaks_its_glass(grant: Grant, *, allowed: bool) -> None:
    question = replace(DEPLOY, person=BEN, grants=(grant, Grant(BEN.id, Role.DEPLOYER)), glass=True)
    decision = decide(question)
    assert decision.allowed is allowed
    if not allowed:
        assert decision.reasons == ("Only an admin of shop/production can use break glass.",)


@pytest.mark.parametrize("command", ["restart", "run", "lock"])
def test_break_glass_is_for_deploy_and_rollback(command: str) -> None:
    decision = decide(replace(DEPLOY, command=command, glass=True))
    assert decision.reasons == (f"Break glass is for deploy, promote and rollback, not for `{command}`.",)
    assert decide(replace(DEPLOY, command="rollback", glass=True)).allowed


def test_the_bot_itself_breaks_no_glass_whatever_role_it_has() -> None:
    decision = decide(replace(DEPLOY, itself=True, glass=True))
    assert decision.reasons == ("Only an admin of shop/production can use break glass.",)


def test_a_stranger_who_asks_for_break_glass_reads_only_that_they_are_one() -> None:
    decision = decide(replace(DEPLOY, person=None, glass=True))
    assert decision.reasons == ("You are not on the allowlist.",)


def test_admins_of_a_target_are_those_whose_role_covers_it_now() -> None:
    cem = Person(3, "cem")
    grants = (
        Grant(ANA.id, Role.ADMIN, "shop"),
        Grant(BEN.id, Role.APPROVER),
        Grant(cem.id, Role.ADMIN, until=1001.0),
    )
    team = (cem, BEN, ANA)
    assert admins_of(team, grants, "shop", "production", 1000.0) == (cem, ANA)
    assert admins_of(team, grants, "shop", "production", 1001.0) == (ANA,)
    assert admins_of(team, grants, "blog", "production", 1001.0) == ()
    assert admins_of(team, grants, "*", "*", 1000.0) == (cem,)
    staging = (Grant(BEN.id, Role.ADMIN, "shop", "staging"),)
    assert admins_of(team, staging, "shop", "staging", 1000.0) == (BEN,)
    assert admins_of(team, staging, "shop", "production", 1000.0) == ()
