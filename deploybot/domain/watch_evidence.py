"""What a watch of a new release has seen: its evidence about the new release, and the same about the old one."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from deploybot.domain.observed_target import ContainerMark

WINDOW = 5.0
"""Seconds of a log in which error lines are counted together: a burst of lines is one event."""
MINUTE = 12
"""How many windows are a minute."""
BURST = 3
"""How many windows of a minute a burst of error lines may fill."""
MOST_KINDS = 200
"""How many kinds of panics are kept of a log: the most frequent ones."""
KIND_RULES = 1
"""Which rules make the kinds of panics. Kinds of other rules cannot be compared."""
_MEDIANS = 60


class WatchSignal(enum.StrEnum):
    """In what way a new release can be worse than the old one."""

    RESTARTS = "restarts"
    CONTAINERS = "containers"
    ANSWERS = "answers"
    LATENCY = "latency"
    ERRORS = "errors"
    PANICS = "panics"


@dataclass(frozen=True, slots=True)
class WatchFinding:
    """One way in which a new release is worse, in a line that shows the old one, too."""

    signal: WatchSignal
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VetoedSignal:
    """A signal that a person vetoed on one server, with its strength and the kinds of panics at that time."""

    signal: WatchSignal
    level: float = 0.0
    panics: tuple[str, ...] = ()


def without_bursts(windows: Sequence[int]) -> int:
    """Return the error lines of a minute without its busiest windows: a burst fills no more."""
    return sum(sorted(windows)[:-BURST])


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCounts:
    """What a part of a log has.

    `windows` are the error lines of each whole window, oldest first, and `fine` the other lines of each. `kinds` are
    the kinds of panics, each with the number of windows that have one; with `full`, there were more. `recent_kinds` are
    those of the last minute, each with its windows: 0 is the last one, 1 the one before. The next part begins at `end`
    (Unix time). `trouble` is why it could not be read.
    """

    windows: tuple[int, ...] = ()
    fine: tuple[int, ...] = ()
    kinds: tuple[tuple[str, int], ...] = ()
    recent_kinds: tuple[tuple[str, tuple[int, ...]], ...] = ()
    full: bool = False
    end: float = 0.0
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSeen:
    """What was seen of a log.

    `counts` is how many windows have how many error lines. `recent` are the error lines of the last minute's windows,
    and `recent_fine` its other lines. `peak` is the most error lines that any minute had, without bursts. `fine` is how
    many other lines there are in all: they show the load. `kinds`, `recent_kinds` and `full` are as in `LogCounts`.
    `rules` are those of the kinds, 0 in rows of the version before.
    """

    counts: tuple[tuple[int, int], ...] = ()
    recent: tuple[int, ...] = ()
    recent_fine: tuple[int, ...] = ()
    peak: int = 0
    fine: int = 0
    kinds: tuple[tuple[str, int], ...] = ()
    recent_kinds: tuple[tuple[str, tuple[int, ...]], ...] = ()
    full: bool = False
    rules: int = 0

    def add(self, more: LogCounts) -> LogSeen:
        """Return the same with another part of the log."""
        counts = Counter(dict(self.counts)) + Counter(more.windows)
        kinds = Counter(dict(self.kinds)) + Counter(dict(more.kinds))
        run = (*self.recent, *more.windows)
        later = len(more.windows)
        recent = {kind: {age + later for age in ages if age + later < MINUTE} for kind, ages in self.recent_kinds}
        for kind, ages in more.recent_kinds:
            recent[kind] = recent.get(kind, set()) | {*ages}
        last = ((kind, tuple(sorted(ages))) for kind, ages in recent.items() if ages)
        minutes = (run[max(end - MINUTE, 0) : end] for end in range(len(self.recent) + 1, len(run) + 1))
        return LogSeen(
            counts=tuple(sorted(counts.items())),
            recent=run[-MINUTE:],
            recent_fine=(*self.recent_fine, *more.fine)[-MINUTE:],
            peak=max((self.peak, *map(without_bursts, minutes))),
            fine=self.fine + sum(more.fine),
            kinds=tuple(kinds.most_common(MOST_KINDS)),
            recent_kinds=tuple(sorted(last, key=lambda one: -len(one[1]))[:MOST_KINDS]),
            full=self.full or more.full or len(kinds) > MOST_KINDS,
            rules=self.rules if self.counts else KIND_RULES,
        )

    @property
    def has_all_kinds(self) -> bool:
        """Whether a kind of panics that is not here is new."""
        return self.rules == KIND_RULES and not self.full

    @property
    def total(self) -> int:
        """How many windows were seen."""
        return sum(windows for _, windows in self.counts)

    @property
    def errors(self) -> int:
        """How many error lines were seen."""
        return sum(errors * windows for errors, windows in self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlLook:
    """What the health URL answered in one look.

    It was asked some times, some of these `failed`, the last time because of `why`. `median` is the median time of an
    answer in seconds, 0.0 if there was none.
    """

    asked: int = 0
    failed: int = 0
    median: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersSeen:
    """What the health URL answered in all looks.

    `medians` are those of the last looks. `failing` is how many looks had a failed answer, `bad` how many in a row had
    mostly failed ones.
    """

    asked: int = 0
    failed: int = 0
    medians: tuple[float, ...] = ()
    failing: int = 0
    bad: int = 0
    why: str = ""

    def add(self, look: UrlLook) -> AnswersSeen:
        """Return the same with another look; one that could not ask changes nothing."""
        if not look.asked:
            return self
        return AnswersSeen(
            asked=self.asked + look.asked,
            failed=self.failed + look.failed,
            medians=(*self.medians, *([look.median] if look.median else []))[-_MEDIANS:],
            failing=self.failing + bool(look.failed),
            bad=self.bad + 1 if look.failed * 2 > look.asked else 0,
            why=look.why or self.why,
        )


@dataclass(frozen=True, slots=True)
class DownService:
    """A service that was not up in so many looks in a row, and what was seen of it in the last one.

    An empty name means any service: rows of the version before do not say which.
    """

    service: str
    looks: int
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainersSeen:
    """How the containers of a target did.

    `restarts` counts restarts and exits, `unwell` is in how many looks in a row a container was not up, and `words` say
    which. `services` are those that were not up in the last look, `down` is how many containers of them were not.
    `marks` are all containers as they were then.
    """

    restarts: int = 0
    unwell: int = 0
    down: int = 0
    words: str = ""
    services: tuple[DownService, ...] = ()
    marks: tuple[ContainerMark, ...] = ()

    @property
    def not_up(self) -> tuple[DownService, ...]:
        """The services that were not up in the last look."""
        nameless = (DownService("", self.unwell, self.words),) if self.unwell else ()
        return self.services or nameless


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSeen:
    """What was seen on one server. The next part of the log begins at `log_from`.

    If it was seen before, but that does not count any more, it counts from `counts_from` (Unix time), otherwise 0.0.

    A part is None if there is nothing to look at, or if nothing could be seen yet. `trouble` is what the last look
    could not see, and why; empty if it saw everything. With `silent`, the server or its Engine did not answer.
    """

    server: str
    looks: int = 0
    log_from: float = 0.0
    counts_from: float = 0.0
    log: LogSeen | None = None
    answers: AnswersSeen | None = None
    containers: ContainersSeen | None = None
    trouble: str = ""
    silent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OldSeen:
    """A server that still runs the old release: what it does `now`, and did `before` the roll-out."""

    now: ServerSeen
    before: ServerSeen | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvidence:
    """All evidence of the watch of one server.

    `before` is what the old release did there, None if that is unknown. `vetoes` are what people vetoed there, and
    `accepted` the signals that are not much stronger now. `countdown` is which countdown of the deployment, from 1, was
    the last of this watch; 0 if it had none. `veto` is how many seconds that had.
    """

    new: ServerSeen
    before: ServerSeen | None = None
    olds: tuple[OldSeen, ...] = ()
    findings: tuple[WatchFinding, ...] = ()
    accepted: tuple[WatchSignal, ...] = ()
    vetoes: tuple[VetoedSignal, ...] = ()
    countdown: int = 0
    veto: float = 0.0

    @property
    def worse(self) -> tuple[str, ...]:
        """In which ways the new release is worse, without what a person vetoed."""
        return tuple(one.text for one in self.findings if one.signal not in self.accepted)

    def judged(self, findings: tuple[WatchFinding, ...]) -> WatchEvidence:
        """Return the same with new findings; what a person vetoed stays, so that it can be shown."""
        kept = tuple(one for one in self.findings if one.signal in self.accepted)
        return replace(self, findings=(*kept, *findings))


class WatchState(enum.StrEnum):
    """What a watch does: it looks, counts down to a rollback, or lets the release be rolled back."""

    LOOKING = "looking"
    WORSE = "worse"
    REVERTING = "reverting"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRow:
    """A watch as it is stored, by the `job` of its stage.

    `revert_at` is when the release is rolled back, 0.0 if it is not. `vetoed` is who vetoed that, or empty.
    """

    job: str
    deployment: int
    server: str
    evidence: WatchEvidence = field(default_factory=lambda: WatchEvidence(new=ServerSeen(server="")))
    state: WatchState = WatchState.LOOKING
    revert_at: float = 0.0
    vetoed: str = ""
