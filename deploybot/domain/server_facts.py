"""Facts reported by servers and Docker Engines."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field

from deploybot.domain.release import Release

DISK_SHORT = 0.1
"""The share of free disk below which a server has a warning."""
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalTime:
    """The time zone of a server, as the server reports it; unverified.

    `zone` is its name in the tz database (`Europe/Berlin`) or empty. `offset` is how many seconds it is ahead of UTC
    now, None if unknown. `short` is the abbreviation in use now (`CET`).
    """

    zone: str = ""
    offset: int | None = None
    short: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """The facts about a server, read by one probe. Sizes are in bytes; -1 is unknown.

    `server` is the server's name in bot.toml, for sentences. `docker_host` is the Engine's address as the server's own
    `docker` command uses it (`unix:///run/docker.sock`). `docker_root` is where that Engine stores images and
    containers, `docker_free` and `docker_inodes` are what is free there. `listening` are the ports that programs and
    containers listen on, if the Engine is the server's own.

    These are about one app's directory: `releases` are the names of the release directories there (`Release.id`),
    `current` is the one in use, `switching` the one of an interrupted switch, `have` the commits in its copy of the
    repository. `files_changed` is True if a person changed the Compose files of an app without a repository since
    `current` was started. `current_is_folder` is True if a folder is where the link belongs. `legacy` and
    `legacy_switching` are the release marks of the previous version. They are where releases put their files, so they
    are never trusted alone.
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
    docker_host: str = ""
    docker_root: str = ""
    docker_free: int = -1
    docker_inodes: int = -1
    current_is_folder: bool = False
    files_changed: bool = False
    listening: tuple[PublishedPort, ...] = ()
    legacy: tuple[str, ...] = ()
    legacy_switching: str = ""
    local_time: LocalTime = LocalTime()

    @property
    def disk_is_short(self) -> bool:
        """Return whether so little of the disk is free that people are warned."""
        return 0 < self.disk_total * DISK_SHORT > self.disk_free


class UploadKind(enum.StrEnum):
    """What an upload contains: a git bundle of a commit and its history, a gzipped tar of its tree, or an artifact.

    An artifact is sent as a gzipped tar that the bot made from the file.
    """

    BUNDLE = "bundle"
    ARCHIVE = "archive"
    ARTIFACT = "artifact"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUpload:
    """A file that the bot uploads before a step.

    A bundle leaves out the commits in `have`. `target` is an absolute path on the server. An `artifact` is a
    release without a `commit`.
    """

    kind: UploadKind
    target: str
    commit: str
    have: tuple[str, ...] = ()
    artifact: Release | None = None


class JobState(enum.StrEnum):
    """The state of a job, as the server reports it.

    ORPHAN: its runner died but left processes. LOST: the machine rebooted, or the job's files are gone.
    """

    NEVER = "never"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    ORPHAN = "orphan"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job's state, its exit code when DONE (otherwise -1), and the size of its log in bytes."""

    state: JobState
    code: int = -1
    size: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class JobChunk:
    """A job's status, and its log from the requested offset."""

    status: JobStatus
    data: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPort:
    """A port of a server that is published by a container. `address` is empty for all addresses."""

    port: int
    protocol: str = "tcp"
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Something mounted into a container. `kind` is `bind`, `volume` or another of the Engine's words.

    `source` is a path on the server, or a volume's name.
    """

    kind: str
    source: str
    target: str

    @property
    def is_anonymous(self) -> bool:
        """Whether it is a volume without a name of its own: only the containers that mount it refer to its data."""
        return self.kind == "volume" and bool(_ANONYMOUS.fullmatch(self.source))


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container as the Engine reports it. `health` is `healthy`, `unhealthy`, `starting` or empty (no check).

    `image` is the image's name, `image_id` the Engine's id of the image that it really runs. `created` and `started`
    are seconds since the epoch, 0.0 if unknown. They are times of the Engine's clock, which may be wrong. `asked` is
    what that clock showed when the Engine was asked. With `host_network`, its programs listen on the server's own
    ports. `network_of` is the id (or the name) of the container whose network it uses, empty if it has its own. A
    container that is `cut_off` has no network any more; only a new one has it again.
    """

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
    image_id: str = ""
    project: str = ""
    created: float = 0.0
    ports: tuple[PublishedPort, ...] = ()
    mounts: tuple[Mount, ...] = ()
    host_network: bool = False
    cut_off: bool = False
    network_of: str = ""
    asked: float = field(default=0.0, compare=False)

    def is_called(self, name: str) -> bool:
        """Return whether the Engine would take `name` for this container: its name, its id, or how that begins."""
        return bool(name) and (self.name == name or self.id.startswith(name))

    def up_for(self, now: float) -> float:
        """Return for how many seconds it has been up; `now` is the bot's time, for an Engine whose time is unknown."""
        return max((self.asked or now) - self.started, 0.0)

    def label(self, name: str) -> str:
        """Return the value of a label; empty if it has none."""
        return next((value for key, value in self.labels if key == name), "")


@dataclass(frozen=True, slots=True)
class Usage:
    """A container's CPU in percent of one core, and memory in bytes; -1 is unknown."""

    cpu: float = -1.0
    memory: int = -1
    memory_limit: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image on an Engine. `tags` are `name:tag`, `digests` are `name@sha256:…`; `created` is when it was built.

    `has_container_config` is False if the Engine does not report how the image was built (`ContainerConfig`), without
    which docker-compose 1.29 cannot recreate a container of it.
    """

    id: str
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    size: int = -1
    created: float = 0.0
    labels: tuple[tuple[str, str], ...] = ()
    has_container_config: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvent:
    """An event of an Engine.

    `kind` and `action` are Docker's words (`container` and `start`, `die`, `health_status: healthy`; `image` and
    `pull`). `id` is the container's or the image's. `exit_code` is -1 if the event has none.
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
    """One line of a log. `at` is 0.0 if the source gives no time; `text` has no line end."""

    at: float
    source: str
    text: str


@dataclass(frozen=True, slots=True)
class Sight:
    """When a server was last checked. `problem` is why it could not be reached, `fix` is what to do."""

    at: float
    problem: str = ""
    fix: str = ""
