"""The policy about freezes: what they refuse, to whom, and who may end one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import Action, Freeze, Grant, Lock, Person, Role
from deploybot.policy import ActiveFreeze, PolicyQuestion, Voice, decide, explain

ANA, BEN, DIA = Person(1, "ana"), Person(2, "ben"), Person(3, "dia")
GRANTS = (Grant(1, Role.ADMIN), Grant(2, Role.DEPLOYER), Grant(3, Role.DEPLOYER))
FROZEN = ActiveFreeze(9.0, "until 2026-11-30 08:00 CET (by ben: “sale”)")
QUESTION = PolicyQuestion(
    person=BEN,
    action=Action.DEPLOY,
    command="deploy",
    app="shop",
    environment="production",
    grants=GRANTS,
    people=(ANA, BEN, DIA),
    frozen=FROZEN,
    now=1.0,
)
MADE = Freeze("shop", "production", 2, "ben", "sale", 1.0, 9.0)


@pytest.mark.parametrize("person", [ANA, BEN, DIA])
@pytest.mark.parametrize("command", ["deploy", "task"])
def test_it_refuses_new_releases_and_tasks_to_everyone(command: str, person: Person) -> None:
    decision = decide(replace(QUESTION, command=command, person=person))
    assert (decision.allowed, decision.frozen, decision.held, decision.waits) == (False, True, False, False)
    assert decision.reasons == ("shop/production is frozen until 2026-11-30 08:00 CET (by ben: “sale”).",)


@pytest.mark.parametrize("command", ["rollback", "restart"])
def test_what_ran_before_is_let_through(command: str) -> None:
    question = replace(QUESTION, command=command)
    assert decide(question).allowed
    assert explain(question)["freeze"].reason == (
        "shop/production is frozen until 2026-11-30 08:00 CET (by ben: “sale”). "
        "Restarts, and rollbacks to what ran well there, may still run."
    )


def test_a_rollback_to_what_never_ran_there_is_refused() -> None:
    decision = decide(replace(QUESTION, command="rollback", ran_here=False))
    assert (decision.allowed, decision.frozen) == (False, True)
    assert decide(replace(QUESTION, command="restart", ran_here=False)).allowed


def test_a_later_freeze_is_named_as_one() -> None:
    later = replace(QUESTION, frozen=replace(FROZEN, later=True))
    assert decide(later).reasons == (
        "shop/production will be frozen then, until 2026-11-30 08:00 CET (by ben: “sale”).",
    )


def test_with_a_lock_it_is_still_a_freeze_that_is_waited_for() -> None:
    lock = Lock("shop", "production", 3, "dia", "", 1.0)
    decision = decide(replace(QUESTION, lock=lock))
    assert (decision.frozen, decision.held, len(decision.reasons)) == (True, False, 2)


def test_who_may_is_who_may_after_it() -> None:
    assert decide(QUESTION).who_may == ("ana", "ben", "dia")


@pytest.mark.parametrize(
    "other",
    [
        {"action": Action.VIEW, "command": "status"},
        {"action": Action.APPROVE, "command": "approve"},
        {"command": "cancel"},
        {"command": "lock"},
        {"command": "freeze"},
        {"command": "unfreeze"},
        {"environment": "*"},
        {"environment": None},
        {"app": None},
    ],
)
def test_it_is_about_what_changes_one_target(other: dict[str, object]) -> None:
    assert "freeze" not in explain(replace(QUESTION, **other))  # type: ignore[arg-type]  # keys and values fit


def test_another_refusal_is_not_only_a_freeze() -> None:
    stranger = replace(QUESTION, grants=())
    assert (decide(stranger).allowed, decide(stranger).frozen) == (False, False)
    assert not decide(replace(QUESTION, frozen=None)).frozen


def test_break_glass_of_an_admin_overrides_it() -> None:
    question = replace(QUESTION, person=ANA, glass=True)
    assert decide(question).allowed
    assert explain(question)["freeze"].broken
    assert not decide(replace(QUESTION, glass=True)).allowed


def test_outside_of_its_hours_it_has_no_objection() -> None:
    question = replace(QUESTION, frozen=None, freeze_windows="Fri 16:00 - Mon 08:00")
    finding = explain(question)["freeze"]
    assert (finding.voice, finding.reason) == (
        Voice.PASSES,
        "It is not frozen. bot.toml freezes it Fri 16:00 - Mon 08:00.",
    )
    assert "freeze" not in explain(replace(question, freeze_windows=""))


@pytest.mark.parametrize(("person", "may"), [(ANA, True), (BEN, True), (DIA, False)])
@pytest.mark.parametrize("command", ["freeze", "unfreeze"])
def test_only_its_maker_and_admins_change_it(command: str, person: Person, *, may: bool) -> None:
    question = replace(QUESTION, command=command, person=person, freeze=MADE)
    assert decide(question).allowed is may
    if not may:
        assert decide(question).reasons == ("Only ben, who made the freeze, or an admin can change it.",)
    assert decide(replace(question, freeze=None)).allowed


def test_the_freeze_of_a_person_says_nothing_about_other_commands() -> None:
    question = replace(QUESTION, frozen=None, freeze=MADE, person=DIA)
    assert "unfreezing" not in explain(question)
