"""What would be done: steps, health gates, plans."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from deploybot.domain.commit_origins import Origin
from deploybot.domain.observed_target import Manifest
from deploybot.domain.release import Changes, Release
from deploybot.domain.server_facts import ServerUpload


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing done on one server, as a detached job.

    `script` names a file in `strategies/scripts`, without its `.sh`: nothing else is ever run. Values reach it as
    environment: `env` in the clear, `secrets` are names whose values are added when the job starts and
    never stored. `timeout` is in seconds. `switches` marks a step from whose start on the new release
    may be the one that serves. `bind` names values that are computed from the observed state right before the job
    starts (`ports.Strategy.bind`); empty where all are in `env`.
    """

    name: str
    script: str
    env: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    uploads: tuple[ServerUpload, ...] = ()
    timeout: float = 900.0
    switches: bool = False
    bind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """How a release proves that it came up.

    `kind` is `http` (target: a URL as seen from the server), `tcp` (host:port as seen from the
    server), `docker` (target: the Compose project, all its containers) or `command` (target: shell
    text from bot.toml, run as a job). `within` bounds the whole gate in seconds.
    """

    kind: str
    target: str
    within: float = 60.0
    status: int = 0


class EffectKind(enum.StrEnum):
    """What becomes of a service. LEFT: it is in no Compose file and stays all the same."""

    KEPT = "kept"
    STARTED = "started"
    RECREATED = "recreated"
    NEW = "new"
    REMOVED = "removed"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Effect:
    """What becomes of one service on one server, and why: `image`, `settings`, `mounted content`."""

    service: str
    kind: EffectKind
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPlan:
    """What would happen on one server: steps and gate forward, and the steps that put `replaces` back.

    `effects` says what becomes of each service, where the strategy runs services. `verify`: what runs afterwards is
    compared with the release's manifest. `before` is exactly what ran there, to be restored if this fails, whoever made
    it. `made` says that the images of the release are made now, and not taken from its record.
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


class Kind(enum.StrEnum):
    """What a deployment does."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    RESTART = "restart"
    TASK = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that would happen, frozen. `digest` (SHA-256, hex) covers all of it.

    `origin` says why the commit may run there, where bot.toml limits that.
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

    @property
    def replaced(self) -> tuple[Release, ...]:
        """The releases that it replaces, each once, in the order of the servers."""
        found = {part.replaces.id: part.replaces for part in self.servers if part.replaces is not None}
        return tuple(found.values())

    @property
    def replaced_name(self) -> str:
        """What a failed deployment goes back to: `v1`, or `what ran before` where servers differ."""
        found = self.replaced
        same = len(found) == 1 and all(part.replaces is not None for part in self.servers)
        return found[0].name if same else "what ran before"
