"""What waits for approvals, and what was decided."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from deploybot.domain.release import Pin


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What an approval is given for, as it was when it was asked for; `digest` (SHA-256, hex) covers all of it.

    `ref` is the ref that was typed (empty: the newest of the branch), None where nobody typed one and the release
    itself counts: its `commit` and its `images`. `config` are dotted keys of bot.toml with their values as text,
    secrets by where they come from; `replaces` (ids of releases) and `steps` go by server, the steps with the
    SHA-256 (hex) of all that they would do. `origin` are `Origin.parts`.
    """

    ref: str | None
    commit: str
    config: tuple[tuple[str, str], ...]
    replaces: tuple[tuple[str, str], ...]
    steps: tuple[tuple[str, str], ...]
    images: tuple[Pin, ...] = ()
    digest: str = ""
    origin: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's yes to a request. `counts` turns False when their right to give it was found taken away."""

    person: int
    name: str
    at: float
    counts: bool = True


class RequestVerdict(enum.StrEnum):
    """How a request ended without being begun; `NONE` while it is open, and for one that was begun or cancelled."""

    NONE = ""
    REJECTED = "rejected"
    VOID = "void"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A deployment that other people have to approve.

    `wanted` approvals are asked for from `approvers`: a role, or names such as `@ana`. `code` says whether each
    needs a one-time code. `compare` is a page that shows what lies between, or empty. `note` is the last thing
    that went wrong with an approval. `more` says why one approval more than `wanted` is needed, or is empty. `missing`
    is how many approvals were still needed when they were counted last; None before that.
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
        """How many approvals it needs in all."""
        return self.wanted + bool(self.more)

    @property
    def lacks(self) -> int:
        """How many it still needs."""
        if self.missing is not None:
            return self.missing
        return max(self.needs - sum(one.counts for one in self.approvals), 0)
