"""Who may do what, and where: people, their accounts, roles and grants."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Action(enum.StrEnum):
    """What a command needs. Every command declares exactly one."""

    ANYONE = "anyone"
    VIEW = "view"
    DEPLOY = "deploy"
    APPROVE = "approve"
    ADMIN = "admin"


class Role(enum.StrEnum):
    """What a person is on an app and environment; each role may do all that the one before it may."""

    VIEWER = "viewer"
    DEPLOYER = "deployer"
    APPROVER = "approver"
    ADMIN = "admin"


EVERY = "*"
"""Every app, or every environment, in a grant."""


def place_name(app: str | None, environment: str | None) -> str:
    """`shop/production`, `every environment of shop`, `every app`, for people."""
    if app is None:
        return "at least one app"
    if app == EVERY:
        return "every app" if environment in {None, EVERY} else f"{environment} of every app"
    if environment is None:
        return app
    return f"every environment of {app}" if environment == EVERY else f"{app}/{environment}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sent a message, by ids that never change: a name is never an identity.

    `team` is the Slack enterprise and team, or empty; `user` the numeric or opaque user id.
    """

    platform: str
    user: str
    team: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """A human on the allowlist. `name` is what people type after @, unique, lower case."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A person's role on an app and environment; `*` stands for every one."""

    person: int
    role: Role
    app: str = "*"
    environment: str = "*"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a chat something is said. `id` of channel and thread are the platform's own."""

    platform: str
    channel: str
    thread: str = ""
    private: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A person's wish to take in a further identity: from where they asked, until when, and for which `other`.

    `other` is None until the code was typed with it. `agreed` says that the person who `other` was already says yes.
    """

    person: int
    identity: Identity
    place: Place
    until: float
    other: Identity | None = None
    agreed: bool = False


@dataclass(frozen=True, slots=True)
class Lock:
    """A person's hold on an environment. `until` is 0.0 where it has no end."""

    app: str
    environment: str
    person: int
    holder: str
    reason: str
    since: float
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One link of the audit's chain; `hash` covers everything else in it and `previous`."""

    number: int
    at: float
    actor: str
    action: str
    subject: str
    detail: str
    previous: str
    hash: str
