"""Ports to the infrastructure: servers, Docker Engines, repositories, the clock, files with secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from deploybot.card import Card
from deploybot.domain import (
    Changes,
    Container,
    EngineEvent,
    EngineFacts,
    Heads,
    Holding,
    Image,
    JobChunk,
    JobStatus,
    LogLine,
    NamedRef,
    Release,
    ServerFacts,
    Signature,
    Usage,
)
from deploybot.domain.missing_content import MissingContent
from deploybot.settings import App

LONG_SESSIONS = 4
"""How many long sessions one server may have: followed logs, and waits for jobs."""


class Clock(Protocol):
    """Wall time."""

    def now(self) -> float:
        """Return the seconds since the epoch."""


class Host(Protocol):
    """One server, reached by SSH. Every method raises Unreachable if the server does not answer in time."""

    @property
    def name(self) -> str:
        """The server's name in bot.toml."""

    async def facts(self, directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
        """Probe the server, and an app's directory on it if one is given, in one round trip.

        Without `docker`, the versions of Docker and Compose are not waited for, unless they are known already.
        """

    async def upload(self, source: Path, target: str, *, timeout: float = 600.0) -> None:
        """Upload a local file to an absolute path: temporary name, check of size and SHA-256, then rename.

        Creates missing parent directories (mode 755). Does nothing if the same content is already there. Raises
        StepFailed with the server's message if the server refuses (no space, no permission).
        """

    async def start(
        self, job: str, script: str, env: Mapping[str, str], *, deadline: float, timeout: float = 30.0
    ) -> JobStatus:
        """Start a detached job once, however often this is called with the same id.

        `script` names a packaged script. `env` is passed through stdin only. After `deadline` seconds, the server's own
        watchdog stops the job's process group.
        """

    async def wait(self, job: str, *, timeout: float) -> JobStatus:
        """Return the job's status as soon as it has ended, or after `timeout` seconds."""

    async def poll(self, job: str, offset: int, *, limit: int = 262_144, timeout: float = 15.0) -> JobChunk:
        """Return a job's status, and up to `limit` bytes of its log from `offset`."""

    async def cancel(self, job: str, *, grace: float = 10.0) -> JobStatus:
        """Send TERM to the job's process group, KILL after `grace` seconds. A job not yet started can never start."""

    async def forget(self, jobs: Sequence[str]) -> None:
        """Delete the files of jobs that have ended."""

    async def http_status(self, url: str, *, timeout: float) -> tuple[int, str]:
        """GET an http(s) URL from the server, through SSH. Return status code and the first 200 characters.

        Follows no redirect. Raises Unreachable with the reason if nothing answers.
        """

    async def tcp_open(self, host: str, port: int, *, timeout: float) -> None:
        """Connect to host:port from the server. Raises Unreachable if refused."""

    def stream(self, script: str, env: Mapping[str, str], *, timeout: float) -> AsyncIterator[bytes]:
        """Run a packaged script attached and yield its output in chunks, for up to `timeout` seconds."""


class Engine(Protocol):
    """One Docker Engine. Raises Unreachable or EngineError."""

    async def version(self) -> str:
        """Return the Engine's version, such as `20.10.24`."""

    async def info(self) -> EngineFacts:
        """Return facts that identify this Engine, and where it stores its data."""

    async def containers(self, project: str) -> tuple[Container, ...]:
        """Return all containers of a Compose project, including stopped ones."""

    async def all_containers(self) -> tuple[Container, ...]:
        """Return all containers of the Engine, including stopped ones, in one round trip.

        Health, restarts, exit codes and start times are missing in this list.
        """

    async def images(self) -> tuple[Image, ...]:
        """Return all images on the Engine, without intermediate ones."""

    async def image(self, reference: str) -> Image | None:
        """Return one image by its id, `name:tag` or `name@sha256:…`; None if the Engine does not have it."""

    async def networks(self) -> tuple[str, ...]:
        """Return the names of all networks."""

    async def volumes(self) -> tuple[str, ...]:
        """Return the names of all volumes."""

    async def usage(self, container: str, *, quick: bool = False) -> Usage:
        """Return what a container uses now.

        `quick` needs one round trip: the CPU is the mean since the last call, or unknown if there was none recently.
        """

    def logs(
        self,
        container: str,
        *,
        tail: int | None,
        since: float = 0.0,
        follow: bool = False,
        times: bool = True,
        timeout: float = 600.0,
    ) -> AsyncIterator[bytes]:
        """Yield a container's log as raw chunks of lines, stdout and stderr together.

        Lines begin with their RFC 3339 time. With `times` False they do not, which makes a long log a fifth faster.
        `tail` is the number of lines from the end, None for all. `since` is seconds since the epoch. After `timeout`
        seconds a followed log ends; any other raises Unreachable. A log that breaks off before its end also raises
        Unreachable.
        """

    def events(self, *, since: float = 0.0, timeout: float = 3600.0) -> AsyncIterator[EngineEvent]:
        """Yield container and image events from `since` (seconds since the epoch) on; end after `timeout` seconds."""


class Servers(Protocol):
    """All servers of bot.toml."""

    def host(self, name: str) -> Host:
        """Return the server with that name. Raises KeyError if bot.toml has none."""

    def engine(self, name: str) -> Engine | None:
        """Return the Docker Engine of a server: the one in bot.toml, or the one that its own `docker` command uses.

        None if it cannot have one. Whether the Engine exists shows only when it is called.
        """


class RefSource(Protocol):
    """The repository of an app. Raises Unreachable, or UserError with the nearest refs."""

    async def resolve(self, app: App, ref: str) -> Release:
        """Resolve a branch, tag, short or full SHA. An empty ref is the app's `branch` or the remote's default."""

    async def changes(self, app: App, old: str, new: str) -> Changes:
        """Return the changes between two full commits."""

    async def heads(self, app: App) -> Heads:
        """Return all branches and tags of the remote as they are now, with one request; nothing is fetched."""

    async def newest(self, app: App) -> tuple[NamedRef, ...]:
        """Return the app's `branch` or the default one, then all other branches and tags as they are, newest first."""

    async def message(self, app: App, commit: str) -> str:
        """Return the whole message of a full commit."""

    async def touched(self, app: App, old: str, new: str, patterns: Sequence[str]) -> tuple[str, ...] | None:
        """Return the paths that match a pattern and differ between two full commits; None if one no longer exists."""

    async def is_ancestor(self, app: App, old: str, new: str) -> bool | None:
        """Return whether `old` is `new` or an ancestor of it (full commits); None if one no longer exists."""

    async def holding(self, app: App, commit: str) -> Holding:
        """Return the branches that contain a full commit and the tags that point to it, as the remote has them now."""

    async def signature(self, app: App, commit: str) -> Signature:
        """Return a good signature of a full commit by a signer of bot.toml, or why there is none."""

    async def ships(self, app: App, commit: str, paths: Sequence[str]) -> bool:
        """Return whether a full commit contains any of these paths: a file, a folder or a link."""

    async def unfetched(self, app: App, commit: str) -> MissingContent:
        """Return the submodules and the files in Git LFS of a full commit, which are not fetched."""

    async def bundle(self, app: App, commit: str, have: Sequence[str]) -> Path:
        """Create a git bundle of a commit without the commits in `have`, in the bot's data folder. Return its path."""

    async def archive(self, app: App, commit: str) -> Path:
        """Create a gzipped tar of a commit's tree, the same bytes every time. Return its path."""

    async def artifact(self, app: App, release: Release) -> Path:
        """Return the path of a gzipped tar of an artifact, which is downloaded and checked if it is not here yet."""

    async def has_artifact(self, app: App, release: Release) -> bool:
        """Return whether `artifact` can return an artifact: it is here, or has an address. Nothing is downloaded."""


class CodeSecrets(Protocol):
    """The secrets of one-time codes, stored outside the database. Raises StoreError if they cannot be used."""

    async def get(self, person: int) -> str | None:
        """Return a person's secret (base32); None if the person has not enrolled."""

    async def offered(self, person: int, *, since: float = 0.0) -> str | None:
        """Return the secret that a person was shown at `since` or later (Unix time) but has not confirmed."""

    async def offer(self, person: int, secret: str, *, at: float = 0.0) -> None:
        """Store a secret that a person is shown at this time, until it is confirmed."""

    async def confirm(self, person: int) -> None:
        """Activate the offered secret."""

    async def copy(self, person: int, into: int) -> bool:
        """Give a person's secret to another who has none, also in place of one that was offered. Return whether."""

    async def move(self, person: int, into: int) -> None:
        """Move a person's secret to another person who has none; otherwise delete it."""

    async def forget(self, person: int) -> bool:
        """Delete a person's secrets. Return whether one was active."""


class TextRedactor(Protocol):
    """Masks secrets in text that is about to leave the bot."""

    def text(self, text: str) -> str:
        """Return the text with every known secret value and every common secret shape masked."""

    def card(self, card: Card) -> Card:
        """Return the card with every visible text masked."""


class LineStream(Protocol):
    """An open log. Iterate for lines; closing it stops the source."""

    def __aiter__(self) -> AsyncIterator[LogLine]: ...
