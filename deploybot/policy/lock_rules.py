"""Rules about locks: who may deploy to a locked target, and who may unlock it."""

from __future__ import annotations

from deploybot.domain import Role
from deploybot.policy.question_types import PolicyQuestion, RuleFinding, Voice, passes, refuses
from deploybot.policy.roles import role_in


def lock_rule(question: PolicyQuestion) -> RuleFinding | None:
    """Refuse deployments to a locked target, except by the lock's holder. Admins must unlock it first, too."""
    lock = question.lock
    if not question.changes_release:
        return None
    if lock is None:
        return passes(f"{question.target} is not locked.")
    if question.person is not None and lock.person == question.person.id:
        return passes("You hold the lock there.")
    return RuleFinding(Voice.REFUSES, f"{lock.app}/{lock.environment} is locked by {lock.holder}.", held=True)


def unlock_rule(question: PolicyQuestion) -> RuleFinding | None:
    """Allow only the holder and admins to remove a lock."""
    lock = question.lock
    if lock is None or question.command != "unlock" or question.person is None or lock.person == question.person.id:
        return None
    if role_in(question, question.person) is Role.ADMIN:
        return None
    return refuses(f"Only {lock.holder}, who holds the lock, or an admin can remove it.")
