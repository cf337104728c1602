"""Who may do what, and where: people, their accounts, roles and grants."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


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
    """A person's role on an app and environment; `*` stands for every one.

    `until` is when it ends, 0.0 where it has no end. `since` and `by` say who gave it, and when. `after` is the number
    of the newest deployment at that moment: the grant counts for no request up to that number. Both are empty for
    grants of versions that did not keep them.
    """

    person: int
    role: Role
    app: str = "*"
    environment: str = "*"
    until: float = 0.0
    since: float = field(default=0.0, compare=False)
    by: str = field(default="", compare=False)
    after: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Account:
    """An identity of a person: since when, by whom, and after which deployment, as in `Grant`.

    A `detached` one was taken away: nobody speaks by it until an admin gives it to somebody again.
    """

    identity: Identity
    person: int
    since: float = 0.0
    by: str = ""
    after: int = 0
    detached: bool = False


@dataclass(frozen=True, slots=True)
class GrantChange:
    """A grant, or a further account, that one admin asked for and a second one has to confirm.

    `who` is a person as they were typed (`@ana`, `slack:T012/U345:ana`). `role` is None where only an account is
    given. `seconds` is how long the role lasts from the confirmation on, 0.0 for no end. `proposer` asked for it.
    """

    number: int
    who: str
    role: Role | None
    app: str
    environment: str
    seconds: float
    proposer: int
    proposer_name: str
    made: float
    expires: float

    @property
    def name(self) -> str:
        """What people type: `grant-3`."""
        return f"grant-{self.number}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a chat something is said. `id` of channel and thread are the platform's own."""

    platform: str
    channel: str
    thread: str = ""
    private: bool = False


@dataclass(frozen=True, slots=True)
class AccountLink:
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
