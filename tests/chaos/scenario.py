"""What happens in a run, drawn from a seed."""

from __future__ import annotations

import dataclasses
import enum
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.chaos.app import Kind, Site
from tests.chaos.points import Failpoint

T = TypeVar("T")
_ROLLBACKS = 0.1
_KINDS = {Kind.GOOD: 6, Kind.SICK: 2, Kind.HALF: 2, Kind.BROKEN: 1}
_DEATHS = {0: 1, 1: 10, 2: 6, 3: 2}
_TROUBLED = 0.35
_CANCELLED = 0.2
_FOLLOWED = 0.12
_BY_POINT = 0.65
_TERMINATED = 0.1
_RECOVERY_SECONDS = 2.0
_REST_SECONDS = 2.0
_LONG_SECONDS = 22.0

_CALLS = {
    "store.write": 20,
    "host.facts": 2,
    "host.upload": 1,
    "host.start": 4,
    "host.poll": 8,
    "host.wait": 4,
    "host.cancel": 1,
    "host.http_status": 2,
    "host.forget": 1,
    "refs.resolve": 1,
    "refs.changes": 1,
    "refs.bundle": 1,
}
"""The calls at which a bot is killed, and how often a good deployment to one server makes each."""
_SHARES = {Kind.GOOD: 1.0, Kind.BROKEN: 0.7, Kind.SICK: 1.3, Kind.HALF: 1.4}
"""How many more or fewer calls the others make."""
_SECONDS = {Kind.GOOD: 2.5, Kind.BROKEN: 1.5, Kind.SICK: 6.0, Kind.HALF: 7.0}
"""How long they take."""


class Fault(enum.StrEnum):
    """What happens to the way to a server, to the server, or (`runner`) to what looks after a job there."""

    CUT = "cut"
    STALL = "stall"
    SWALLOW = "swallow"
    SILENCE = "silence"
    SESSIONS = "sessions"
    SSHD = "sshd"
    REBOOT = "reboot"
    RUNNER = "runner"

    @property
    def of_link(self) -> bool:
        """Whether jobs on the server know nothing of it."""
        return self not in {Fault.REBOOT, Fault.RUNNER}


_FAULTS = {
    Fault.CUT: 10,
    Fault.STALL: 8,
    Fault.SWALLOW: 6,
    Fault.SILENCE: 1,
    Fault.SESSIONS: 8,
    Fault.SSHD: 4,
    Fault.REBOOT: 2,
    Fault.RUNNER: 3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """How a life of the bot ends: at a failpoint, or by a signal `after` so many seconds; then it rests."""

    point: Failpoint | None = None
    after: float = 0.0
    how: signal.Signals = signal.SIGKILL
    rest: float = 0.0

    def __str__(self) -> str:
        return str(self.point) if self.point else f"{self.how.name} at {self.after:.1f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A fault of a server or of the way to it: when (in seconds, or as the bot makes a call), and for how long."""

    fault: Fault
    server: str
    after: float = 0.0
    point: Failpoint | None = None
    lasts: float

    def __str__(self) -> str:
        return f"{self.fault} {self.server} {self.point or f'at {self.after:.1f} s'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A run: what is asked for, how the bot dies, what else goes wrong, when it is cancelled (0.0: never).

    `followed` says that a good release of the same site is asked for right after, and has to wait.
    """

    site: Site
    kind: Kind = Kind.GOOD
    rollback: bool = False
    deaths: tuple[Death, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    cancel_after: float = 0.0
    followed: bool = False

    def __str__(self) -> str:
        what = "rollback" if self.rollback else self.kind.value
        words = [f"{self.site.app}/{self.site.environment} {what}", *map(str, self.deaths), *map(str, self.troubles)]
        if self.cancel_after:
            words.append(f"cancelled at {self.cancel_after:.1f} s")
        return ", ".join(words) + (", and another one" if self.followed else "")

    def without_rollback(self) -> Scenario:
        """The same, where there is nothing to go back to yet."""
        return dataclasses.replace(self, rollback=False)


def draw(dice: random.Random, sites: Sequence[Site]) -> Scenario:
    """A run in which at least one thing goes wrong."""
    site = dice.choice(sites)
    kind = _one_of(dice, _KINDS)
    rollback = dice.random() < _ROLLBACKS
    kind = Kind.GOOD if rollback or (kind is Kind.HALF and len(site.servers) == 1) else kind
    several = 1.0 if len(site.servers) == 1 else 1.5
    share, seconds = _SHARES[kind] * several * (0.6 if rollback else 1.0), _SECONDS[kind] * several
    first = _Range({name: max(round(count * share), 1) for name, count in _CALLS.items()}, seconds)
    later = _Range({name: (count + 2) // 3 for name, count in first.calls.items()}, _RECOVERY_SECONDS)
    deaths = tuple(_death(dice, later if at else first) for at in range(_one_of(dice, _DEATHS)))
    trouble = _trouble(dice, site, first) if dice.random() < _TROUBLED or not deaths else None
    return Scenario(
        site=site,
        kind=kind,
        rollback=rollback,
        deaths=deaths,
        troubles=(trouble,) if trouble else (),
        cancel_after=dice.uniform(0.1, seconds) if dice.random() < _CANCELLED else 0.0,
        followed=dice.random() < _FOLLOWED and (trouble is None or trouble.fault.of_link),
    )


@dataclass(frozen=True, slots=True)
class _Range:
    """How many calls a life of the bot makes, by name, and how many seconds it is busy."""

    calls: dict[str, int]
    seconds: float


def _death(dice: random.Random, range_: _Range) -> Death:
    rest = dice.choice((0.0, 0.0, dice.uniform(0.0, _REST_SECONDS)))
    if dice.random() < _BY_POINT:
        return Death(point=_point(dice, range_.calls), rest=rest)
    how = signal.SIGTERM if dice.random() < _TERMINATED else signal.SIGKILL
    return Death(after=dice.uniform(0.02, range_.seconds), how=how, rest=rest)


def _trouble(dice: random.Random, site: Site, range_: _Range) -> Trouble:
    fault = _one_of(dice, _FAULTS)
    remote = {name: count for name, count in range_.calls.items() if name.startswith("host.")}
    by_point = dice.random() < _BY_POINT
    return Trouble(
        fault=fault,
        server=dice.choice(site.servers),
        after=0.0 if by_point else dice.uniform(0.05, range_.seconds),
        point=_point(dice, remote) if by_point else None,
        lasts=_LONG_SECONDS if fault is Fault.SILENCE else dice.uniform(0.2, 3.0),
    )


def _point(dice: random.Random, calls: dict[str, int]) -> Failpoint:
    name = _one_of(dice, calls)
    moments = ("before", "within", "after") if name == "store.write" else ("before", "after")
    return Failpoint(name, dice.choice(moments), dice.randint(1, calls[name]))


def _one_of(dice: random.Random, weights: dict[T, int]) -> T:
    return dice.choices([*weights], [*weights.values()])[0]


def undisturbed(site: Site) -> Scenario:
    """A good release, and nothing goes wrong."""
    return Scenario(site=site)
