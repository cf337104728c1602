"""One pure policy answers every question about rights, with its reasons; default is no.

A question holds all that an answer may depend on, so the same rules serve a command, a button, a
webhook and the deploy engine. A rule is a function in `RULES`: it allows, refuses, or has nothing to say.
Allowed is what at least one rule allows and none refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from deploybot.domain import EVERY, Action, Grant, Lock, Person, Role, place_name
from deploybot.units import show_duration, show_time

OPEN_COMMANDS = frozenset({"help", "whoami", "claim"})
"""All that somebody who is not on the allowlist may use; no plug-in can add to it."""

LEAST = {
    Action.VIEW: Role.VIEWER,
    Action.DEPLOY: Role.DEPLOYER,
    Action.APPROVE: Role.APPROVER,
    Action.ADMIN: Role.ADMIN,
}
"""The least role that an action needs."""

_RANK = {role: rank for rank, role in enumerate(Role)}
_HELD_BY_NO_LOCK = frozenset({"lock", "unlock", "cancel"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Whether a person may do something in a place.

    `app` and `environment` are names, `*` for every one, or None for “at least one of them”. `grants` and
    `people` are everybody's. `lock` is the person's lock that holds there now.
    """

    person: Person | None
    action: Action
    command: str
    app: str | None = None
    environment: str | None = None
    grants: tuple[Grant, ...] = ()
    people: tuple[Person, ...] = ()
    lock: Lock | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says. `held` marks a refusal that a lock is the reason of."""

    allows: bool
    reason: str
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer: the sentences of the rules that decided, and on a no who could (names).

    `held` is True when nothing but a lock stands in the way.
    """

    allowed: bool
    reasons: tuple[str, ...]
    who_may: tuple[str, ...] = ()
    held: bool = False


Rule = Callable[[Question], Finding | None]


def covers(grant: Grant, app: str | None, environment: str | None) -> bool:
    """Whether a grant counts for a place."""
    fits_app = app is None or grant.app in {EVERY, app}
    return fits_app and (environment is None or grant.environment in {EVERY, environment})


def role_of(person: Person, grants: Iterable[Grant], app: str | None, environment: str | None) -> Role | None:
    """The highest role that a person's grants give for a place; None without any."""
    roles = [grant.role for grant in grants if grant.person == person.id and covers(grant, app, environment)]
    return max(roles, key=_RANK.__getitem__, default=None)


def suffices(role: Role | None, action: Action) -> bool:
    """Whether a role may do an action that needs one."""
    return role is not None and action in LEAST and _RANK[role] >= _RANK[LEAST[action]]


def tell_lock(lock: Lock, now: float) -> str:
    """Who holds an environment, since when, until when, why, and how to release it."""
    since = f"since {show_time(lock.since)} ({show_duration(now - lock.since)})"
    until = f", until {show_time(lock.until)}" if lock.until else ""
    why = f": “{lock.reason}”" if lock.reason else ""
    return (
        f"{lock.app}/{lock.environment} is locked by {lock.holder} {since}{until}{why}. "
        f"{lock.holder} or an admin can release it: `unlock {lock.app} {lock.environment}`."
    )


def _open_command(question: Question) -> Finding | None:
    """Let everyone use the few commands that are for everyone."""
    if question.action is not Action.ANYONE:
        return None
    if question.command in OPEN_COMMANDS:
        return Finding(allows=True, reason=f"`{question.command}` is for everyone.")
    return Finding(allows=False, reason=f"Only {', '.join(sorted(OPEN_COMMANDS))} are for everyone.")


def _known_person(question: Question) -> Finding | None:
    """Refuse whoever is not on the allowlist."""
    if question.action is Action.ANYONE or question.person is not None:
        return None
    return Finding(allows=False, reason="You are not on the allowlist.")


def _role(question: Question) -> Finding | None:
    """Ask for a role that is high enough for the action in that place."""
    if question.action is Action.ANYONE or question.person is None:
        return None
    place = place_name(question.app, question.environment)
    role = role_of(question.person, question.grants, question.app, question.environment)
    if suffices(role, question.action):
        return Finding(allows=True, reason=f"You are {role} on {place}.")
    has = f"you are {role} there" if role else "you have no role there"
    return Finding(
        allows=False, reason=f"`{question.command}` needs the role {LEAST[question.action]} on {place}; {has}."
    )


def _lock(question: Question) -> Finding | None:
    """Keep everybody but its holder from deploying where a lock holds; an admin, too, has to unlock first."""
    lock = question.lock
    if lock is None or question.action is not Action.DEPLOY or question.command in _HELD_BY_NO_LOCK:
        return None
    if question.person is not None and lock.person == question.person.id:
        return None
    return Finding(allows=False, reason=f"{lock.app}/{lock.environment} is locked by {lock.holder}.", held=True)


def _unlock(question: Question) -> Finding | None:
    """Leave the release of a lock to its holder and to admins."""
    lock = question.lock
    if lock is None or question.command != "unlock" or question.person is None or lock.person == question.person.id:
        return None
    if role_of(question.person, question.grants, question.app, question.environment) is Role.ADMIN:
        return None
    return Finding(allows=False, reason=f"The lock is {lock.holder}'s: {lock.holder} or an admin may release it.")


RULES: tuple[Rule, ...] = (_open_command, _known_person, _role, _lock, _unlock)


def _decide(question: Question) -> Decision:
    """Ask every rule."""
    findings = [finding for rule in RULES if (finding := rule(question)) is not None]
    refusals = [finding for finding in findings if not finding.allows]
    return Decision(
        allowed=bool(findings) and not refusals,
        reasons=tuple(finding.reason for finding in refusals or findings),
        held=bool(refusals) and all(finding.held for finding in refusals),
    )


def decide(question: Question) -> Decision:
    """Answer a question; a no names everybody of `people` who would get a yes."""
    decision = _decide(question)
    if decision.allowed:
        return decision
    able = (person.name for person in question.people if _decide(replace(question, person=person)).allowed)
    return replace(decision, who_may=tuple(sorted(able)))
