"""The rules, and the answers that they give together. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from deploybot.domain import Action, Kind, Person, Role
from deploybot.policy.questions import Decision, PolicyQuestion, RuleFinding, Voice, WantedAction
from deploybot.policy.roles import LEAST, reaches, role_of, suffices

OPEN_COMMANDS = frozenset({"help", "whoami", "claim", "link"})
"""All that somebody who is not on the allowlist may use; no plug-in can add to it."""

NEEDS_APPROVAL = frozenset({Kind.DEPLOY, Kind.ROLLBACK, Kind.TASK})
"""What changes what runs. A restart starts the very same again, and has to work at three in the morning."""

PASSED_BY_GLASS = frozenset({"lock", "approvals", "after", "freeze"})
"""The rules that break glass passes. Rights, `refs` and `signed` hold in an emergency, too: what ran there before may
come back without them, and anything else could be anything."""

ONLY_AUTHORS = "All who approved it wrote part of it: somebody else has to approve it, too."

Rule = Callable[[PolicyQuestion], RuleFinding | None]


def _role_in(question: PolicyQuestion, person: Person) -> Role | None:
    """A person's role in the place of a question, at its time."""
    return role_of(person, question.grants, question.app, question.environment, question.now)


def _refuses(reason: str) -> RuleFinding:
    return RuleFinding(Voice.REFUSES, reason)


def _passes(reason: str) -> RuleFinding:
    return RuleFinding(Voice.PASSES, reason)


def _open_command(question: PolicyQuestion) -> RuleFinding | None:
    """Let everyone use the few commands that are for everyone."""
    if question.action is not Action.ANYONE:
        return None
    if question.command in OPEN_COMMANDS:
        return RuleFinding(Voice.ALLOWS, f"`{question.command}` is for everyone.")
    return _refuses(f"Only {', '.join(sorted(OPEN_COMMANDS))} are for everyone.")


def _known_person(question: PolicyQuestion) -> RuleFinding | None:
    """Refuse whoever is not on the allowlist."""
    if question.action is Action.ANYONE:
        return None
    if question.person is None:
        return _refuses("You are not on the allowlist.")
    return _passes(f"You are {question.person.name}, who is on the allowlist.")


def _role(question: PolicyQuestion) -> RuleFinding | None:
    """Ask for a role that is high enough for the action in that place."""
    if question.action is Action.ANYONE or question.person is None:
        return None
    role = _role_in(question, question.person)
    if question.itself:
        return _by_itself(question, may=suffices(role, question.action))
    if suffices(role, question.action):
        return RuleFinding(Voice.ALLOWS, f"You are {role} on {question.place}.")
    has = f"you are {role} there" if role else "you have no role there"
    return _refuses(f"`{question.command}` needs the role {LEAST[question.action]} on {question.place}; {has}.")


def _by_itself(question: PolicyQuestion, *, may: bool) -> RuleFinding:
    """Let the bot do by itself what bot.toml's `auto` says, and nothing else."""
    if may:
        return RuleFinding(Voice.ALLOWS, f"`auto` in bot.toml deploys to {question.place} by itself.")
    return _refuses(f"`auto` in bot.toml does not let me use `{question.command}` on {question.place} by myself.")


def _auto(question: PolicyQuestion) -> RuleFinding | None:
    """Say what is deployed there without anybody's asking: every other rule binds that, too."""
    if not question.auto or not question.changes_release or not question.is_one_place:
        return None
    return _passes(f"{question.auto[:1].upper()}{question.auto[1:]} is deployed there automatically.")


def _lock(question: PolicyQuestion) -> RuleFinding | None:
    """Keep everybody but its holder from deploying where a lock holds; an admin, too, has to unlock first."""
    lock = question.lock
    if not question.changes_release:
        return None
    if lock is None:
        return _passes(f"There is no lock on {question.place}.")
    if question.person is not None and lock.person == question.person.id:
        return _passes("The lock there is your own.")
    return RuleFinding(Voice.REFUSES, f"{lock.app}/{lock.environment} is locked by {lock.holder}.", held=True)


def _unlock(question: PolicyQuestion) -> RuleFinding | None:
    """Leave the release of a lock to its holder and to admins."""
    lock = question.lock
    if lock is None or question.command != "unlock" or question.person is None or lock.person == question.person.id:
        return None
    if _role_in(question, question.person) is Role.ADMIN:
        return None
    return _refuses(f"The lock is {lock.holder}'s: {lock.holder} or an admin may release it.")


def _approvals(question: PolicyQuestion) -> RuleFinding | None:
    """Let nothing begin that lacks approvals; until then a request may be made and waits."""
    wanted = question.wanted
    if not question.changes_release or not question.is_one_place:
        return None
    if wanted is None:
        return _passes(f"{question.place} needs no approvals.")
    if question.command == Kind.RESTART:
        return _passes("A restart needs no approval: what runs stays what it is.")
    if question.glass:
        return _refuses(f"It needs {wanted}, other than who asks.")
    if not question.begins:
        return _passes(f"It will wait for {wanted}, other than who asks.")
    return _enough(question, wanted)


