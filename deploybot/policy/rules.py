"""All rules, and the answers that they give together. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from deploybot.domain import Action, Kind, Role
from deploybot.policy.approver_rules import another_person_rule, approver_rule, in_time_rule
from deploybot.policy.freeze_rules import freeze_rule, unfreeze_rule
from deploybot.policy.grant_rules import limited_time_rule, second_admin_rule
from deploybot.policy.lock_rules import lock_rule, unlock_rule
from deploybot.policy.question_types import (
    Decision,
    PolicyQuestion,
    RuleFinding,
    Voice,
    WantedAction,
    passes,
    refuses,
)
from deploybot.policy.release_rules import after_rule, refs_rule, signed_rule
from deploybot.policy.roles import LEAST, role_in, suffices

OPEN_COMMANDS = frozenset({"help", "whoami", "claim", "link"})
"""All commands for people who are not on the allowlist. Plug-ins can't add to it."""

NEEDS_APPROVAL = frozenset({Kind.DEPLOY, Kind.ROLLBACK, Kind.TASK})
"""The kinds that change what runs. A restart starts the same again, and must work at three in the morning."""

BREAKS_GLASS = frozenset({Kind.DEPLOY, Kind.ROLLBACK, "promote"})
"""The commands that may break the glass. A promotion is a deployment."""

PASSED_BY_GLASS = frozenset({"lock", "approvals", "after", "freeze"})
"""The rules that break glass overrides. Rights, `refs` and `signed` apply in an emergency, too.
A release that ran there before may come back without `refs` and `signed`. Any other commit could contain anything.
"""

ONLY_AUTHORS = "Everyone who approved it also wrote part of it: someone else must approve it, too."

Rule = Callable[[PolicyQuestion], RuleFinding | None]


def _open_command(question: PolicyQuestion) -> RuleFinding | None:
    """Allow everyone to use the few commands that are for everyone."""
    if question.action is not Action.ANYONE:
        return None
    if question.command in OPEN_COMMANDS:
        return RuleFinding(Voice.ALLOWS, f"`{question.command}` is for everyone.")
    return refuses(f"Only {', '.join(sorted(OPEN_COMMANDS))} are for everyone.")


def _known_person(question: PolicyQuestion) -> RuleFinding | None:
    """Refuse anyone who is not on the allowlist."""
    if question.action is Action.ANYONE:
        return None
    if question.person is None:
        return refuses("You are not on the allowlist.")
    return passes(f"You are {question.person.name}, who is on the allowlist.")


def _role(question: PolicyQuestion) -> RuleFinding | None:
    """Require a role in the target that is high enough for the action."""
    if question.action is Action.ANYONE or question.person is None:
        return None
    role = role_in(question, question.person)
    if question.itself:
        return _automatic(question, may=suffices(role, question.action))
    if suffices(role, question.action):
        return RuleFinding(Voice.ALLOWS, f"You are {role} on {question.target}.")
    has = f"you are {role} there" if role else "you have no role there"
    return refuses(f"`{question.command}` needs the role {LEAST[question.action]} on {question.target}; {has}.")


def _automatic(question: PolicyQuestion, *, may: bool) -> RuleFinding:
    """Allow the bot to do what `auto` in bot.toml says, and nothing else."""
    if may:
        return RuleFinding(Voice.ALLOWS, f"`auto` in bot.toml deploys to {question.target} automatically.")
    return refuses(f"`auto` in bot.toml does not allow `{question.command}` on {question.target}.")


def _auto(question: PolicyQuestion) -> RuleFinding | None:
    """Add a note about what is deployed there automatically. All other rules apply to that, too."""
    if not question.auto or not question.changes_release or not question.is_one_target:
        return None
    return passes(f"{question.auto[:1].upper()}{question.auto[1:]} is deployed there automatically.")


def _approvals(question: PolicyQuestion) -> RuleFinding | None:
    """Refuse to start a deployment without its approvals. Until then a request may be made, and waits."""
    wanted = question.wanted
    if not question.changes_release or not question.is_one_target:
        return None
    note = f" {question.rollback.sentence}" if question.rollback else ""
    if wanted is None:
        what = f"A rollback of {question.target}" if note else question.target
        return passes(f"{what} needs no approvals.{note}")
    if question.command == Kind.RESTART:
        return passes("A restart needs no approval: the release stays the same.")
    if question.glass:
        return refuses(f"It needs {wanted} (not the requester).")
    if not question.begins:
        return passes(f"It will wait for {wanted} (not the requester).{note}")
    return _enough(question, wanted)


def _enough(question: PolicyQuestion, wanted: WantedAction) -> RuleFinding:
    """Count the approvals of a deployment that is about to start."""
    if question.request is None and question.rollback is not None:
        return refuses(f"It needs {wanted} now, which it was requested without. {question.rollback.sentence}")
    if question.request is None:
        return refuses(f"It was requested before {question.target} needed {wanted}: request it again.")
    there = len(counting(question))
    if not missing(question):
        return passes(f"It has {there} of {wanted}.")
    more = f" and one more ({question.request.unknown})" if question.request.unknown else ""
    why = f"It needs {wanted} (not the requester){more}; it has {there or 'none'}."
    if there >= needed(question):
        why = f"{why} {ONLY_AUTHORS}"
    return RuleFinding(Voice.REFUSES, why, waits=True)


