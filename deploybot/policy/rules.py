"""The rules, and the answers that they give together. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from deploybot.domain import Action, Kind, Person, Role
from deploybot.policy.question_types import Decision, PolicyQuestion, RuleFinding, Voice, WantedAction
from deploybot.policy.roles import LEAST, admin_until, reaches, role_of, suffices
from deploybot.units import show_time

OPEN_COMMANDS = frozenset({"help", "whoami", "claim", "link"})
"""All commands for people who are not on the allowlist. Plug-ins can't add to it."""

NEEDS_APPROVAL = frozenset({Kind.DEPLOY, Kind.ROLLBACK, Kind.TASK})
"""The kinds that change what runs. A restart starts the same again, and must work at three in the morning."""

PASSED_BY_GLASS = frozenset({"lock", "approvals", "after", "freeze"})
"""The rules that break glass overrides. Rights, `refs` and `signed` apply in an emergency, too.
A release that ran there before may come back without `refs` and `signed`. Any other commit could contain anything.
"""

ONLY_AUTHORS = "Everyone who approved it also wrote part of it: someone else must approve it, too."

Rule = Callable[[PolicyQuestion], RuleFinding | None]


def _role_in(question: PolicyQuestion, person: Person) -> Role | None:
    """Return a person's role in the target of a question, at its time."""
    return role_of(person, question.grants, question.app, question.environment, question.now)


def _refuses(reason: str) -> RuleFinding:
    return RuleFinding(Voice.REFUSES, reason)


def _passes(reason: str) -> RuleFinding:
    return RuleFinding(Voice.PASSES, reason)


def _open_command(question: PolicyQuestion) -> RuleFinding | None:
    """Allow everyone to use the few commands that are for everyone."""
    if question.action is not Action.ANYONE:
        return None
    if question.command in OPEN_COMMANDS:
        return RuleFinding(Voice.ALLOWS, f"`{question.command}` is for everyone.")
    return _refuses(f"Only {', '.join(sorted(OPEN_COMMANDS))} are for everyone.")


def _known_person(question: PolicyQuestion) -> RuleFinding | None:
    """Refuse anyone who is not on the allowlist."""
    if question.action is Action.ANYONE:
        return None
    if question.person is None:
        return _refuses("You are not on the allowlist.")
    return _passes(f"You are {question.person.name}, who is on the allowlist.")


def _role(question: PolicyQuestion) -> RuleFinding | None:
    """Require a role in the target that is high enough for the action."""
    if question.action is Action.ANYONE or question.person is None:
        return None
    role = _role_in(question, question.person)
    if question.itself:
        return _automatic(question, may=suffices(role, question.action))
    if suffices(role, question.action):
        return RuleFinding(Voice.ALLOWS, f"You are {role} on {question.target}.")
    has = f"you are {role} there" if role else "you have no role there"
    return _refuses(f"`{question.command}` needs the role {LEAST[question.action]} on {question.target}; {has}.")


def _automatic(question: PolicyQuestion, *, may: bool) -> RuleFinding:
    """Allow the bot to do what `auto` in bot.toml says, and nothing else."""
    if may:
        return RuleFinding(Voice.ALLOWS, f"`auto` in bot.toml deploys to {question.target} automatically.")
    return _refuses(f"`auto` in bot.toml does not allow `{question.command}` on {question.target}.")


def _auto(question: PolicyQuestion) -> RuleFinding | None:
    """Add a note about what is deployed there automatically. All other rules apply to that, too."""
    if not question.auto or not question.changes_release or not question.is_one_target:
        return None
    return _passes(f"{question.auto[:1].upper()}{question.auto[1:]} is deployed there automatically.")


def _lock(question: PolicyQuestion) -> RuleFinding | None:
    """Refuse deployments to a locked target, except by the lock's holder. Admins must unlock it first, too."""
    lock = question.lock
    if not question.changes_release:
        return None
    if lock is None:
        return _passes(f"{question.target} is not locked.")
    if question.person is not None and lock.person == question.person.id:
        return _passes("You hold the lock there.")
    return RuleFinding(Voice.REFUSES, f"{lock.app}/{lock.environment} is locked by {lock.holder}.", held=True)


def _unlock(question: PolicyQuestion) -> RuleFinding | None:
    """Allow only the holder and admins to remove a lock."""
    lock = question.lock
    if lock is None or question.command != "unlock" or question.person is None or lock.person == question.person.id:
        return None
    if _role_in(question, question.person) is Role.ADMIN:
        return None
    return _refuses(f"Only {lock.holder}, who holds the lock, or an admin can remove it.")


