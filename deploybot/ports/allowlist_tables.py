"""The rows of people: the allowlist, and the codes by which somebody shows who they are."""

from __future__ import annotations

from typing import Protocol

from deploybot.domain import Account, AccountLink, Grant, GrantChange, Identity, Person, Role


class People(Protocol):
    """The allowlist: persons, their identities and their grants."""

    def of(self, identity: Identity) -> Person | None:
        """Whose identity this is; None for a stranger."""

    def named(self, name: str) -> Person | None:
        """The person of that name."""

    def everybody(self) -> tuple[Person, ...]:
        """All persons, by name."""

    def add(self, name: str, identity: Identity | None = None, *, by: str = "", now: float = 0.0) -> Person:
        """Make a person; UserError when the name or the identity is taken."""

    def rename(self, person: int, name: str) -> None:
        """Give a person another name; UserError when it is taken, or the person is the bot itself. The past stays."""

    def link(self, person: int, identity: Identity, *, by: str = "", now: float = 0.0) -> None:
        """Give a person a further identity, also one that was detached; UserError when somebody has it."""

    def identities(self, person: int) -> tuple[Identity, ...]:
        """A person's identities."""

    def account(self, identity: Identity) -> Account | None:
        """An identity's account, also a detached one; None for a stranger."""

    def accounts(self) -> tuple[Account, ...]:
        """Everybody's accounts, without detached ones."""

    def detach(self, identity: Identity) -> bool:
        """Take an identity from its person; False where nobody has it. The last admin keeps one: UserError."""

    def grants(self, person: int | None = None) -> tuple[Grant, ...]:
        """The grants of one person, or of everybody; also those whose time is over and that are not removed yet."""

    def grant(
        self,
        person: int,
        role: Role,
        app: str = "*",
        environment: str = "*",
        *,
        by: str = "",
        now: float = 0.0,
        until: float = 0.0,
    ) -> None:
        """Set a person's role on an app and environment.

        One without an end replaces all that were there; one with an end stands beside the one without.
        """

    def end_grants(self, now: float) -> tuple[Grant, ...]:
        """Remove the grants whose time is over; which they were."""

    def revoke(self, person: int, app: str | None = None, environment: str | None = None) -> int:
        """Take grants away: all, an app's, or one; how many went. The last admin of all stays: UserError."""

    def merge(self, person: int, into: Person) -> None:
        """Make two persons one: all that was one's is the other's. Of two roles for a place the higher one stays."""


class Claims(Protocol):
    """The one-time code by which the first administrator is made. Only its hash is kept."""

    def issue(self, code: str, until: float) -> None:
        """Replace any earlier code by this one."""

    def consume(self, code: str, now: float) -> bool:
        """True once for the right code in time. A wrong try changes nothing: `Links.fail` counts it for its account."""


class LinkCodeTable(Protocol):
    """One-time codes by which people link their identities, one at a time for each. Only hashes are kept."""

    def issue(self, link: AccountLink, code: str) -> None:
        """Replace the person's earlier code by this one."""

    def take(self, code: str, other: Identity, now: float) -> AccountLink | None:
        """Use a code up for another identity: its link, once; None for a code that is wrong, used, or too old."""

    def get(self, person: int, now: float) -> AccountLink | None:
        """A person's link that waits for its confirmation or its code."""

    def typed(self, other: Identity, now: float) -> AccountLink | None:
        """The link whose code somebody has typed last, and has not agreed to."""

    def agree(self, link: AccountLink) -> None:
        """Note that who typed the code of a link says yes."""

    def end(self, person: int) -> None:
        """Forget a person's link."""

    def fail(self, identity: Identity, now: float) -> None:
        """Count a wrong code of somebody; the fifth in a row stops their tries for a quarter of an hour."""

    def paused(self, identity: Identity, now: float) -> bool:
        """Whether somebody has tried too often."""


class GrantChanges(Protocol):
    """Changes of grants that wait for a second admin."""

    def add(self, change: GrantChange) -> GrantChange:
        """Keep a new one, and give it its number."""

    def get(self, number: int, now: float) -> GrantChange | None:
        """One that still waits; None for any other."""

    def remove(self, number: int) -> None:
        """Forget one that was confirmed or refused."""


class Codes(Protocol):
    """How people use their one-time codes: never what the codes are made of."""

    def use(self, person: int, step: int) -> bool:
        """Use up the code of a time step: True for one that is later than all that were used."""

    def fail(self, person: int, now: float) -> None:
        """Count a wrong code; the fifth in a row stops all further tries for a quarter of an hour."""

    def paused(self, person: int, now: float) -> float:
        """Until when no code is taken; 0.0 where codes are taken."""
