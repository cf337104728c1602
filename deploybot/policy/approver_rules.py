"""Rules about a person who approves or rejects: named, not the requester, and entitled since before the request."""

from __future__ import annotations

from dataclasses import replace

from deploybot.domain import Action, Role
from deploybot.policy.question_types import PolicyQuestion, RuleFinding, passes, refuses
from deploybot.policy.roles import has_role


def approver_rule(question: PolicyQuestion) -> RuleFinding | None:
    """Accept approvals and rejections only from the people that the target names."""
    person, wanted = question.person, question.wanted
    if question.action is not Action.APPROVE or person is None or wanted is None:
        return None
    if not has_role(question, person, Role.APPROVER):
        return None  # the rule `role` reports it
    named = not wanted.names or person.name in wanted.names
    if named and has_role(question, person, wanted.role):
        return passes(f"{question.target} needs {wanted}: yours counts.")
    return refuses(f"{question.target} needs {wanted}: yours does not count.")


def another_person_rule(question: PolicyQuestion) -> RuleFinding | None:
    """Refuse people who approve their own request, or approve twice."""
    person, request = question.person, question.request
    if question.command != "approve" or person is None or request is None:
        return None
    if request.requester == person.id:
        return refuses("You can't approve your own request: someone else must approve it.")
    if person.id in request.originators:
        return refuses("You triggered it, which counts as your own request: someone else must approve it.")
    if person.id in request.givers:
        return refuses(
            "You linked the account only after it triggered this deployment, so someone else must approve it."
        )
    if person.id in request.approved:
        return refuses("You already approved it.")
    return passes("Someone else requested it.")


def in_time_rule(question: PolicyQuestion) -> RuleFinding | None:
    """Refuse approvals by a role or account that the person got after the request."""
    person, request = question.person, question.request
    if question.command != "approve" or person is None or request is None or not request.number:
        return None
    least = question.wanted.role if question.wanted else Role.APPROVER
    older = tuple(one for one in question.grants if not request.is_before(one.after, one.since))
    if not has_role(question, person, least):
        return None  # the rules `role` and `approver` report it
    made = f"#{request.number} was {'triggered' if request.since else 'requested'}"
    late = f"after {made}"
    if not has_role(replace(question, grants=older), person, least):
        return refuses(f"You got your role {late}, so it does not count for #{request.number}.")
    if request.is_before(question.account, question.account_since):
        return refuses(f"You got this account {late}: approve it from an older one.")
    return passes(f"You had the role before {made}.")
