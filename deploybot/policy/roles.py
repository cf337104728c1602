"""Determine a person's role in a target, and what the role allows."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import inf

from deploybot.domain import EVERY, Action, Grant, Lock, Person, Role
from deploybot.policy.question_types import PolicyQuestion
from deploybot.units import show_duration, show_time

LEAST = {
    Action.VIEW: Role.VIEWER,
    Action.DEPLOY: Role.DEPLOYER,
    Action.APPROVE: Role.APPROVER,
    Action.ADMIN: Role.ADMIN,
}
"""The lowest role that an action needs."""

_RANK = {role: rank for rank, role in enumerate(Role)}


def holds(grant: Grant, now: float) -> bool:
    """Return whether a grant has not expired."""
    return not grant.until or now < grant.until


def covers(grant: Grant, app: str | None, environment: str | None) -> bool:
    """Return whether a grant applies to a target."""
    fits_app = app is None or grant.app in {EVERY, app}
    return fits_app and (environment is None or grant.environment in {EVERY, environment})


def role_of(
    person: Person, grants: Iterable[Grant], app: str | None, environment: str | None, now: float = inf
) -> Role | None:
    """Return the highest role that a person's grants give for a target; None without any.

    Without a time, grants with an end do not count.
    """
    mine = (grant for grant in grants if grant.person == person.id and holds(grant, now))
    roles = [grant.role for grant in mine if covers(grant, app, environment)]
    return max(roles, key=_RANK.__getitem__, default=None)


def admin_until(
    person: Person, grants: Iterable[Grant], app: str | None, environment: str | None, now: float = inf
) -> float:
    """Return until when a person is admin of a target: `inf` for no end, 0.0 if they are not."""
    mine = (one for one in grants if one.person == person.id and one.role is Role.ADMIN and holds(one, now))
    return max((one.until or inf for one in mine if covers(one, app, environment)), default=0.0)


def admins_of(
    people: Iterable[Person], grants: Collection[Grant], app: str | None, environment: str | None, now: float
) -> tuple[Person, ...]:
    """Return the people who are admins of a target now."""
    return tuple(one for one in people if role_of(one, grants, app, environment, now) is Role.ADMIN)


def role_in(question: PolicyQuestion, person: Person) -> Role | None:
    """Return a person's role in the target of a question, at its time."""
    return role_of(person, question.grants, question.app, question.environment, question.now)


def has_role(question: PolicyQuestion, person: Person, least: Role) -> bool:
    """Return whether a person's role in the target of a question is at least `least`."""
    return reaches(role_in(question, person), least)


def suffices(role: Role | None, action: Action) -> bool:
    """Return whether a role allows an action that needs one."""
    return action in LEAST and reaches(role, LEAST[action])


def reaches(role: Role | None, least: Role) -> bool:
    """Return whether a role is at least `least`."""
    return role is not None and _RANK[role] >= _RANK[least]


def lock_text(lock: Lock, now: float) -> str:
    """Say who holds the lock, since when, until when, why, and how to remove it."""
    since = f"since {show_time(lock.since)} ({show_duration(now - lock.since)})"
    until = f", until {show_time(lock.until)}" if lock.until else ""
    why = f": “{lock.reason}”" if lock.reason else ""
    return (
        f"{lock.app}/{lock.environment} is locked by {lock.holder} {since}{until}{why}. "
        f"{lock.holder} or an admin can remove it: `unlock {lock.app} {lock.environment}`."
    )
