"""Questions to the policy, and its answers."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from math import inf

from deploybot.domain import EVERY, Action, Freeze, Grant, Lock, Origin, Person, Role, target_name
from deploybot.policy.rollback_rules import RollbackTerms

_CHANGES_NO_RELEASE = frozenset({"lock", "unlock", "freeze", "unfreeze", "cancel", "veto"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedAction:
    """The approvals that bot.toml requires for an environment: how many, by which role, and optionally by whom."""

    count: int
    role: Role = Role.APPROVER
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return `2 approvals by @ana, @ben or @cem`, `1 approval by an approver`."""
        *first, last = [f"@{name}" for name in self.names] or [f"an {self.role}"]
        who = f"{', '.join(first)} or {last}" if first else last
        return f"{self.count} approval{'' if self.count == 1 else 's'} by {who}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingRequest:
    """A request for approvals: who requested it, and who has approved, as ids of people.

    `originators` are the people who caused an automatic request, such as those who pushed.
    `givers` are the people who gave the originators their accounts after the request was triggered.
    `unknown` says what is not known about its cause. If it is not empty, one more approval is needed.
    `authors` wrote the change, if bot.toml requires an approver who did not.
    `number` is the deployment's number, used to see what came after it; 0 if that does not matter.
    `since` is when an automatic request was triggered, which may be long before it has a number; 0.0 for people's.
    """

    requester: int
    approved: tuple[int, ...] = ()
    originators: tuple[int, ...] = ()
    givers: tuple[int, ...] = ()
    unknown: str = ""
    authors: tuple[int, ...] = ()
    number: int = 0
    since: float = 0.0

    def is_before(self, after: int, since: float = 0.0) -> bool:
        """Return whether the request is older than a grant or account of time `since`, after deployment `after`."""
        return 0 < self.number <= after or 0.0 < self.since <= since


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The environment named by `after`, in which the release must be healthy first.

    `release` is its label for people, `id` its id, empty if not yet known. `there` holds server, release, its id and
    whether it came up healthy, for each server of that environment. `been_here` means that the release has already run
    well in the target of the question.
    """

    environment: str
    release: str = ""
    id: str = ""
    there: tuple[tuple[str, str, str, bool], ...] = ()
    been_here: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """The commits that a target accepts: on one of `refs` (patterns as in bot.toml), and `signed`.

    `origin` is what the repository reports about the commit in question, None if it was not asked yet.
    """

    refs: tuple[str, ...] = ()
    signed: bool = False
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ActiveFreeze:
    """A freeze that is on, or `later`, when a deployment would start.

    `text` says until when and why; `until` is Unix time, `inf` if it has no end.
    """

    until: float
    text: str
    later: bool = False

    def sentence(self, target: str) -> str:
        """Return a sentence without its full stop, for people."""
        return f"{target} {'will be frozen then,' if self.later else 'is frozen'} {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyQuestion:
    """The question whether a person may do something in a target.

    `app` and `environment` are names, `*` for all, or None for at least one of them.
    `grants` and `people` are everybody's.
    `lock` is the lock that a person holds on the target now.
    `freeze` is the freeze that a person made of the target, `frozen` what freezes it when a deployment would start, by
    a person or by bot.toml, and `freeze_windows` when bot.toml does, for people. `ran_here` is False for a release that
    has not run well there; it counts only in a freeze.
    `wanted` are the approvals that the target requires, `request` is the request in question. `rollback` is set for a
    rollback in a target that requires another number for it.
    `before` is the environment that must run the release first, None if there is none.
    `allowed` limits commits; None accepts all of them.
    `begins` is True if a deployment is about to start: then missing approvals refuse it.
    `glass` is True if the person wants to break the glass.
    `auto` describes what is deployed to the target automatically.
    `itself` is True if the bot asks; its grants are those of `auto` in bot.toml.
    `now` decides which grants have expired; without it, every grant with an end has.
    `account` is the number of the last deployment before the person got the account that they use, `account_since`
    when they got it.
    `proposer` is the id of the person who requested the grant to confirm, 0 if there is none.
    `gives_until` is when the role ends that the person gives or confirms: `inf` for never, and for an account on its
    own. It is None if nothing is given.
    """

    person: Person | None
    action: Action
    command: str
    app: str | None = None
    environment: str | None = None
    grants: tuple[Grant, ...] = ()
    people: tuple[Person, ...] = ()
    lock: Lock | None = None
    freeze: Freeze | None = None
    frozen: ActiveFreeze | None = None
    ran_here: bool = True
    freeze_windows: str = ""
    wanted: WantedAction | None = None
    rollback: RollbackTerms | None = None
    request: PendingRequest | None = None
    before: Before | None = None
    allowed: Allowed | None = None
    begins: bool = False
    glass: bool = False
    auto: str = ""
    itself: bool = False
    now: float = inf
    account: int = 0
    account_since: float = 0.0
    proposer: int = 0
    gives_until: float | None = None

    @property
    def target(self) -> str:
        """Return `shop/production`, for people."""
        return target_name(self.app, self.environment)

    @property
    def is_one_target(self) -> bool:
        """Return whether it is about exactly one environment, whose rules bot.toml holds."""
        return self.app not in {None, EVERY} and self.environment not in {None, EVERY}

    @property
    def waits_for_thaw(self) -> bool:
        """Return whether it may wait for a freeze: that has an end, and no lock is in the way."""
        return self.frozen is not None and self.frozen.until < inf and self.lock is None

    @property
    def changes_release(self) -> bool:
        """Return whether it would deploy or run something."""
        return self.action is Action.DEPLOY and self.command not in _CHANGES_NO_RELEASE


class Voice(enum.StrEnum):
    """The verdict of a rule: yes, no objection, or no."""

    ALLOWS = "allows"
    PASSES = "passes"
    REFUSES = "refuses"


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """The verdict and the reason of one rule.

    `held` marks a refusal because of a lock, `frozen` one because of a freeze, `waits` one that approvals can lift, and
    `broken` one that break glass has overridden.
    """

    voice: Voice
    reason: str
    held: bool = False
    frozen: bool = False
    waits: bool = False
    broken: bool = False


def refuses(reason: str) -> RuleFinding:
    """Return a no."""
    return RuleFinding(Voice.REFUSES, reason)


def passes(reason: str) -> RuleFinding:
    """Return that a rule has no objection."""
    return RuleFinding(Voice.PASSES, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer: the sentences of the rules that decided and, on a no, the names of people who may.

    `held` is True if only a lock is in the way, `waits` if only missing approvals are. `frozen` is True if a freeze is
    in the way, and nothing else but a lock or missing approvals.
    """

    allowed: bool
    reasons: tuple[str, ...]
    who_may: tuple[str, ...] = ()
    held: bool = False
    frozen: bool = False
    waits: bool = False
