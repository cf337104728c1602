"""The policy about grants that end or come late, about causes that nobody knows, and about second admins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import Action, Grant, Person, Role
from deploybot.policy import (
    ONLY_AUTHORS,
    PendingRequest,
    PolicyQuestion,
    WantedAction,
    counting,
    decide,
    explain,
    holds,
    missing,
    needed,
    role_of,
    who_may,
)

ANA, BEN, CEM, DIA = (Person(number, name) for number, name in enumerate(("ana", "ben", "cem", "dia"), 1))
TEAM = (ANA, BEN, CEM, DIA)
GRANTS = (
    Grant(ANA.id, Role.DEPLOYER),
    Grant(BEN.id, Role.APPROVER),
    Grant(CEM.id, Role.APPROVER),
    Grant(DIA.id, Role.ADMIN),
)
APPROVE = PolicyQuestion(
    person=BEN,
    action=Action.APPROVE,
    command="approve",
    app="shop",
    environment="production",
    grants=GRANTS,
    people=TEAM,
    wanted=WantedAction(count=1),
    request=PendingRequest(requester=ANA.id, number=7),
    now=1000.0,
)
BEGIN = replace(APPROVE, person=ANA, action=Action.DEPLOY, command="deploy", begins=True)


def approved_by(*persons: Person, **more: object) -> PolicyQuestion:
    """The deployment about to begin, with these approvals."""
    request = replace(PendingRequest(requester=ANA.id, number=7), approved=tuple(one.id for one in persons), **more)  # type: ignore[arg-type]
    return replace(BEGIN, request=request)


def with_grant(grant: Grant, question: PolicyQuestion = APPROVE) -> PolicyQuestion:
    """The same, with another grant of that person."""
    return replace(question, grants=(*(one for one in question.grants if one.person != grant.person), grant))


@pytest.mark.parametrize(("until", "now", "counts"), [(0.0, 1e12, True), (5.0, 4.9, True), (5.0, 5.0, False)])
def test_a_grant_ends_at_its_time(until: float, now: float, *, counts: bool) -> None:
    grant = Grant(BEN.id, Role.APPROVER, until=until)
    assert holds(grant, now) is counts
    assert (role_of(BEN, (grant,), "shop", "production", now) is not None) is counts


def test_without_a_time_no_grant_counts_that_has_an_end() -> None:
    """Whoever forgets to say when it is gives nobody more than they have for good."""
    grant = Grant(BEN.id, Role.ADMIN, until=9e15)
    assert role_of(BEN, (grant,), "shop", "production") is None
    least = PolicyQuestion(person=BEN, action=Action.VIEW, command="status", app="shop", grants=(grant,))
    assert not decide(least).allowed
    assert decide(replace(least, now=1.0)).allowed


def test_an_approval_counts_as_long_as_its_grant_holds() -> None:
    question = with_grant(Grant(BEN.id, Role.APPROVER, until=1001.0), approved_by(BEN))
    assert counting(question) == (BEN.id,)
    assert counting(replace(question, now=1001.0)) == ()
    assert not decide(replace(question, now=1001.0)).allowed


@pytest.mark.parametrize(("after", "allowed"), [(0, True), (6, True), (7, False), (8, False)])
def test_a_grant_counts_for_what_is_asked_for_after_it(after: int, *, allowed: bool) -> None:
    late = with_grant(Grant(BEN.id, Role.APPROVER, after=after))
    assert decide(late).allowed is allowed
    assert (counting(with_grant(Grant(BEN.id, Role.APPROVER, after=after), approved_by(BEN))) == (BEN.id,)) is allowed
    assert explain(late)["in time"].reason == (
        "You had the role before #7 was requested."
        if allowed
        else "You got your role after #7 was requested, so it does not count for #7."
    )


def test_a_late_grant_takes_nothing_from_an_older_one() -> None:
    grants = (*GRANTS, Grant(BEN.id, Role.ADMIN, "shop", after=9))
    assert decide(replace(APPROVE, grants=grants)).allowed
    admins = replace(APPROVE, grants=grants, wanted=WantedAction(count=1, role=Role.ADMIN))
    assert not decide(admins).allowed, "they were made admin after the request"


def test_whoever_got_a_role_late_may_still_reject_and_deploy() -> None:
    late = with_grant(Grant(BEN.id, Role.APPROVER, after=9))
    assert decide(replace(late, command="reject")).allowed
    assert decide(replace(late, action=Action.DEPLOY, command="deploy", request=None, wanted=None)).allowed


def test_who_has_no_role_reads_of_the_role_alone() -> None:
    question = replace(APPROVE, grants=(Grant(BEN.id, Role.DEPLOYER, after=9),))
    assert "in time" not in explain(question)
    assert "in time" not in explain(replace(APPROVE, request=PendingRequest(requester=ANA.id)))
    assert "in time" not in explain(replace(APPROVE, person=None))
    assert "in time" not in explain(replace(APPROVE, request=None))
    assert decide(replace(APPROVE, wanted=None)).allowed


@pytest.mark.parametrize(("account", "allowed"), [(6, True), (7, False)])
def test_an_account_counts_for_what_is_asked_for_after_it(account: int, *, allowed: bool) -> None:
    decision = decide(replace(APPROVE, account=account))
    assert decision.allowed is allowed
    if not allowed:
        assert decision.reasons == ("You got this account after #7 was requested: approve it from an older one.",)
    # What was approved before stays approved, whatever account the next person speaks by.
    assert counting(replace(approved_by(BEN), account=account)) == (BEN.id,)
    assert who_may(replace(APPROVE, account=account)) == ("ben", "cem", "dia"), "others speak by their own accounts"


def test_the_first_request_of_all_is_older_than_what_came_after_it() -> None:
    first = PendingRequest(requester=ANA.id, number=1)
    assert [first.is_before(after) for after in (0, 1, 2)] == [False, True, True]
    assert not PendingRequest(requester=ANA.id).is_before(5), "without a number, nothing came after it"
    question = replace(APPROVE, request=first)
    assert counting(replace(question, request=replace(first, approved=(BEN.id,)))) == (BEN.id,)
    assert who_may(replace(question, account=1)) == ("ben", "cem", "dia")


def test_what_came_between_the_trigger_and_its_request_is_late() -> None:
    triggered = PendingRequest(requester=9, number=7, since=100.0)
    question = replace(APPROVE, request=triggered)
    early = with_grant(Grant(BEN.id, Role.APPROVER, after=6, since=99.9), question)
    assert explain(early)["in time"].reason == "You had the role before #7 was triggered."
    late = with_grant(Grant(BEN.id, Role.APPROVER, after=6, since=100.0), question)
    assert decide(late).reasons == ("You got your role after #7 was triggered, so it does not count for #7.",)
    account = replace(early, account=6, account_since=100.0)
    assert decide(account).reasons == ("You got this account after #7 was triggered: approve it from an older one.",)
    assert who_may(account) == ("ben", "cem", "dia"), "others have accounts of their own"
    assert not triggered.is_before(6, 99.9)


def test_where_the_cause_is_not_known_one_approval_more_is_needed() -> None:
    one = approved_by(BEN, unknown="no webhook reported who triggered it")
    assert (needed(one), missing(one)) == (2, 1)
    decision = decide(one)
    assert (decision.allowed, decision.waits) == (False, True)
    assert " ".join(decision.reasons) == (
        "It needs 1 approval by an approver (not the requester) and one more "
        "(no webhook reported who triggered it); it has 1."
    )
    assert decide(approved_by(BEN, CEM, unknown="x")).allowed
    assert decide(approved_by(BEN)).allowed
    assert needed(replace(one, wanted=None)) == 0
    assert (needed(replace(one, request=None)), missing(replace(one, request=None))) == (1, 1)


def test_authors_may_approve_but_not_alone() -> None:
    alone = approved_by(BEN, authors=(BEN.id,))
    assert missing(alone) == 1
    decision = decide(alone)
    assert (decision.allowed, decision.waits) == (False, True)
    assert decision.reasons[0].endswith(ONLY_AUTHORS)
    assert decide(approved_by(BEN, DIA, authors=(BEN.id,))).allowed
    assert decide(approved_by(DIA, authors=(BEN.id, CEM.id))).allowed
    both = replace(approved_by(BEN, CEM, authors=(BEN.id, CEM.id)), wanted=WantedAction(count=2))
    assert missing(both) == 1
    few = replace(approved_by(BEN, authors=(BEN.id,)), wanted=WantedAction(count=3))
    assert missing(few) == 2
    assert ONLY_AUTHORS not in decide(few).reasons[0]
    assert missing(approved_by(authors=(BEN.id,))) == 1
    assert missing(replace(approved_by(), wanted=None)) == 0, "where none is needed, none is missing"


def test_nobody_confirms_their_own_grant() -> None:
    confirm = replace(APPROVE, person=DIA, action=Action.ADMIN, command="confirm", request=None, wanted=None)
    assert decide(replace(confirm, proposer=BEN.id)).allowed
    assert explain(replace(confirm, proposer=BEN.id))["second admin"].reason == "Another admin requested it."
    decision = decide(replace(confirm, proposer=DIA.id))
    assert decision.reasons == ("You can't confirm your own request: a second admin must confirm it.",)
    assert "second admin" not in explain(confirm)
    assert "second admin" not in explain(replace(confirm, command="allow", proposer=DIA.id))
    assert "second admin" not in explain(replace(confirm, person=None, proposer=DIA.id))


@pytest.mark.parametrize(("now", "may"), [(4.9, True), (5.0, False)])
def test_an_admin_for_some_time_breaks_the_glass_in_that_time(now: float, *, may: bool) -> None:
    glass = replace(BEGIN, person=BEN, glass=True, begins=False, request=None, now=now)
    assert decide(with_grant(Grant(BEN.id, Role.ADMIN, until=5.0), glass)).allowed is may


def test_what_an_admin_gives_does_not_outlast_their_own_role() -> None:
    give = replace(APPROVE, action=Action.ADMIN, command="allow", request=None, wanted=None, gives_until=2000.0)
    admin = with_grant(Grant(BEN.id, Role.ADMIN, "shop", until=2000.0), give)
    assert explain(admin)["limited time"].reason == "It does not outlast the role of the admin who gives it."
    later = decide(replace(admin, gives_until=2000.1))
    assert (later.allowed, later.who_may) == (False, ("dia",))
    (reason,) = later.reasons
    assert reason == (
        "ben is admin on shop/production only until 1970-01-01 00:33 UTC, "
        "and can give only roles that end by then, such as `for 15m`."
    )
    for now, example in [(1400.0, ", such as `for 9m`."), (1880.0, ", such as `for 1m`."), (1880.1, "end by then.")]:
        (short,) = decide(replace(admin, gives_until=2000.1, now=now)).reasons
        assert short.endswith(example), "the example would be refused"
    assert "limited time" not in explain(replace(give, person=CEM)), "the rule `role` reports who is no admin"
    assert "limited time" not in explain(replace(admin, gives_until=None))
    assert "limited time" not in explain(replace(admin, person=None))
    assert "limited time" not in explain(replace(admin, action=Action.APPROVE))
