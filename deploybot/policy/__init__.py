"""One pure policy answers every question about rights, with its reasons; default is no.

A question holds all that an answer may depend on, so the same rules serve a command, a button, a
webhook and the deploy engine. A rule is a function in `RULES`: it allows, passes, refuses, or has nothing to
say. Allowed is what at least one rule allows and none refuses. What is to come (freeze windows, a queue,
checks) is a further rule here, with its facts in the question, and binds every way in at once.
"""

from __future__ import annotations

from deploybot.policy.questions import (
    Allowed,
    AskedBy,
    Before,
    Decision,
    PolicyQuestion,
    RuleFinding,
    Voice,
    WantedAction,
)
from deploybot.policy.roles import LEAST, admins_of, covers, holds, role_of, suffices, tell_lock
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
    "Allowed",
    "AskedBy",
    "Before",
    "Decision",
    "PolicyQuestion",
    "RuleFinding",
    "Voice",
    "WantedAction",
    "admins_of",
    "broken_rules",
    "counting",
    "covers",
    "decide",
    "explain",
    "holds",
    "missing",
    "needed",
    "role_of",
    "suffices",
    "tell_lock",
    "who_may",
]