def _approvals(question: PolicyQuestion) -> RuleFinding | None:
    """Refuse to start a deployment without its approvals. Until then a request may be made, and waits."""
    wanted = question.wanted
    if not question.changes_release or not question.is_one_target:
        return None
    if wanted is None:
        return _passes(f"{question.target} needs no approvals.")
    if question.command == Kind.RESTART:
        return _passes("A restart needs no approval: the release stays the same.")
    if question.glass:
        return _refuses(f"It needs {wanted} (not the requester).")
    if not question.begins:
        return _passes(f"It will wait for {wanted} (not the requester).")
    return _enough(question, wanted)


def _enough(question: PolicyQuestion, wanted: WantedAction) -> RuleFinding:
    """Count the approvals of a deployment that is about to start."""
    if question.request is None:
        return _refuses(f"It was requested before {question.target} needed {wanted}: request it again.")
    there = len(counting(question))
    if not missing(question):
        return _passes(f"It has {there} of {wanted}.")
    more = f" and one more ({question.request.unknown})" if question.request.unknown else ""
    why = f"It needs {wanted} (not the requester){more}; it has {there or 'none'}."
    if there >= needed(question):
        why = f"{why} {ONLY_AUTHORS}"
    return RuleFinding(Voice.REFUSES, why, waits=True)


def _approver(question: PolicyQuestion) -> RuleFinding | None:
    """Accept approvals and rejections only from the people that the target names."""
    person, wanted = question.person, question.wanted
    if question.action is not Action.APPROVE or person is None or wanted is None:
        return None
    if not _has(person, Role.APPROVER, question):
        return None  # the rule `role` reports it
    named = not wanted.names or person.name in wanted.names
    if named and _has(person, wanted.role, question):
        return _passes(f"{question.target} needs {wanted}: yours counts.")
    return _refuses(f"{question.target} needs {wanted}: yours does not count.")


def _another(question: PolicyQuestion) -> RuleFinding | None:
    """Refuse people who approve their own request, or approve twice."""
    person, request = question.person, question.request
    if question.command != "approve" or person is None or request is None:
        return None
    if request.requester == person.id:
        return _refuses("You can't approve your own request: someone else must approve it.")
    if person.id in request.originators:
        return _refuses("You triggered it, which counts as your own request: someone else must approve it.")
    if person.id in request.givers:
        return _refuses(
            "You linked the account only after it triggered this deployment, so someone else must approve it."
        )
    if person.id in request.approved:
        return _refuses("You already approved it.")
    return _passes("Someone else requested it.")


def _in_time(question: PolicyQuestion) -> RuleFinding | None:
    """Refuse approvals by a role or account that the person got after the request."""
    person, request = question.person, question.request
    if question.command != "approve" or person is None or request is None or not request.number:
        return None
    least = question.wanted.role if question.wanted else Role.APPROVER
    older = tuple(one for one in question.grants if not request.is_before(one.after, one.since))
    if not _has(person, least, question):
        return None  # the rules `role` and `approver` report it
    made = f"#{request.number} was {'triggered' if request.since else 'requested'}"
    late = f"after {made}"
    if not _has(person, least, replace(question, grants=older)):
        return _refuses(f"You got your role {late}, so it does not count for #{request.number}.")
    if request.is_before(question.account, question.account_since):
        return _refuses(f"You got this account {late}: approve it from an older one.")
    return _passes(f"You had the role before {made}.")


def _second_admin(question: PolicyQuestion) -> RuleFinding | None:
    """Refuse people who confirm a grant that they requested."""
    if question.command != "confirm" or not question.proposer or question.person is None:
        return None
    if question.person.id == question.proposer:
        return _refuses("You can't confirm your own request: a second admin must confirm it.")
    return _passes("Another admin requested it.")


def _outlasted(question: PolicyQuestion) -> RuleFinding | None:
    """Refuse admins for a limited time who give something that lasts longer than their own role."""
    person = question.person
    if question.action is not Action.ADMIN or question.gives_until is None or person is None:
        return None
    until = admin_until(person, question.grants, question.app, question.environment, question.now)
    if not until:
        return None  # the rule `role` reports it
    if question.gives_until <= until:
        return _passes("It does not outlast the role of the admin who gives it.")
    return _refuses(
        f"{person.name} is admin on {question.target} only until {show_time(until)}, "
        f"and can give only roles that end by then{_such_as(until - question.now)}."
    )