def _enough(question: PolicyQuestion, wanted: WantedAction) -> RuleFinding:
    """Count what is there when something is about to begin."""
    if question.asked is None:
        return _refuses(f"It was asked for before {question.place} wanted {wanted}: ask for it again.")
    there = len(counting(question))
    if not missing(question):
        return _passes(f"It has {there} of {wanted}.")
    more = f" and one more ({question.asked.unknown})" if question.asked.unknown else ""
    why = f"It needs {wanted}{more}, other than who asked; {there or 'none'} there."
    if there >= needed(question):
        why = f"{why} {ONLY_AUTHORS}"
    return RuleFinding(Voice.REFUSES, why, waits=True)


def _approver(question: PolicyQuestion) -> RuleFinding | None:
    """Take approvals, and rejections, from those whom the place names."""
    person, wanted = question.person, question.wanted
    if question.action is not Action.APPROVE or person is None or wanted is None:
        return None
    if not _has(person, Role.APPROVER, question):
        return None  # the rule about roles says it
    named = not wanted.names or person.name in wanted.names
    if named and _has(person, wanted.role, question):
        return _passes(f"{question.place} wants {wanted}: you are one of them.")
    return _refuses(f"{question.place} wants {wanted}: you are none of them.")


def _another(question: PolicyQuestion) -> RuleFinding | None:
    """Let nobody approve what they asked for themselves, and nobody twice."""
    person, asked = question.person, question.asked
    if question.command != "approve" or person is None or asked is None:
        return None
    if asked.requester == person.id:
        return _refuses("You asked for it yourself: somebody else has to approve it.")
    if person.id in asked.brought:
        return _refuses("You brought it about yourself, which counts as asking: somebody else has to approve it.")
    if person.id in asked.approved:
        return _refuses("You have approved it already.")
    return _passes("Somebody else asked for it.")


def _in_time(question: PolicyQuestion) -> RuleFinding | None:
    """Let nobody approve by a role, or from an account, that they got after it was asked for."""
    person, asked = question.person, question.asked
    if question.command != "approve" or person is None or asked is None or not asked.number:
        return None
    least = question.wanted.role if question.wanted else Role.APPROVER
    older = replace(question, grants=tuple(one for one in question.grants if not asked.is_before(one.after)))
    if not _has(person, least, question):
        return None  # the rules about roles say it
    late = f"after #{asked.number} was asked for"
    if not _has(person, least, older):
        return _refuses(f"You got your role {late}, so it does not count for #{asked.number}.")
    if asked.is_before(question.account):
        return _refuses(f"You got this account {late}: approve it from an older one.")
    return _passes(f"You had the role before #{asked.number} was asked for.")


def _second_admin(question: PolicyQuestion) -> RuleFinding | None:
    """Let nobody confirm a grant that they asked for themselves."""
    if question.command != "confirm" or not question.proposer or question.person is None:
        return None
    if question.person.id == question.proposer:
        return _refuses("You asked for it yourself: a second admin has to confirm it.")
    return _passes("Another admin asked for it.")


def _has(person: Person, least: Role, question: PolicyQuestion) -> bool:
    return reaches(_role_in(question, person), least)


def _after(question: PolicyQuestion) -> RuleFinding | None:
    """Deploy only what is healthy in the environment that comes before; what ran well here may come back."""
    before = question.before
    stays = question.command in {Kind.RESTART, Kind.TASK}
    if not question.changes_release or not question.is_one_place or stays:
        return None
    if before is None:
        return _passes("No other environment has to come first.")
    if not before.id:
        return _passes(f"The same release has to be healthy in {before.environment} first.")
    if question.command == Kind.ROLLBACK and before.been_here:
        return _passes(f"{before.release} has run well here before, so {before.environment} is not asked.")
    if before.there and all(found == before.id and healthy for _, _, found, healthy in before.there):
        return _passes(f"{before.release} is healthy in {before.environment}.")
    runs = "; ".join(
        f"{server}: {release or 'nothing'}{'' if healthy or not release else ', not healthy'}"
        for server, release, _, healthy in before.there
    )
    return _refuses(f"{before.release} has to be healthy in {before.environment} first. There now: {runs}.")


