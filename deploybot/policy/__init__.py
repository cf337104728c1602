"""One pure policy answers every question about rights, with reasons. The default is no.

A question holds everything that an answer may depend on. So the same rules apply to commands, buttons, webhooks and
the deploy engine. A rule is a function in `RULES`. It allows, passes, refuses, or does not apply.
An action is allowed if at least one rule allows it and none refuses it.
New restrictions (freeze windows, a queue, checks) are new rules here. Their data goes into the question, and they
apply everywhere at once.
"""

from __future__ import annotations

from deploybot.policy.question_types import (
    ActiveFreeze,
    Allowed,
    Before,
    Decision,
    PendingRequest,
    PolicyQuestion,
    RuleFinding,
    Voice,
    WantedAction,
)
from deploybot.policy.roles import LEAST, admins_of, covers, holds, lock_text, role_of, suffices
from deploybot.policy.rollback_rules import RollbackTerms, approvals_wanted
from deploybot.policy.rules import (
    NEEDS_APPROVAL,
    ONLY_AUTHORS,
    OPEN_COMMANDS,
    PASSED_BY_GLASS,
    RULES,
    broken_rules,
    counting,
    decide,
    explain,
    missing,
    needed,
    who_may,
)

__all__ = [
    "LEAST",
    "NEEDS_APPROVAL",
    "ONLY_AUTHORS",
    "OPEN_COMMANDS",
    "PASSED_BY_GLASS",
    "RULES",
    "ActiveFreeze",
    "Allowed",
    "Before",
    "Decision",
    "PendingRequest",
    "PolicyQuestion",
    "RollbackTerms",
    "RuleFinding",
    "Voice",
    "WantedAction",
    "admins_of",
    "approvals_wanted",
    "broken_rules",
    "counting",
    "covers",
    "decide",
    "explain",
    "holds",
    "lock_text",
    "missing",
    "needed",
    "role_of",
    "suffices",
    "who_may",
]
