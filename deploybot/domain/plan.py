"""Plans: the steps, health gates and effects of a deployment before it runs."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from deploybot.domain.commit_origins import Origin
from deploybot.domain.observed_target import Manifest
from deploybot.domain.release import Changes, Release
from deploybot.domain.server_facts import ServerUpload


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One action on one server, run as a detached job.

    `script` names a file in `strategies/scripts`, without its `.sh`; nothing else is ever run. `env` is passed as plain
    environment variables. `secrets` are names whose values are added when the job starts and never stored. `timeout` is
    in seconds. `switches` is True if the new release may be serving once the step has started. `bind` names values that
    are computed from the observed state right before the job starts (`ports.Strategy.bind`); empty if `env` has them
    all. `task` is the task of bot.toml that it runs around the switch. A step that is `ahead` runs after all servers
    are prepared, and before any of them is switched.
    """

    name: str
    script: str
    env: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    uploads: tuple[ServerUpload, ...] = ()
    timeout: float = 900.0
    switches: bool = False
    bind: str = ""
    task: str = ""
    ahead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The health check of a release.

    `kind` is `http` (target: a URL as seen from the server), `tcp` (host:port as seen from the server), `docker`
    (target: the Compose project, all its containers) or `command` (target: shell text from bot.toml, run as a job).
    `within` limits the whole gate in seconds.
    """

    kind: str
    target: str
    within: float = 60.0
    status: int = 0


class StageKind(enum.StrEnum):
    """What a stage does.

    It runs a job, compares what runs with the release, asks for its health, watches that it stays up, or lets some time
    pass before the next batch, in which it must stay healthy. It compares the new release with the old one for some
    time, or records before the switch how the old one does.
    """

    RUN = "run"
    VERIFY = "verify"
    GATE = "gate"
    WATCH = "watch"
    PAUSE = "pause"
    COMPARE = "compare"
    BASELINE = "baseline"


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a server's plan that is stored as a row before it begins, and resumed from that row after a crash.

    A RUN stage has a `step`, a GATE stage a `gate`. A PAUSE and a COMPARE stage last some `seconds`. `name` is for
    people and logs.
    """

    kind: StageKind
    name: str
    step: Step | None = None
    gate: Gate | None = None
    seconds: float = 0.0


