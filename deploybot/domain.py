"""The words of deploybot as frozen types; no I/O, and nothing above this module but errors.

Times are seconds since the epoch (UTC) as floats, durations are seconds, sizes are bytes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Action(enum.StrEnum):
    """What a command needs. Every command declares exactly one."""

    ANYONE = "anyone"
    VIEW = "view"
    DEPLOY = "deploy"
    APPROVE = "approve"
    ADMIN = "admin"


class Role(enum.StrEnum):
    """What a person is on an app and environment; each role may do all that the one before it may."""

    VIEWER = "viewer"
    DEPLOYER = "deployer"
    APPROVER = "approver"
    ADMIN = "admin"


EVERY = "*"
"""Every app, or every environment, in a grant."""


def place_name(app: str | None, environment: str | None) -> str:
    """`shop/production`, `every environment of shop`, `every app`, for people."""
    if app is None:
        return "at least one app"
    if app == EVERY:
        return "every app" if environment in {None, EVERY} else f"{environment} of every app"
    if environment is None:
        return app
    return f"every environment of {app}" if environment == EVERY else f"{app}/{environment}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sent a message, by ids that never change: a name is never an identity.

    `team` is the Slack enterprise and team, or empty; `user` the numeric or opaque user id.
    """

    platform: str
    user: str
    team: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """A human on the allowlist. `name` is what people type after @, unique, lower case."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A person's role on an app and environment; `*` stands for every one."""

    person: int
    role: Role
    app: str = "*"
    environment: str = "*"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a chat something is said. `id` of channel and thread are the platform's own."""

    platform: str
    channel: str
    thread: str = ""
    private: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """An immutable thing to deploy.

    `commit` is a full SHA (40 or 64 hex digits); `ref` is what a person typed;
    `subject`, `author` and `committed` describe the commit for people. `typed` is the ref of the command that is
    being run (empty: the newest of the branch), which may mean another commit later; None where the commit itself
    is meant, as it is in all rows.
    """

    commit: str
    ref: str = ""
    subject: str = ""
    author: str = ""
    committed: float = 0.0
    typed: str | None = field(default=None, compare=False)

    @property
    def short(self) -> str:
        """The first ten digits of the commit, as people read it."""
        return self.commit[:10]

    def __str__(self) -> str:
        """`v2 (0123456789)`, or the short commit alone where nobody typed a name."""
        if self.ref and not self.commit.startswith(self.ref):
            return f"{self.ref} ({self.short})"
        return self.short


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit between two releases."""

    sha: str
    author: str
    subject: str
    at: float


@dataclass(frozen=True, slots=True)
class Changes:
    """What lies between two releases.

    `commits` are newest first and cut at a limit, `total` counts all; `removed` counts commits of the
    old release that the new one does not have; `warnings` are changed paths that match `warn_paths`.
    `known` is False when one side is not in the repository any more: then nothing is claimed.
    """

    commits: tuple[Commit, ...] = ()
    total: int = 0
    removed: int = 0
    files: int = 0
    warnings: tuple[str, ...] = ()
    known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a server was found to be, read by one probe. Sizes in bytes; -1 is unknown.

    `directory` facts speak of one app's directory on that server: `releases` are the names of the
    release directories there (full commits), `current` the one in use, `switching` the one that was
    being switched to when something stopped half-way, `have` the commits its repository copy holds.
    `server` is the server's name in bot.toml, for sentences.
    """

    home: str
    server: str = ""
    user: str = ""
    uid: int = -1
    system: str = ""
    boot_id: str = ""
    disk_free: int = -1
    disk_total: int = -1
    memory_available: int = -1
    git: bool = False
    tools_missing: tuple[str, ...] = ()
    docker: str = ""
    compose: tuple[str, ...] = ()
    compose_version: str = ""
    writable: bool = True
    directory: str = ""
    current: str = ""
    switching: str = ""
    releases: tuple[str, ...] = ()
    have: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that the bot sends before a step.

    `kind` is `bundle` (a git bundle of `commit` without what the server has in `have`), `archive` (a
    gzipped tar of `commit`'s tree) or `file` (a local file, `source`). `target` is an absolute path on the server.
    """

    kind: str
    target: str
    commit: str = ""
    have: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing done on one server, as a detached job.

    `script` names a file in `strategies/scripts`, without its `.sh`: nothing else is ever run. Values reach it as
    environment: `env` in the clear, `secrets` are names whose values are added when the job starts and
    never stored. `timeout` is in seconds. `switches` marks a step from whose start on the new release
    may be the one that serves.
    """

    name: str
    script: str
    env: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    uploads: tuple[Upload, ...] = ()
    timeout: float = 900.0
    switches: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPlan:
    """What would happen on one server: steps and gate forward, and the steps that put `replaces` back."""

    server: str
    steps: tuple[Step, ...]
    gate: Gate | None = None
    replaces: Release | None = None
    restore: tuple[Step, ...] = ()
    cleanup: tuple[Step, ...] = ()


class Kind(enum.StrEnum):
    """What a deployment does."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    RESTART = "restart"
    TASK = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that would happen, frozen. `digest` (SHA-256, hex) covers all of it."""

    kind: Kind
    app: str
    environment: str
    release: Release
    servers: tuple[ServerPlan, ...]
    task: str = ""
    changes: Changes = field(default_factory=Changes)
    warnings: tuple[str, ...] = ()
    digest: str = ""


class State(enum.StrEnum):
    """Where a deployment is. The last five are ends; an end never changes."""

    WAITING = "waiting"
    RUNNING = "running"
    RESTORING = "restoring"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RESTORED = "restored"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self not in {State.WAITING, State.RUNNING, State.RESTORING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One run of a plan. `requester` is a person's id; times are 0.0 until they have come.

    `not_before` is when it may begin, where whoever asked named a time; else 0.0.
    `cancel_by` is the person who asked to cancel, or empty. `outcome` is the sentence that tells the end,
    `tail` the last masked lines of what failed. `approved` is since when it has the approvals that it needs.
    """

    number: int
    plan: Plan
    state: State
    requester: int
    requester_name: str
    reason: str = ""
    place: Place | None = None
    created: float = 0.0
    not_before: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    cancel_by: str = ""
    outcome: str = ""
    tail: tuple[str, ...] = ()
    needs_approval: bool = False
    approved: float = 0.0

    @property
    def awaits_approval(self) -> bool:
        """Whether it waits for approvals, and so is in nobody's way."""
        return self.state is State.WAITING and self.needs_approval and not self.approved


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What an approval is given for, as it was when it was asked for; `digest` (SHA-256, hex) covers all of it.

    `ref` is the ref that was typed (empty: the newest of the branch), None where nobody typed one and the commit
    alone counts. `config` are dotted keys of bot.toml with their values as text, secrets by where they come from;
    `replaces` and `steps` go by server, the steps with the SHA-256 (hex) of all that they would do.
    """

    ref: str | None
    commit: str
    config: tuple[tuple[str, str], ...]
    replaces: tuple[tuple[str, str], ...]
    steps: tuple[tuple[str, str], ...]
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's yes to a request. `counts` turns False when their right to give it was found taken away."""

    person: int
    name: str
    at: float
    counts: bool = True


class Verdict(enum.StrEnum):
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
    that went wrong with an approval.
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
    verdict: Verdict = Verdict.NONE
    note: str = ""
    approvals: tuple[Approval, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """A person's wish to take in a further identity: from where they asked, until when, and for which `other`.

    `other` is None until the code was typed with it.
    """

    person: int
    identity: Identity
    place: Place
    until: float
    other: Identity | None = None


class Phase(enum.StrEnum):
    """Which part of a deployment a step belongs to."""

    FORWARD = "forward"
    RESTORE = "restore"
    CLEANUP = "cleanup"


class StepState(enum.StrEnum):
    """What the database knows of a step. UNKNOWN covers orphan and lost jobs."""

    PENDING = "pending"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A step of a deployment as the database keeps it; written before its job is started.

    `code` is the exit code once done. `offset` counts the bytes of the remote log already kept,
    `size` the bytes of the local log file after them: both move in one transaction.
    """

    deployment: int
    phase: Phase
    server: str
    position: int
    name: str
    job: str
    state: StepState
    code: int = -1
    offset: int = 0
    size: int = 0
    started: float = 0.0
    finished: float = 0.0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """The release the bot last put on a server of an environment, and whether it was seen healthy."""

    app: str
    environment: str
    server: str
    release: Release
    deployment: int
    since: float
    healthy: bool


class JobState(enum.StrEnum):
    """What a server says of a job.

    ORPHAN: its runner died but left processes; LOST: the machine rebooted, or the job's files are gone.
    """

    NEVER = "never"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    ORPHAN = "orphan"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job's state, its exit code when DONE (else -1), and the size of its log in bytes."""

    state: JobState
    code: int = -1
    size: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class JobChunk:
    """A job's status and the log bytes from the offset that was asked for."""

    status: JobStatus
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Lock:
    """A person's hold on an environment. `until` is 0.0 where it has no end."""

    app: str
    environment: str
    person: int
    holder: str
    reason: str
    since: float
    until: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container as the Engine tells it. `health` is `healthy`, `unhealthy`, `starting` or empty (no check)."""

    id: str
    name: str
    service: str
    image: str
    state: str
    health: str = ""
    started: float = 0.0
    restarts: int = 0
    exit_code: int = 0
    oneoff: bool = False
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """A container's CPU in per cent of one core and memory in bytes; -1 is unknown."""

    cpu: float = -1.0
    memory: int = -1
    memory_limit: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image on an Engine. `tags` are `name:tag`, `digests` are `name@sha256:…`; `created` is when it was built."""

    id: str
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    size: int = -1
    created: float = 0.0
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvent:
    """Something that happened on an Engine.

    `kind` and `action` are Docker's words (`container` and `start`, `die`, `health_status: healthy`; `image` and
    `pull`), `id` is the container's or the image's. `exit_code` is -1 where the event has none.
    """

    at: float
    kind: str
    action: str
    id: str
    name: str = ""
    image: str = ""
    project: str = ""
    service: str = ""
    exit_code: int = -1


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log. `at` is 0.0 where the source gives no time; `text` has no line end."""

    at: float
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One link of the audit's chain; `hash` covers everything else in it and `previous`."""

    number: int
    at: float
    actor: str
    action: str
    subject: str
    detail: str
    previous: str
    hash: str