def _such_as(left: float) -> str:
    """Return an example that fits into the rest of a role, or an empty text if less than two minutes are left."""
    minutes = min(int(left // 60) - 1, 30)
    return f", such as `for {minutes}m`" if minutes > 0 else ""


def _has(person: Person, least: Role, question: PolicyQuestion) -> bool:
    return reaches(_role_in(question, person), least)


def _after(question: PolicyQuestion) -> RuleFinding | None:
    """Require the release to be healthy in the environment before. A rollback may return to what ran well here."""
    before = question.before
    stays = question.command in {Kind.RESTART, Kind.TASK}
    if not question.changes_release or not question.is_one_target or stays:
        return None
    if before is None:
        return _passes("No other environment is required first.")
    if not before.id:
        return _passes(f"The same release must be healthy in {before.environment} first.")
    if question.command == Kind.ROLLBACK and before.been_here:
        return _passes(f"{before.release} has run well here before, so {before.environment} is not checked.")
    if before.there and all(found == before.id and healthy for _, _, found, healthy in before.there):
        return _passes(f"{before.release} is healthy in {before.environment}.")
    runs = "; ".join(
        f"{server}: {release or 'nothing'}{'' if healthy or not release else ', not healthy'}"
        for server, release, _, healthy in before.there
    )
    return _refuses(f"{before.release} must be healthy in {before.environment} first. There now: {runs}.")


def _refs(question: PolicyQuestion) -> RuleFinding | None:
    """Allow only commits on refs that the target accepts. A rollback may return to what ran well here."""
    allowed = question.allowed
    if not _brings_commit(question) or allowed is None or not allowed.refs:
        return None
    only, origin = " or ".join(allowed.refs), allowed.origin
    if origin is None:
        return _passes(f"Only commits on {only} may be deployed here; a commit is checked when it is known.")
    if question.command == Kind.ROLLBACK and origin.ran:
        return _passes("The commit has run well here before, so it may come back from any ref.")
    if origin.ref:
        return _passes(f"The commit is on {origin.ref}; allowed: {only}.")
    return _refuses(f"Only commits on {only} may be deployed to {question.target}; this one is on {origin.found}.")


def _signed(question: PolicyQuestion) -> RuleFinding | None:
    """Allow only commits with a good signature by a signer. A rollback may return to what ran well here."""
    allowed = question.allowed
    if not _brings_commit(question) or allowed is None or not allowed.signed:
        return None
    origin = allowed.origin
    if origin is None:
        return _passes("Only signed commits may be deployed here; a signature is verified when the commit is known.")
    if question.command == Kind.ROLLBACK and origin.ran:
        return _passes("The commit has run well here before, so it may come back without a signature.")
    if origin.signature:
        return _passes(f"The commit is signed by {origin.signature}.")
    return _refuses(f"Only signed commits may be deployed to {question.target}: {origin.unsigned}.")


def _brings_commit(question: PolicyQuestion) -> bool:
    """Return whether it brings a commit to one target. A restart or a task does not."""
    stays = question.command in {Kind.RESTART, Kind.TASK}
    return question.changes_release and question.is_one_target and not stays


def _glass(question: PolicyQuestion) -> RuleFinding | None:
    """Allow only admins to break the glass, and only for deploy and rollback."""
    if not question.glass or question.person is None:
        return None
    role = _role_in(question, question.person)
    if question.command not in {Kind.DEPLOY, Kind.ROLLBACK}:
        return _refuses(f"Break glass is for deploy and rollback, not for `{question.command}`.")
    if question.itself or role is not Role.ADMIN:
        return _refuses(f"Only an admin of {question.target} can use break glass.")
    return _passes("You use break glass: it bypasses the lock, approvals and the order of environments.")


RULES: Mapping[str, Rule] = {
    "open to all": _open_command,
    "allowlist": _known_person,
    "role": _role,
    "lock": _lock,
    "unlocking": _unlock,
    "approvals": _approvals,
    "approver": _approver,
    "another person": _another,
    "in time": _in_time,
    "second admin": _second_admin,
    "limited time": _outlasted,
    "after": _after,
    "refs": _refs,
    "signed": _signed,
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
        waits=bool(refusals) and all(finding.waits for finding in refusals),
    )


def _without_account(question: PolicyQuestion) -> PolicyQuestion:
    """Return the question for people who use accounts that are old enough."""
    return replace(question, account=0, account_since=0.0)


def who_may(question: PolicyQuestion) -> tuple[str, ...]:
    """Return the names of all `people` who may."""
    alone = _without_account(question)
    able = (person.name for person in question.people if _decide(replace(alone, person=person)).allowed)
    return tuple(sorted(able))


def decide(question: PolicyQuestion) -> Decision:
    """Answer a question. A no also names all `people` who may."""
    decision = _decide(question)
    return decision if decision.allowed else replace(decision, who_may=who_may(question))
