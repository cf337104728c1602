"""Servers that serve under a noisy load: error lines, health checks, restarts, and faults of a new release.

What a watch sees of them is made at random, window by window, with the parts that noise has in production: load that
wanders, and that is up to five times as high after the switch; errors in bursts, bursts on all servers at once, a job
once an hour, slow answers, health checks that fail now and then.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from statistics import median

from deploybot.deployments.watch_judgement import findings_of
from deploybot.domain import (
    MINUTE,
    WINDOW,
    AnswersSeen,
    ContainersSeen,
    LogCounts,
    LogSeen,
    OldSeen,
    ServerSeen,
    UrlLook,
    WatchEvidence,
    WatchFinding,
)

LOOK = 10.0
ASKS = 10
WATCH = 300.0
HOUR_WINDOWS = 720
ROUNDS = 30
BEFORE = 10.0
APART = 0.22
WAY = 0.02
"""The seconds that one answer of the health check takes on its way to the bot."""


@dataclass
class Load:
    """What all servers share: how the load wanders, and bursts of errors that hit all of them."""

    random: Random
    wander: float
    level: float = 0.0
    burst: int = 0
    more: float = 1.0
    """How many times as much there is to do since the switch."""

    def step(self, *, bursts_an_hour: float) -> None:
        """Go on by one window."""
        self.level = 0.97 * self.level + self.random.gauss(0, self.wander)
        self.burst = max(self.burst - 1, 0)
        if self.random.random() < bursts_an_hour * WINDOW / 3600:
            self.burst = self.random.randint(3, 12)

    @property
    def factor(self) -> float:
        """How many times the usual load there is."""
        return math.exp(max(min(self.level, 0.5), -1.5)) * self.more


@dataclass(kw_only=True)
class AppHabits:
    """How an app behaves, whichever release: requests a second, the share that fails, bursts, and answers."""

    requests: float
    fails: float
    bursts: float
    shared_bursts: float
    latency: float
    jitter: float
    check_fails: float
    panics: float
    restarts: float
    lines: float
    """How many other lines each request writes."""
    job: float
    """The minute of each hour in which a job on the first server writes 48 error lines, negative without one."""

    @classmethod
    def any(cls, random: Random) -> AppHabits:
        """Return the habits of some app: many are quiet, some are noisy."""
        return cls(
            requests=math.exp(random.uniform(math.log(1.0), math.log(100.0))),
            fails=random.choice([0.0, 0.0, 0.001, 0.005, 0.01, 0.03]),
            bursts=random.choice([0.0, 1.0, 3.0, 6.0]),
            shared_bursts=random.choice([0.0, 0.0, 3.0]),
            latency=math.exp(random.uniform(math.log(0.002), math.log(0.4))),
            jitter=random.uniform(0.05, 0.4),
            check_fails=random.choice([0.0, 0.0, 0.0, 0.01, 0.03]),
            panics=random.choice([0.0, 0.0, 4.0, 20.0]),
            restarts=random.choice([0.0] * 19 + [6.0]),
            lines=random.choice([0.0, 0.1, 1.0, 1.0, 3.0]),
            job=random.uniform(0, 60) if random.random() < 0.2 else -1.0,
        )


@dataclass
class Fault:
    """What is wrong with a release from `onset` on, in seconds of the watch."""

    name: str
    onset: float
    errors: float = 0.0
    fails: float = 0.0
    check_fails: float = 0.0
    slower: float = 1.0
    restarts_every: float = 0.0
    ends: float = math.inf

    def at(self, second: float) -> bool:
        """Return whether it shows at a time."""
        return self.onset <= second < self.ends


@dataclass
class SimulatedServer:
    """A server of an app, with a fault or without one."""

    random: Random
    habits: AppHabits
    load: Load
    fault: Fault | None = None
    left_of_burst: int = 0
    failed_checks: int = 0
    leads: bool = False
    """Whether the job of each hour runs here."""
    signs: list[float] = field(default_factory=list)
    """When the fault showed."""

    def window(self, second: float) -> tuple[int, bool]:
        """Return the error lines of one window, and whether it has a panic."""
        habits, random, fault = self.habits, self.random, self._fault(second)
        served = habits.requests * self.load.factor * WINDOW
        errors = poisson(random, served * habits.fails)
        if random.random() < habits.bursts * WINDOW / 3600:
            self.left_of_burst = random.randint(1, 2)
        if self.left_of_burst:
            self.left_of_burst -= 1
            errors += random.randint(3, 40)
        if self.load.burst:
            errors += poisson(random, 10.0)
        errors, self.failed_checks = errors + self.failed_checks, 0
        if self.leads and habits.job >= 0 and 0 <= second % 3600 - habits.job * 60 < 60:
            errors += 4
        if fault:
            more = poisson(random, served * fault.fails + fault.errors * WINDOW / 60)
            errors += more
            self.signs += [second] if more else []
        return errors, random.random() < habits.panics * WINDOW / 3600

    def log(self, begin: float, windows: int, *, step: Callable[[], None]) -> LogCounts:
        """Return what some windows of the log have."""
        counts: list[int] = []
        fine: list[int] = []
        panics: list[int] = []
        for at in range(windows):
            step()
            errors, has_panic = self.window(begin + at * WINDOW)
            counts.append(errors + has_panic)
            served = self.habits.requests * self.load.factor * WINDOW
            fine.append(poisson(self.random, served * self.habits.lines))
            panics += [at] * has_panic
        kinds = (("panic: #", len(panics)),) if panics else ()
        recent = tuple(windows - 1 - at for at in panics if windows - 1 - at < MINUTE)
        recent_kinds = (("panic: #", recent),) if recent else ()
        return LogCounts(windows=tuple(counts), fine=tuple(fine), kinds=kinds, recent_kinds=recent_kinds)

    def checks(self, second: float) -> UrlLook:
        """Return one look at the health check."""
        fault, habits = self._fault(second), self.habits
        share = habits.check_fails + (fault.check_fails if fault else 0.0)
        failed = sum(self.random.random() < share for _ in range(ASKS))
        self.failed_checks = failed
        slower = (fault.slower if fault else 1.0) * self.load.factor**0.5
        times = [habits.latency * slower * math.exp(self.random.gauss(0, habits.jitter)) for _ in range(ASKS)]
        if self.random.random() < 0.03:
            times = [one * self.random.uniform(2, 6) for one in times]
        if fault and (failed > habits.check_fails * ASKS or fault.slower > 1):
            self.signs.append(second)
        return UrlLook(asked=ASKS, failed=failed, median=median(times), why="answers 500" if failed else "")

    def restarts(self, begin: float, end: float) -> int:
        """Return how often its container restarted in some seconds."""
        fault = self.fault
        found = poisson(self.random, self.habits.restarts * (end - begin) / 3600)
        if fault and fault.restarts_every:
            times = (fault.onset + at * fault.restarts_every for at in range(100))
            here = [at for at in times if begin <= at < end]
            self.signs += here
            found += len(here)
        return found

    def _fault(self, second: float) -> Fault | None:
        return self.fault if self.fault and self.fault.at(second) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchTrial:
    """How a watch ended: what it found and when, and since when there was evidence (None: never)."""

    name: str
    found: tuple[WatchFinding, ...] = ()
    at: float = -1.0
    evidence_at: float | None = None

    @property
    def in_time(self) -> bool:
        """Whether it was found within a minute after the evidence was there."""
        return self.at >= 0 and self.evidence_at is not None and self.at <= self.evidence_at + 60


def poisson(random: Random, mean: float) -> int:
    """Draw from a Poisson distribution."""
    if mean <= 0:
        return 0
    if mean > 50:
        return max(round(random.gauss(mean, math.sqrt(mean))), 0)
    limit, product, count = math.exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count


FAULTS: dict[str, Callable[[Random, float], tuple[Fault, int]]] = {
    "crash loop": lambda r, at: (Fault("crash loop", at, restarts_every=r.uniform(2, 30)), 1),
    "memory leak, killed at its limit": lambda r, at: (Fault("leak", at, restarts_every=r.uniform(40, 120)), 1),
    "error lines": lambda r, at: (Fault("error lines", at, errors=r.uniform(30, 300)), 5),
    "5 % of answers are 5xx": lambda _, at: (Fault("5xx", at, fails=0.05, check_fails=0.05), 8),
    "latency x 3": lambda _, at: (Fault("latency", at, slower=3.0), 5),
    "slow start": lambda r, _: (Fault("slow start", 0.0, check_fails=0.95, ends=r.uniform(30, 60)), 2),
    "broken dependency of one server": lambda r, at: (
        Fault("dependency", at, fails=r.uniform(0.3, 1.0), check_fails=r.choice([0.0, 1.0])),
        4,
    ),
}
"""The faults, each with how many signs of it are evidence: below that, it looks like noise."""


def run_trial(random: Random, name: str = "") -> WatchTrial:
    """Watch a release with a fault of this name, or a good one if it is empty."""
    habits = AppHabits.any(random)
    olds = random.choice([0, 1, 2, 4])
    if not olds:
        habits.shared_bursts = 0.0
    fault, enough = None, 0
    if name:
        fault, enough = FAULTS[name](random, random.uniform(0, 120))
        quiet = {"check_fails": min(habits.check_fails, 0.01), "fails": min(habits.fails, 0.005)}
        habits = replace(habits, restarts=0.0, job=-1.0, **quiet)
        habits.latency = max(habits.latency, 0.06) if fault.slower > 1 else habits.latency
    load = Load(random, random.choice([0.0, 0.02, 0.06]))
    servers = [SimulatedServer(random, habits, load, leads=not number) for number in range(olds + 1)]
    before = [_before(server, number) for number, server in enumerate(servers)]
    servers[0].fault = fault
    load.more = 1.0 if name else random.choice([1.0, 1.0, 2.0, 3.0, 5.0])
    evidence = WatchEvidence(
        new=ServerSeen(server="0"),
        before=before[0],
        olds=tuple(OldSeen(now=ServerSeen(server=one.server), before=one) for one in before[1:]),
    )
    signs: list[float] = []
    for look in range(int(WATCH / LOOK) + 1):
        second = look * LOOK
        seen = [_look(server, one, second) for server, one in zip(servers, _now(evidence), strict=True)]
        kept = tuple(replace(one, now=now) for one, now in zip(evidence.olds, seen[1:], strict=True))
        evidence = replace(evidence, new=seen[0], olds=kept)
        found = findings_of(evidence, seconds=second)
        signs = sorted(servers[0].signs)
        if found:
            since = signs[enough - 1] if len(signs) >= enough > 0 else second
            return WatchTrial(name=name, found=found, at=second, evidence_at=since)
    return WatchTrial(name=name, evidence_at=signs[enough - 1] if len(signs) >= enough > 0 else None)


def _now(evidence: WatchEvidence) -> list[ServerSeen]:
    return [evidence.new, *(one.now for one in evidence.olds)]


def _before(server: SimulatedServer, number: int) -> ServerSeen:
    """Return what a server does in the hour before."""
    hour = HOUR_WINDOWS * WINDOW
    step = _step(server)
    log = LogSeen().add(server.log(-hour, HOUR_WINDOWS, step=step))
    answers, at = AnswersSeen(), 0.0
    # As `WatchLooks` asks: answers that take longer do not keep the next one from being asked for.
    cost = min(server.habits.latency + WAY, APART) * ASKS
    for _ in range(ROUNDS):
        answers = answers.add(server.checks(-1.0))
        at += max(cost, BEFORE / (ROUNDS - 1))
        if at > BEFORE:
            break
    restarts = server.restarts(-3600.0, 0.0)
    return ServerSeen(server=str(number), log=log, answers=answers, containers=ContainersSeen(restarts=restarts))


def _look(server: SimulatedServer, seen: ServerSeen, second: float) -> ServerSeen:
    """Look once; the first look finds no whole window."""
    begin, windows = second - LOOK, 2 if second else 0
    step = _step(server) if seen.server == "0" else _nothing
    containers = seen.containers or ContainersSeen()
    return replace(
        seen,
        log=(seen.log or LogSeen()).add(server.log(begin, windows, step=step)),
        answers=(seen.answers or AnswersSeen()).add(server.checks(second)),
        containers=replace(containers, restarts=containers.restarts + server.restarts(begin, second)),
    )


def _step(server: SimulatedServer) -> Callable[[], None]:
    return lambda: server.load.step(bursts_an_hour=server.habits.shared_bursts)


def _nothing() -> None:
    """The load is the first server's."""
