"""Requests that wait for approvals, and the decisions on them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from deploybot.domain.person import Identity
from deploybot.domain.release import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What an approval is bound to, as it was when the request was made. `digest` (SHA-256, hex) covers all of it.

    `ref` is the ref that was typed (empty: the newest of the branch), None if none was typed. `release` is what it
    means, without its description; None if it means nothing any more. `config` has dotted keys of bot.toml with their
    values as text; a secret is shown by its source. `replaces` (release ids) and `steps` are by server. Each step list
    is the SHA-256 (hex) of everything the steps would do. `origin` is `Origin.parts`.
    """

    ref: str | None
    release: Release | None
    config: tuple[tuple[str, str], ...]
    replaces: tuple[tuple[str, str], ...]
    steps: tuple[tuple[str, str], ...]
    digest: str = ""
    origin: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's approval of a request. `counts` becomes False when the person has lost the right to approve.

    `account` is the one that they approved from, None for approvals from before the bot stored it.
    """

    person: int
    name: str
    at: float
    counts: bool = True
    account: Identity | None = None


class RequestVerdict(enum.StrEnum):
    """How a request ended without a deployment. `NONE` while it is open, and if it was started or cancelled."""

    NONE = ""
    REJECTED = "rejected"
    VOID = "void"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A deployment that other people must approve.

    It needs `wanted` approvals from `approvers`: a role, or names such as `@ana`. `code` is True if each approval needs
    a one-time code. `compare` is the URL of a page with the changes, or empty. `note` is the last thing that went wrong
    with an approval. `more` is the reason for one approval more than `wanted`, or empty. `missing` is how many
    approvals were still needed at the last count; None before the first.
    """

    deployment: int
    binding: Binding
    wanted: int
    approvers: tuple[str, ...]
    expires: float
    remind_at: float
    code: bool = False
    compare: str = ""
    reminded: bool = False
    verdict: RequestVerdict = RequestVerdict.NONE
    note: str = ""
    more: str = ""
    missing: int | None = field(default=None, compare=False)
    approvals: tuple[Approval, ...] = ()

    @property
    def needs(self) -> int:
        """The total number of approvals that the request needs."""
        return self.wanted + bool(self.more)

    @property
    def lacks(self) -> int:
        """The number of approvals that are still missing."""
        if self.missing is not None:
            return self.missing
        return max(self.needs - sum(one.counts for one in self.approvals), 0)
