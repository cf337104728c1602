"""Draws what happens in runs from a seed, or goes through every failpoint there is."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.chaos.app import Kind, Site
from tests.chaos.points import Failpoint
from tests.chaos.scenario import Action, Death, Fault, Freeze, Scenario, Trouble

T = TypeVar("T")
Choose = Callable[[int, Sequence[Site]], Scenario | None]
"""What happens in a run, by its number, counted from 1, at the sites that there are; None after the last."""
_ACTIONS = {Action.DEPLOY: 16, Action.ROLLBACK: 2, Action.RESTART: 1, Action.RUN: 1}
_KINDS = {Kind.GOOD: 6, Kind.SICK: 2, Kind.HALF: 2, Kind.BROKEN: 1}
_FADING = 0.25
"""How many of the releases that are watched get worse then."""
_DEATHS = {0: 1, 1: 10, 2: 6, 3: 2}
_TROUBLED = 0.35
_CANCELLED = 0.2
_FOLLOWED = 0.12
_FROZEN = 0.12
_FREEZE_SECONDS = 4.0
_BY_POINT = 0.65
_TERMINATED = 0.1
_RECOVERY_SECONDS = 2.0
_REST_SECONDS = 2.0
_LONG_SECONDS = 22.0
_CANCEL_AT = (0.7, 1.9)
_MARGIN = 1.15

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
_SHARES = {Kind.GOOD: 1.0, Kind.BROKEN: 0.7, Kind.SICK: 1.3, Kind.HALF: 1.4, Kind.FADING: 1.4}
"""How many more or fewer calls the others make."""
_OTHERS_SHARE = 0.5
_SECONDS = {Kind.GOOD: 2.5, Kind.BROKEN: 1.5, Kind.SICK: 9.0, Kind.HALF: 10.0, Kind.FADING: 25.0}
"""How long they take."""
_ROLLED_SHARE = 2.5
_ROLLED_SECONDS = 30.0
_WATCHED_CALLS = 700
"""How often a watch asks health checks, before the switch and after it."""
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


def by_chance(seed: str) -> Choose:
    """Runs in which anything may happen."""
    return lambda run, sites: draw(random.Random(f"{seed}/{run}"), sites)


def point_by_point(seed: str) -> Choose:
    """A run for each failpoint, in an order that the seed decides."""

    def choose(run: int, sites: Sequence[Site]) -> Scenario | None:
        scenarios = every(sites)
        random.Random(seed).shuffle(scenarios)
        return scenarios[run - 1] if run <= len(scenarios) else None

    return choose


def draw(dice: random.Random, sites: Sequence[Site]) -> Scenario:
    """A run in which at least one thing goes wrong."""
    site = dice.choice(sites)
    kind = _one_of(dice, _KINDS)
    action = _one_of(dice, _ACTIONS)
    kind = Kind.GOOD if action is not Action.DEPLOY or (kind is Kind.HALF and len(site.servers) == 1) else kind
    if site.rolled and action is Action.DEPLOY and dice.random() < _FADING:
        kind = Kind.FADING
    first = _range(site, kind, share=1.0 if action is Action.DEPLOY else _OTHERS_SHARE)
    later = _Range({name: (count + 2) // 3 for name, count in first.calls.items()}, _RECOVERY_SECONDS)
    deaths = tuple(_death(dice, later if at else first) for at in range(_one_of(dice, _DEATHS)))
    trouble = _trouble(dice, site, first) if dice.random() < _TROUBLED or not deaths else None
    return Scenario(
        site=site,
        kind=kind,
        action=action,
        deaths=deaths,
        troubles=(trouble,) if trouble else (),
        cancel_after=dice.uniform(0.1, first.seconds) if dice.random() < _CANCELLED else 0.0,
        followed=dice.random() < _FOLLOWED and (trouble is None or trouble.fault.of_link),
        freeze=_freeze(dice, first) if dice.random() < _FROZEN else None,
    )


@dataclass(frozen=True, slots=True)
class _Range:
    """How many calls a life of the bot makes, by name, and how many seconds it is busy."""

    calls: dict[str, int]
    seconds: float


def every(sites: Sequence[Site]) -> list[Scenario]:
    """A run for each failpoint of each kind of release at each site, and of one that is cancelled."""
    return [
        Scenario(site=site, kind=kind, deaths=(Death(point=point),), cancel_after=cancel_after)
        for site in sites
        for kind, cancel_after in [*((kind, 0.0) for kind in Kind), *((Kind.GOOD, at) for at in _CANCEL_AT)]
        if (kind is not Kind.HALF or len(site.servers) > 1) and (kind is not Kind.FADING or site.rolled)
        for point in _points(_range(site, kind, share=_MARGIN).calls)
    ]


def _points(calls: dict[str, int]) -> Iterator[Failpoint]:
    for name, count in calls.items():
        for moment in _moments(name):
            yield from (Failpoint(name, moment, time) for time in range(1, count + 1))


def _range(site: Site, kind: Kind, *, share: float = 1.0) -> _Range:
    several = 1.0 if len(site.servers) == 1 else 1.5
    share *= _SHARES[kind] * (_ROLLED_SHARE if site.rolled else several)
    calls = {name: max(round(count * share), 1) for name, count in _CALLS.items()}
    if site.rolled:
        calls["host.http_status"] = _WATCHED_CALLS
    return _Range(calls, _SECONDS[kind] + _ROLLED_SECONDS if site.rolled else _SECONDS[kind] * several)


def _moments(name: str) -> tuple[str, ...]:
    return ("before", "within", "after") if name == "store.write" else ("before", "after")


def _death(dice: random.Random, range_: _Range) -> Death:
    rest = dice.choice((0.0, 0.0, dice.uniform(0.0, _REST_SECONDS)))
    if dice.random() < _BY_POINT:
        return Death(point=_point(dice, range_.calls), rest=rest)
    how = signal.SIGTERM if dice.random() < _TERMINATED else signal.SIGKILL
    return Death(after=dice.uniform(0.02, range_.seconds), how=how, rest=rest)


def _freeze(dice: random.Random, range_: _Range) -> Freeze:
    return Freeze(after=dice.uniform(0.0, range_.seconds), lasts=dice.uniform(0.2, _FREEZE_SECONDS))


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
    return Failpoint(name, dice.choice(_moments(name)), dice.randint(1, calls[name]))


def _one_of(dice: random.Random, weights: dict[T, int]) -> T:
    return dice.choices([*weights], [*weights.values()])[0]
