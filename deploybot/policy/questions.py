"""What the policy is asked, and what it answers."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from math import inf

from deploybot.domain import EVERY, Action, Grant, Lock, Origin, Person, Role, place_name

_CHANGES_NO_RELEASE = frozenset({"lock", "unlock", "cancel"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedAction:
    """What bot.toml asks for in an environment: how many approvals, from which role, and if any, from which names."""

    count: int
    role: Role = Role.APPROVER
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """`2 approvals by @ana, @ben or @cem`, `1 approval by an approver`."""
        *first, last = [f"@{name}" for name in self.names] or [f"an {self.role}"]
        who = f"{', '.join(first)} or {last}" if first else last
        return f"{self.count} approval{'' if self.count == 1 else 's'} by {who}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedBy:
    """A request for approvals: who asked, and who has approved, as ids of persons.

    `brought` are those who brought it about where nobody asked: whose push it was, say. `unknown` says what is not
    known about that, and is empty otherwise: then one approval more is needed. `authors` wrote the change, where
    bot.toml wants somebody else among the approvers. `number` is the deployment's, which tells what came after it;
    0 where that does not matter.
    """

    requester: int
    approved: tuple[int, ...] = ()
    brought: tuple[int, ...] = ()
    unknown: str = ""
    authors: tuple[int, ...] = ()
    number: int = 0

    def is_before(self, after: int) -> bool:
        """Whether the request was made before what came `after` that deployment, such as a grant."""
        return 0 < self.number <= after


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What `after` asks for: that a release is healthy in the environment named here.

    `release` is for people, `id` tells it from others and is empty where it is not known yet. `there` are server,
    release, its id and whether it came up healthy, for each server of that environment. `been_here` says that the
    release has run well in the place that is asked about.
    """

    environment: str
    release: str = ""
    id: str = ""
    there: tuple[tuple[str, str, str, bool], ...] = ()
    been_here: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """Which commits a place takes: on one of `refs`, as people write them, and `signed`.

    `origin` is what the repository says of the commit that is asked about, None where it was not asked yet.
    """

    refs: tuple[str, ...] = ()
    signed: bool = False
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyQuestion:
    """Whether a person may do something in a place.

    `app` and `environment` are names, `*` for every one, or None for “at least one of them”. `grants` and
    `people` are everybody's. `lock` is the person's lock that holds there now. `wanted` are the approvals that the
    place asks for, `asked` the request that the question is about. `begins` is True where a deployment is about to
    begin: then what it still lacks is a no. `allowed` limits commits, None takes every one. `glass` is True where who
    asks wants to break the glass. `auto` tells what is deployed in the place by itself, in words; `itself`
    is True where who asks is the bot, whose grants are those of bot.toml's `auto`. `now` decides which grants have
    ended: without it, all that have an end. `account` is the deployment after which the person got the account that
    they speak by. `proposer` asked for the grant that is to be confirmed, 0 where there is none.
    """

    person: Person | None
    action: Action
    command: str
    app: str | None = None
    environment: str | None = None
    grants: tuple[Grant, ...] = ()
    people: tuple[Person, ...] = ()
    lock: Lock | None = None
    wanted: WantedAction | None = None
    asked: AskedBy | None = None
    before: Before | None = None
    allowed: Allowed | None = None
    begins: bool = False
    glass: bool = False
    auto: str = ""
    itself: bool = False
    now: float = inf
    account: int = 0
    proposer: int = 0

    @property
    def place(self) -> str:
        """`shop/production`, for people."""
        return place_name(self.app, self.environment)

    @property
    def is_one_place(self) -> bool:
        """Whether it is about one environment, whose rules bot.toml holds."""
        return self.app not in {None, EVERY} and self.environment not in {None, EVERY}

    @property
    def changes_release(self) -> bool:
        """Whether it is about bringing something to run."""
        return self.action is Action.DEPLOY and self.command not in _CHANGES_NO_RELEASE


class Voice(enum.StrEnum):
    """What a rule says: yes; not in the way; no."""

    ALLOWS = "allows"
    PASSES = "passes"
    REFUSES = "refuses"


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """What one rule says.

    `held` marks a refusal that a lock is the reason of, `waits` one that approvals can end, `broken` one that break
    glass has passed.
    """

    voice: Voice
    reason: str
    held: bool = False
    waits: bool = False
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer: the sentences of the rules that decided, and on a no who could (names).

    `held` is True when nothing but a lock stands in the way, `waits` when nothing but missing approvals do.
    """

    allowed: bool
    reasons: tuple[str, ...]
    who_may: tuple[str, ...] = ()
    held: bool = False
    waits: bool = False
