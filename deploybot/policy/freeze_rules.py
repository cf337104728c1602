"""Rules about freezes: what may still run while nothing new is deployed, and who may end one."""

from __future__ import annotations

from deploybot.domain import Kind, Role
from deploybot.policy.question_types import PolicyQuestion, RuleFinding, Voice, passes, refuses
from deploybot.policy.roles import role_in


def freeze_rule(question: PolicyQuestion) -> RuleFinding | None:
    """Refuse new releases and tasks in a freeze, to everyone. What ran well before may come back or be restarted."""
    frozen = question.frozen
    if not question.changes_release or not question.is_one_target:
        return None
    if frozen is None:
        return (
            passes(f"It is not frozen. bot.toml freezes it {question.freeze_windows}.")
            if question.freeze_windows
            else None
        )
    said = f"{frozen.sentence(question.target)}."
    if question.command == Kind.RESTART or (question.command == Kind.ROLLBACK and question.ran_here):
        return passes(f"{said} Restarts, and rollbacks to what ran well there, may still run.")
    return RuleFinding(Voice.REFUSES, said, frozen=True)


def unfreeze_rule(question: PolicyQuestion) -> RuleFinding | None:
    """Allow only the person who made a freeze, and admins, to end or replace it."""
    freeze, person = question.freeze, question.person
    if freeze is None or question.command not in {"freeze", "unfreeze"} or person is None or freeze.person == person.id:
        return None
    if role_in(question, person) is Role.ADMIN:
        return None
    return refuses(f"Only {freeze.holder}, who made the freeze, or an admin can change it.")