def _refs(question: PolicyQuestion) -> RuleFinding | None:
    """Deploy only commits on refs that the place allows; what ran well here may come back."""
    allowed = question.allowed
    if not _brings_commit(question) or allowed is None or not allowed.refs:
        return None
    only, origin = " or ".join(allowed.refs), allowed.origin
    if origin is None:
        return _passes(f"Only commits on {only} may be deployed here; a commit is looked up when it is known.")
    if question.command == Kind.ROLLBACK and origin.ran:
        return _passes("The commit has run well here before, so it may come back from any ref.")
    if origin.ref:
        return _passes(f"The commit is on {origin.ref}; allowed: {only}.")
    return _refuses(f"Only commits on {only} may be deployed to {question.place}; this one is on {origin.found}.")


def _signed(question: PolicyQuestion) -> RuleFinding | None:
    """Deploy only commits with a good signature of a signer; what ran well here may come back."""
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
    return _refuses(f"Only signed commits may be deployed to {question.place}: {origin.unsigned}.")


def _brings_commit(question: PolicyQuestion) -> bool:
    """Whether it is about bringing a commit to one place; a restart and a task leave there what runs."""
    stays = question.command in {Kind.RESTART, Kind.TASK}
    return question.changes_release and question.is_one_place and not stays


def _glass(question: PolicyQuestion) -> RuleFinding | None:
    """Let nobody but admins break the glass, and only to deploy or to roll back."""
    if not question.glass or question.person is None:
        return None
    role = _role_in(question, question.person)
    if question.command not in {Kind.DEPLOY, Kind.ROLLBACK}:
        return _refuses(f"Break glass is for deploy and rollback, not for `{question.command}`.")
    if question.itself or role is not Role.ADMIN:
        return _refuses(f"Only an admin of {question.place} may break the glass.")
    return _passes("You break the glass: the lock, approvals and the order of environments do not stop it.")


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
    "after": _after,
    "refs": _refs,
    "signed": _signed,
    "break glass": _glass,
    "by itself": _auto,
}
"""Every rule by the name that people read."""


def counting(question: PolicyQuestion) -> tuple[int, ...]:
    """Whose approvals of the request count now: each person once, still entitled, and not who asked."""
    asked = question.asked
    if asked is None:
        return ()
    people = {person.id: person for person in question.people}
    # The account was looked at when they approved: here it is that of whoever asks.
    alone = replace(question, action=Action.APPROVE, command="approve", asked=replace(asked, approved=()), account=0)
    given = (people.get(number) for number in dict.fromkeys(asked.approved))
    return tuple(one.id for one in given if one is not None and _decide(replace(alone, person=one)).allowed)


def needed(question: PolicyQuestion) -> int:
    """How many approvals a request needs: one more than bot.toml asks for where its cause is not known."""
    if question.wanted is None:
        return 0
    return question.wanted.count + bool(question.asked and question.asked.unknown)


def missing(question: PolicyQuestion) -> int:
    """How many approvals a request still needs. Authors of the change may approve it, but not without somebody else."""
    there = counting(question)
    lacking = max(needed(question) - len(there), 0)
    authors = question.asked.authors if question.asked else ()
    return max(lacking, 1) if there and all(one in authors for one in there) else lacking


def explain(question: PolicyQuestion) -> dict[str, RuleFinding]:
    """What every rule that has something to say says, by its name."""
    findings = {name: rule(question) for name, rule in RULES.items()}
    return {name: _through(question, name, finding) for name, finding in findings.items() if finding is not None}


def _through(question: PolicyQuestion, name: str, finding: RuleFinding) -> RuleFinding:
    """Pass a refusal that break glass passes; whether it may be broken is a rule of its own."""
    if not question.glass or name not in PASSED_BY_GLASS or finding.voice is not Voice.REFUSES:
        return finding
    return RuleFinding(Voice.PASSES, f"{finding.reason} Break glass passes that.", broken=True)


def broken_rules(question: PolicyQuestion) -> tuple[str, ...]:
    """The rules that would say no and are passed by break glass."""
    return tuple(name for name, finding in explain(question).items() if finding.broken)


def _decide(question: PolicyQuestion) -> Decision:
    """Ask every rule."""
    findings = explain(question).values()
    refusals = [finding for finding in findings if finding.voice is Voice.REFUSES]
    allows = [finding for finding in findings if finding.voice is Voice.ALLOWS]
    return Decision(
        allowed=bool(allows) and not refusals,
        reasons=tuple(finding.reason for finding in refusals or allows),
        held=bool(refusals) and all(finding.held for finding in refusals),
        waits=bool(refusals) and all(finding.waits for finding in refusals),
    )


def who_may(question: PolicyQuestion) -> tuple[str, ...]:
    """The names of everybody of `people` who would get a yes."""
    alone = replace(question, account=0)
    able = (person.name for person in question.people if _decide(replace(alone, person=person)).allowed)
    return tuple(sorted(able))


def decide(question: PolicyQuestion) -> Decision:
    """Answer a question; a no names everybody of `people` who would get a yes."""
    decision = _decide(question)
    return decision if decision.allowed else replace(decision, who_may=who_may(question))
