"""Rules about people who give roles: a second admin confirms, and an admin for a limited time gives nothing longer."""

from __future__ import annotations

from deploybot.domain import Action
from deploybot.policy.question_types import PolicyQuestion, RuleFinding, passes, refuses
from deploybot.policy.roles import admin_until
from deploybot.units import show_time


def second_admin_rule(question: PolicyQuestion) -> RuleFinding | None:
    """Refuse people who confirm a grant that they requested."""
    if question.command != "confirm" or not question.proposer or question.person is None:
        return None
    if question.person.id == question.proposer:
        return refuses("You can't confirm your own request: a second admin must confirm it.")
    return passes("Another admin requested it.")


def limited_time_rule(question: PolicyQuestion) -> RuleFinding | None:
    """Refuse admins for a limited time who give something that lasts longer than their own role."""
    person = question.person
    if question.action is not Action.ADMIN or question.gives_until is None or person is None:
        return None
    until = admin_until(person, question.grants, question.app, question.environment, question.now)
    if not until:
        return None  # the rule `role` reports it
    if question.gives_until <= until:
        return passes("It does not outlast the role of the admin who gives it.")
    return refuses(
        f"{person.name} is admin on {question.target} only until {show_time(until)}, "
        f"and can give only roles that end by then{_such_as(until - question.now)}."
    )


def _such_as(left: float) -> str:
    """Return an example that fits into the rest of a role, or an empty text if less than two minutes are left."""
    minutes = min(int(left // 60) - 1, 30)
    return f", such as `for {minutes}m`" if minutes > 0 else ""
