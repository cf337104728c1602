"""What happens in a run, drawn from a seed."""

from __future__ import annotations

import enum
import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.chaos.app import Kind, Site
from tests.chaos.points import Failpoint

T = TypeVar("T")
_ROLLBACKS = 0.12
_KINDS = {Kind.GOOD: 6, Kind.SICK: 2, Kind.BROKEN: 1}
_DEATHS = {0: 2, 1: 10, 2: 5, 3: 2}
_TROUBLED = 0.35
_CANCELLED = 0.2
_BY_POINT = 0.65
_TERMINATED = 0.1
_BUSY_SECONDS = 3.5
_RECOVERY_SECONDS = 2.0

POINTS = {
    "store.write": 24,
    "host.facts": 3,
    "host.upload": 1,
    "host.start": 4,
    "host.poll": 8,
    "host.wait": 5,
    "host.cancel": 1,
    "host.http_status": 3,
    "host.forget": 1,
    "refs.resolve": 1,
    "refs.changes": 1,
    "refs.bundle": 1,
}
"""The calls at which a bot is killed, and how often an ordinary deployment makes each."""


class Fault(enum.StrEnum):
    """What happens to the way to a server, or to the server."""

    CUT = "cut"
    STALL = "stall"
    SWALLOW = "swallow"
    SESSIONS = "sessions"
    SSHD = "sshd"
    REBOOT = "reboot"


_FAULTS = {Fault.CUT: 6, Fault.STALL: 4, Fault.SWALLOW: 3, Fault.SESSIONS: 4, Fault.SSHD: 2, Fault.REBOOT: 1}


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
    """A fault of a server or of the way to it: when, and how long, in seconds."""

    fault: Fault
    server: str
    after: float
    lasts: float

    def __str__(self) -> str:
        return f"{self.fault} {self.server} at {self.after:.1f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A run: what is asked for, how the bot dies, what else goes wrong, and when it is cancelled (0.0: never)."""

    site: Site
    kind: Kind
    rollback: bool
    deaths: tuple[Death, ...]
    troubles: tuple[Trouble, ...]
    cancel_after: float

    def __str__(self) -> str:
        what = "rollback" if self.rollback else self.kind.value
        words = [f"{self.site.app}/{self.site.environment} {what}", *map(str, self.deaths), *map(str, self.troubles)]
        if self.cancel_after:
            words.append(f"cancelled at {self.cancel_after:.1f} s")
        return ", ".join(words)


def draw(dice: random.Random, sites: Sequence[Site]) -> Scenario:
    """A run in which at least one thing goes wrong."""
    site = dice.choice(sites)
    deaths = tuple(_death(dice, first=at == 0) for at in range(_one_of(dice, _DEATHS)))
    troubles = (_trouble(dice, site),) if dice.random() < _TROUBLED or not deaths else ()
    return Scenario(
        site=site,
        kind=_one_of(dice, _KINDS),
        rollback=dice.random() < _ROLLBACKS,
        deaths=deaths,
        troubles=troubles,
        cancel_after=dice.uniform(0.1, _BUSY_SECONDS) if dice.random() < _CANCELLED else 0.0,
    )


def _death(dice: random.Random, *, first: bool) -> Death:
    rest = dice.choice((0.0, 0.0, dice.uniform(0.0, 2.0)))
    if dice.random() < _BY_POINT:
        return Death(point=_point(dice, first=first), rest=rest)
    how = signal.SIGTERM if dice.random() < _TERMINATED else signal.SIGKILL
    return Death(after=dice.uniform(0.02, _BUSY_SECONDS if first else _RECOVERY_SECONDS), how=how, rest=rest)


def _point(dice: random.Random, *, first: bool) -> Failpoint:
    """A call out of those that a deployment makes; while one is taken up again, out of the first of them."""
    calls = {name: count if first else (count + 2) // 3 for name, count in POINTS.items()}
    name = _one_of(dice, calls)
    moments = ("before", "within", "after") if name == "store.write" else ("before", "after")
    return Failpoint(name, dice.choice(moments), dice.randint(1, calls[name]))


def _trouble(dice: random.Random, site: Site) -> Trouble:
    return Trouble(
        fault=_one_of(dice, _FAULTS),
        server=dice.choice(site.servers),
        after=dice.uniform(0.05, _BUSY_SECONDS),
        lasts=dice.uniform(0.2, 3.0),
    )


def _one_of(dice: random.Random, weights: dict[T, int]) -> T:
    return dice.choices([*weights], [*weights.values()])[0]


def undisturbed(site: Site) -> Scenario:
    """A good release, and nothing goes wrong."""
    return Scenario(site=site, kind=Kind.GOOD, rollback=False, deaths=(), troubles=(), cancel_after=0.0)
