"""Tables of people: the allowlist, and the codes that prove who they are."""

from __future__ import annotations

from typing import Protocol

from deploybot.domain import Account, AccountLink, Grant, GrantChange, Identity, Person, Role


class People(Protocol):
    """The allowlist: people, their identities and their grants."""

    def of(self, identity: Identity) -> Person | None:
        """Return the person to whom an identity belongs; None if it is unknown."""

    def named(self, name: str) -> Person | None:
        """Return the person with that name; None if there is none."""

    def everybody(self) -> tuple[Person, ...]:
        """Return all people, by name."""

    def add(
        self,
        name: str,
        identity: Identity | None = None,
        *,
        by: str = "",
        givers: tuple[int, ...] = (),
        now: float = 0.0,
    ) -> Person:
        """Create a person; `by` and `givers` are as in `link`. Raises UserError if name or identity are taken."""

    def rename(self, person: int, name: str) -> None:
        """Rename a person. Raises UserError if the name is taken, or for the bot itself. Past records do not change."""

    def link(
        self, person: int, identity: Identity, *, by: str = "", givers: tuple[int, ...] = (), now: float = 0.0
    ) -> None:
        """Add an identity to a person, also a detached one. Raises UserError if another person has it.

        `by` names who gives it, and `givers` are the ids of these people, if they are people.
        """

    def identities(self, person: int) -> tuple[Identity, ...]:
        """Return a person's identities."""

    def account(self, identity: Identity) -> Account | None:
        """Return the account of an identity, also a detached one; None if the identity is unknown."""

    def accounts(self) -> tuple[Account, ...]:
        """Return the accounts of all people, without detached ones."""

    def detach(self, identity: Identity) -> bool:
        """Remove an identity from its person; False if it has none. Raises UserError for the last admin's last one."""

    def grants(self, person: int | None = None) -> tuple[Grant, ...]:
        """Return the grants of one person, or of all people; also expired grants that are not removed yet."""

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

        A grant without an end replaces all earlier ones there. A grant with an end is added to the one without.
        """

    def end_grants(self, now: float) -> tuple[Grant, ...]:
        """Remove the expired grants and return them."""

    def revoke(self, person: int, app: str | None = None, environment: str | None = None) -> int:
        """Remove a person's grants: all, an app's, or one. Return how many. Raises UserError for the last admin."""

    def merge(self, person: int, into: Person) -> None:
        """Merge `person` into another one, who gets all they have. Of two roles for one target, the higher stays."""


class Claims(Protocol):
    """The one-time code that makes the first administrator. Only its hash is stored."""

    def issue(self, code: str, until: float) -> None:
        """Replace any earlier code with this one."""

    def consume(self, code: str, now: float) -> bool:
        """Return True once for the right code in time. A wrong code changes nothing; `LinkCodeTable.fail` counts it."""


class LinkCodeTable(Protocol):
    """One-time codes with which people link their identities, one at a time per person. Only hashes are stored."""

    def issue(self, link: AccountLink, code: str) -> None:
        """Replace the person's earlier code with this one."""

    def take(self, code: str, other: Identity, now: float) -> AccountLink | None:
        """Use up a code for another identity and return its link, once; None if the code is wrong, used or expired."""

    def get(self, person: int, now: float) -> AccountLink | None:
        """Return a person's link that waits for its code or its confirmation."""

    def typed(self, other: Identity, now: float) -> AccountLink | None:
        """Return the newest link whose code was typed from this identity and is not agreed to."""

    def agree(self, link: AccountLink) -> None:
        """Record that the person who typed the code of a link agrees."""

    def end(self, person: int) -> None:
        """Delete a person's link."""

    def fail(self, identity: Identity, now: float) -> None:
        """Count a wrong code. The fifth in a row blocks this identity's tries for 15 minutes."""

    def paused(self, identity: Identity, now: float) -> bool:
        """Return whether this identity has typed too many wrong codes."""


class GrantChanges(Protocol):
    """Grant changes that wait for a second admin."""

    def add(self, change: GrantChange) -> GrantChange:
        """Store a new grant change and give it its number."""

    def get(self, number: int, now: float) -> GrantChange | None:
        """Return a grant change that still waits; otherwise None."""

    def remove(self, number: int) -> None:
        """Delete a grant change that was confirmed or refused."""


class Codes(Protocol):
    """The use of one-time codes. Their secrets are not stored here."""

    def use(self, person: int, step: int) -> bool:
        """Use up the code of a time step. Return True if it is later than all used ones."""

    def fail(self, person: int, now: float) -> None:
        """Count a wrong code. The fifth in a row blocks all further tries for 15 minutes."""

    def paused(self, person: int, now: float) -> float:
        """Return the time until which no code is accepted; 0.0 if codes are accepted."""