def _glass(question: PolicyQuestion) -> RuleFinding | None:
    """Allow only admins to break the glass, and only for what may."""
    if not question.glass or question.person is None:
        return None
    role = role_in(question, question.person)
    if question.command not in BREAKS_GLASS:
        return refuses(f"Break glass is for deploy, promote and rollback, not for `{question.command}`.")
    if question.itself or role is not Role.ADMIN:
        return refuses(f"Only an admin of {question.target} can use break glass.")
    return passes("You use break glass: it bypasses locks, freezes, approvals and the order of environments.")


RULES: Mapping[str, Rule] = {
    "open to all": _open_command,
    "allowlist": _known_person,
    "role": _role,
    "lock": lock_rule,
    "unlocking": unlock_rule,
    "freeze": freeze_rule,
    "unfreezing": unfreeze_rule,
    "approvals": _approvals,
    "approver": approver_rule,
    "another person": another_person_rule,
    "in time": in_time_rule,
    "second admin": second_admin_rule,
    "limited time": limited_time_rule,
    "after": after_rule,
    "refs": refs_rule,
    "signed": signed_rule,
    "break glass": _glass,
    "automatic": _auto,
}
"""All rules by the names that people read."""


def counting(question: PolicyQuestion) -> tuple[int, ...]:
    """Return who approved and still counts: each person once, still entitled, and not the requester."""
    request = question.request
    if request is None:
        return ()
    people = {person.id: person for person in question.people}
    # Their account was checked when they approved; that of the question is the sender's.
    asked = replace(question, action=Action.APPROVE, command="approve", request=replace(request, approved=()))
    alone = _without_account(asked)
    given = (people.get(number) for number in dict.fromkeys(request.approved))
    return tuple(one.id for one in given if one is not None and _decide(replace(alone, person=one)).allowed)


def needed(question: PolicyQuestion) -> int:
    """Return how many approvals a request needs: one more than bot.toml requires if its cause is unknown."""
    if question.wanted is None:
        return 0
    return question.wanted.count + bool(question.request and question.request.unknown)


def missing(question: PolicyQuestion) -> int:
    """Return how many approvals are missing. At least one must come from a person who did not write the change."""
    there = counting(question)
    lacking = max(needed(question) - len(there), 0)
    authors = question.request.authors if question.request else ()
    return max(lacking, 1) if there and all(one in authors for one in there) else lacking


def explain(question: PolicyQuestion) -> dict[str, RuleFinding]:
    """Return the finding of each rule that applies, by the rule's name."""
    findings = {name: rule(question) for name, rule in RULES.items()}
    return {name: _through(question, name, finding) for name, finding in findings.items() if finding is not None}


def _through(question: PolicyQuestion, name: str, finding: RuleFinding) -> RuleFinding:
    """Turn a refusal into a pass if break glass overrides it. The rule `break glass` decides who may break it."""
    if not question.glass or name not in PASSED_BY_GLASS or finding.voice is not Voice.REFUSES:
        return finding
    return RuleFinding(Voice.PASSES, f"{finding.reason} Break glass bypasses this.", broken=True)


def broken_rules(question: PolicyQuestion) -> tuple[str, ...]:
    """Return the names of the rules that would refuse and that break glass overrides."""
    return tuple(name for name, finding in explain(question).items() if finding.broken)


def _decide(question: PolicyQuestion) -> Decision:
    """Ask all rules."""
    findings = explain(question).values()
    refusals = [finding for finding in findings if finding.voice is Voice.REFUSES]
    allows = [finding for finding in findings if finding.voice is Voice.ALLOWS]
    return Decision(
        allowed=bool(allows) and not refusals,
        reasons=tuple(finding.reason for finding in refusals or allows),
        held=bool(refusals) and all(finding.held for finding in refusals),
        frozen=any(one.frozen for one in refusals) and all(one.frozen or one.waits or one.held for one in refusals),
        waits=bool(refusals) and all(finding.waits for finding in refusals),
    )


def _without_account(question: PolicyQuestion) -> PolicyQuestion:
    """Return the question for people who use accounts that are old enough."""
    return replace(question, account=0, account_since=0.0)


def who_may(question: PolicyQuestion) -> tuple[str, ...]:
    """Return the names of all `people` who may, when no freeze is on."""
    alone = replace(_without_account(question), frozen=None)
    able = (person.name for person in question.people if _decide(replace(alone, person=person)).allowed)
    return tuple(sorted(able))


def decide(question: PolicyQuestion) -> Decision:
    """Answer a question. A no also names all `people` who may."""
    decision = _decide(question)
    return decision if decision.allowed else replace(decision, who_may=who_may(question))
