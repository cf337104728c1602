"""The policy of rollbacks: how many approvals a way back needs, and what it says about that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.policy import RollbackTerms, WantedAction, approvals_wanted, decide
from tests.test_policy_edges import DEPLOY, told

NONE = RollbackTerms(usual=2, back=0)
ONE = RollbackTerms(usual=2, back=1)
FORWARD = replace(NONE, forward="it was rolled back from")
ROLLBACK = replace(DEPLOY, command="rollback")


@pytest.mark.parametrize(
    ("command", "terms", "count"),
    [
        ("rollback", NONE, 0),
        ("rollback", ONE, 1),
        ("rollback", FORWARD, 2),
        ("rollback", replace(ONE, forward="x"), 2),
        ("rollback", None, 2),
        ("deploy", None, 2),
        ("deploy", NONE, 2),
        ("run", NONE, 2),
    ],
)
def test_only_a_rollback_that_goes_back_needs_fewer(command: str, terms: RollbackTerms | None, count: int) -> None:
    assert approvals_wanted(2, command, terms) == count


def test_how_it_counts_is_said_on_cards() -> None:
    assert NONE.counts_as == "a rollback: 0 approvals, not 2"
    assert ONE.counts_as == "a rollback: 1 approval, not 2"
    assert FORWARD.counts_as == "a deployment: it was rolled back from"
    assert replace(NONE, back=2).counts_as == ""


def test_why_says_how_it_counts_and_what_else_would_need() -> None:
    back = "It goes back to what ran well there before; a deployment needs 2 approvals."
    assert told(replace(ROLLBACK, rollback=NONE), "approvals") == (
        f"A rollback of shop/production needs no approvals. {back}"
    )
    waits = replace(ROLLBACK, rollback=ONE, wanted=WantedAction(count=1))
    assert told(waits, "approvals") == f"It will wait for 1 approval by an approver (not the requester). {back}"
    unknown = replace(ROLLBACK, rollback=replace(NONE, usual=1, is_known=False))
    assert told(unknown, "approvals").endswith(
        " That is for a release that ran well there before; any other needs 1 approval."
    )
    assert told(replace(ROLLBACK), "approvals") == "shop/production needs no approvals."


def test_one_that_was_requested_without_approvals_and_needs_them_now_is_refused() -> None:
    late = replace(ROLLBACK, rollback=FORWARD, wanted=WantedAction(count=2), begins=True)
    assert not decide(late).allowed
    assert told(late, "approvals") == (
        "It needs 2 approvals by an approver now, which it was requested without. "
        "It counts as a deployment: it was rolled back from."
    )
    assert decide(replace(late, rollback=NONE, wanted=None)).allowed
