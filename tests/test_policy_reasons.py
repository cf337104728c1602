"""Every reason of the policy's decisions, word for word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import Action, Grant, Lock, Role
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
from tests.policy_people import ME, OTHER, PEOPLE, TEAM, THIRD


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
