"""Permissions: people, their accounts, roles and grants."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field

_CHANNEL = re.compile(r"(?P<chat>[a-z][a-z0-9_-]*)(?::(?P<channel>[^\s:/]+)(?:/(?P<thread>[^\s:/]+))?)?", re.ASCII)


class Action(enum.StrEnum):
    """The permission that a command needs. Every command declares exactly one."""

    ANYONE = "anyone"
    VIEW = "view"
    DEPLOY = "deploy"
    APPROVE = "approve"
    ADMIN = "admin"


class Role(enum.StrEnum):
    """A person's role on an app and environment. Each role includes all permissions of the one before it."""

    VIEWER = "viewer"
    DEPLOYER = "deployer"
    APPROVER = "approver"
    ADMIN = "admin"


EVERY = "*"
"""Matches every app, or every environment, in a grant."""


def target_name(app: str | None, environment: str | None) -> str:
    """Return a name for people: `shop/production`, `every environment of shop` or `every app`."""
    if app is None:
        return "at least one app"
    if app == EVERY:
        return "every app" if environment in {None, EVERY} else f"{environment} of every app"
    if environment is None:
        return app
    return f"every environment of {app}" if environment == EVERY else f"{app}/{environment}"


@dataclass(frozen=True, slots=True)
class Identity:
    """The sender of a message, by ids that never change. A name is never an identity.

    `team` is the Slack enterprise and team, or empty. `user` is the numeric or opaque user id.
    """

    platform: str
    user: str
    team: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """A human on the allowlist. `name` is typed after @; it is unique and in lower case."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A person's role on an app and environment; `*` means every one.

    `until` is when it expires, 0.0 for never. `since` and `by` are when it was granted and by whom. `after` is the
    number of the newest deployment at that moment: the grant does not count for requests up to that number. All three
    are empty for grants from versions that did not store them.
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
    """An identity that belongs to a person. `since`, `by` and `after` are as in `Grant`.

    A `detached` account was removed: it has no rights until an admin gives it to a person again. `givers` are the ids
    of the people whom `by` names, as far as they are known.
    """

    identity: Identity
    person: int
    since: float = 0.0
    by: str = ""
    after: int = 0
    detached: bool = False
    givers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class GrantChange:
    """A grant or an additional account that one admin asked for and a second admin must confirm.

    `who` is the person as typed (`@ana`, `slack:T012/U345:ana`). `role` is None if only an account is added. `seconds`
    is how long the role lasts after the confirmation, 0.0 for no end. `proposer` is the admin who asked.
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
        """The name that people type, such as `grant-3`."""
        return f"grant-{self.number}"


@dataclass(frozen=True, slots=True)
class Channel:
    """A chat channel and its thread. `id` and `thread` are the platform's own ids."""

    platform: str
    id: str
    thread: str = ""
    private: bool = False

    @classmethod
    def read(cls, text: str) -> Channel:
        """Parse a channel as people write it: `CHAT:ID`, `CHAT:ID/THREAD`, or the name of a chat with one channel.

        Raises ValueError for any other form. Whether the chat exists and has such ids is for the caller to check.
        """
        match = _CHANNEL.fullmatch(text)
        if match is None:
            raise ValueError("should be a chat and the id of a channel in it")
        return cls(match["chat"], match["channel"] or match["chat"], match["thread"] or "")

    def __str__(self) -> str:
        """Return the channel as people write it: `slack:C0123456789`, `telegram:-1001234567890/45`, `console`."""
        thread = f"/{self.thread}" if self.thread else ""
        return self.platform if self.id == self.platform else f"{self.platform}:{self.id}{thread}"


@dataclass(frozen=True, slots=True)
class AccountLink:
    """A person's request to link another account: where they asked, when it expires, and the `other` identity.

    `other` is None until the code was typed from that account. `agreed` is True once the person to whom `other`
    belonged has agreed.
    """

    person: int
    identity: Identity
    channel: Channel
    until: float
    other: Identity | None = None
    agreed: bool = False


@dataclass(frozen=True, slots=True)
class Freeze:
    """A person's freeze of an environment: nothing new is deployed there before `until`, by anybody."""

    app: str
    environment: str
    person: int
    holder: str
    reason: str
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Lock:
    """A person's lock on an environment. `until` is 0.0 if it has no end, `reminded` before its first reminder."""

    app: str
    environment: str
    person: int
    holder: str
    reason: str
    since: float
    until: float = 0.0
    reminded: float = 0.0


@dataclass(frozen=True, slots=True)
class Taken:
    """The grants and accounts that a person lost."""

    person: Person
    grants: int
    accounts: tuple[Identity, ...] = ()