class EffectKind(enum.StrEnum):
    """What happens to a service. LEFT: it is in no Compose file, but its containers stay."""

    KEPT = "kept"
    STARTED = "started"
    RECREATED = "recreated"
    NEW = "new"
    REMOVED = "removed"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Effect:
    """What happens to one service on one server, and why: `image`, `settings`, `mounted content`."""

    service: str
    kind: EffectKind
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPlan:
    """Everything that would happen on one server: the steps, the gate, and the steps that restore `replaces`.

    `stages` and `restore_stages` are the same in the order in which it happens. A stage's index is its position in the
    database, and that of a step is its index in `steps`.
    `effects` has the effect on each service, if the strategy runs services. With `verify`, the observed state is
    compared with the release's manifest afterwards. `before` is exactly what ran there before, even if the bot did not
    deploy it; it is restored on failure. `made` is True if the images are built now instead of taken from the release's
    record. `pause` is how long the bot waits after the server, in seconds, before the next batch. An `optional` server
    is left as it is if it does not answer before anything was switched there. `recheck` is the health command at the
    end of the pause. `configuration` is a hash of what Compose reads from files that the server has itself; empty if
    they come with the release. `after` are steps that follow the checks, `last` those that follow when all servers are
    switched. The release is compared with the old one for `watch` seconds at the end; a canary also for `first_watch`
    seconds, before other servers are switched.
    """

    server: str
    steps: tuple[Step, ...]
    gate: Gate | None = None
    replaces: Release | None = None
    restore: tuple[Step, ...] = ()
    cleanup: tuple[Step, ...] = ()
    effects: tuple[Effect, ...] = ()
    warnings: tuple[str, ...] = ()
    verify: bool = False
    before: Manifest | None = None
    made: bool = False
    pause: float = 0.0
    optional: bool = False
    recheck: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    last: tuple[Step, ...] = ()
    watch: float = 0.0
    first_watch: float = 0.0
    configuration: str = ""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that put the release there."""
        alone = (*self._checked(self.steps), *self._run(self.after), *_compared(self.first_watch), *self._paused())
        baseline = [Stage(StageKind.BASELINE, "baseline")] if self.watch else []
        return (*alone, *self._run(self.last), *_compared(self.watch), *baseline)

    @property
    def first_last(self) -> int:
        """The position of the first stage that waits until all servers are switched.

        These are the steps of `last`, and with a `watch` the comparison and, out of turn, the baseline.
        """
        return len(self.stages) - len(self.last) - (2 if self.watch else 0)

    def _paused(self) -> tuple[Stage, ...]:
        """Return the pause before the next batch, and the health check at its end."""
        if not self.pause:
            return ()
        gate = [Stage(StageKind.GATE, "health", gate=self.gate)] if self.gate else []
        return (Stage(StageKind.PAUSE, "pause", seconds=self.pause), *gate, *self._run(self.recheck))

    @property
    def restore_stages(self) -> tuple[Stage, ...]:
        """The stages that restore what ran before; empty if that cannot be restored."""
        if self.is_link_restored:
            return self._run(self.restore)
        return self._checked(self.restore) if self.restore else ()

    @property
    def is_link_restored(self) -> bool:
        """Whether a restore only moves the link. What runs now has no containers then, and no check is for it."""
        return self.verify and bool(self.restore) and self.before is None and self.replaces is not None

    @staticmethod
    def _run(steps: tuple[Step, ...]) -> tuple[Stage, ...]:
        return tuple(Stage(StageKind.RUN, step.name, step=step) for step in steps)

    def _checked(self, steps: tuple[Step, ...]) -> tuple[Stage, ...]:
        verify = [Stage(StageKind.VERIFY, "verify")] if self.verify else []
        gate = [Stage(StageKind.GATE, "health", gate=self.gate)] if self.gate else []
        watch = [Stage(StageKind.WATCH, "watch")] if self.verify else []
        return (*self._run(steps), *verify, *gate, *watch)


def _compared(seconds: float) -> tuple[Stage, ...]:
    return (Stage(StageKind.COMPARE, "compare", seconds=seconds),) if seconds else ()


class Kind(enum.StrEnum):
    """The kind of a deployment."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    RESTART = "restart"
    TASK = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that would happen, frozen. `digest` (SHA-256, hex) covers all of it.

    `origin` is the reason why the commit may run there, if bot.toml limits that. `some` is True if the environment has
    more servers. `promoted_from` is the environment whose release it takes; empty if a release was named. `servers` are
    in the order of the roll-out, and `sizes` is how many are in each batch; empty if each is a batch of its own. `down`
    are the servers that did not answer and are left as they are. `counts_as` is how a rollback counts for approvals,
    for people; empty if it needs as many as a deployment.
    """

    kind: Kind
    app: str
    environment: str
    release: Release
    servers: tuple[ServerPlan, ...]
    task: str = ""
    changes: Changes = field(default_factory=Changes)
    warnings: tuple[str, ...] = ()
    remove_orphans: bool = False
    digest: str = ""
    origin: Origin | None = None
    some: bool = False
    promoted_from: str = ""
    sizes: tuple[int, ...] = ()
    down: tuple[str, ...] = ()
    counts_as: str = ""

    @property
    def batches(self) -> tuple[tuple[ServerPlan, ...], ...]:
        """The servers that are switched side by side, batch after batch."""
        ends = tuple(accumulate(self.sizes or (1,) * len(self.servers)))
        return tuple(self.servers[start:end] for start, end in pairwise((0, *ends)))

    @property
    def configurations(self) -> dict[str, str]:
        """The hash of what Compose reads from the files of each server that has them itself."""
        return {part.server: part.configuration for part in self.servers if part.configuration}

    @property
    def replaced(self) -> tuple[Release, ...]:
        """The releases that it replaces, each once, in the order of the servers."""
        found = {part.replaces.id: part.replaces for part in self.servers if part.replaces is not None}
        return tuple(found.values())

    @property
    def replaced_name(self) -> str:
        """The name of what a failed deployment rolls back to: `v1`, or `what ran before` if servers differ."""
        found = self.replaced
        same = len(found) == 1 and all(part.replaces is not None for part in self.servers)
        return found[0].label if same else "what ran before"
