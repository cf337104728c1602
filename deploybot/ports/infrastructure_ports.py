"""What is asked and done outside: servers, Docker Engines, repositories, the clock, files with secrets."""

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
    Release,
    ServerFacts,
    Signature,
    Usage,
)
from deploybot.settings import App

LONG_SESSIONS = 4
"""How many sessions of one server may last for long: logs that are read, and waits for jobs."""


class Clock(Protocol):
    """Wall time."""

    def now(self) -> float:
        """Seconds since the epoch."""


class Host(Protocol):
    """One server, reached by SSH. Every method raises Unreachable when the server does not answer in time."""

    @property
    def name(self) -> str:
        """The server's name in bot.toml."""

    async def facts(self, directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
        """Probe the server, and an app's directory on it where one is given, in one round trip.

        Without `docker` nobody waits for Docker and Compose to tell their versions, unless they are known already.
        """

    async def upload(self, source: Path, target: str, *, timeout: float = 600.0) -> None:
        """Put a local file at an absolute path: temporary name, size and SHA-256 checked, then rename.

        Makes the directories above it that are missing (mode 755).
        Does nothing when the same content is there already. Raises StepFailed when the server refuses
        (no space, no right), with its words.
        """

    async def start(
        self, job: str, script: str, env: Mapping[str, str], *, deadline: float, timeout: float = 30.0
    ) -> JobStatus:
        """Start a detached job once, however often this is called with the same id.

        `script` names a packaged script, `env` reaches it through stdin only. `deadline` is the seconds
        after which the server's own watchdog stops the job's process group.
        """

    async def wait(self, job: str, *, timeout: float) -> JobStatus:
        """Return as soon as the job has ended, or its status after `timeout` seconds."""

    async def poll(self, job: str, offset: int, *, limit: int = 262_144, timeout: float = 15.0) -> JobChunk:
        """A job's status, and up to `limit` bytes of its log from `offset`."""

    async def cancel(self, job: str, *, grace: float = 10.0) -> JobStatus:
        """TERM the job's process group, KILL it after `grace` seconds; a job never started can never start."""

    async def forget(self, jobs: Sequence[str]) -> None:
        """Delete the files of jobs that have ended."""

    async def http_status(self, url: str, *, timeout: float) -> tuple[int, str]:
        """GET an http(s) URL as seen from the server, through SSH: status code and the first 200 characters.

        Follows no redirect. Raises Unreachable with the reason when nothing answers there.
        """

    async def tcp_open(self, host: str, port: int, *, timeout: float) -> None:
        """Connect to host:port as seen from the server; Unreachable when refused."""

    def stream(self, script: str, env: Mapping[str, str], *, timeout: float) -> AsyncIterator[bytes]:
        """Run a packaged script attached and give its output in chunks; bounded by `timeout` seconds."""


class Engine(Protocol):
    """One Docker Engine. Raises Unreachable or EngineError."""

    async def version(self) -> str:
        """The Engine's version, such as `20.10.24`."""

    async def info(self) -> EngineFacts:
        """What tells this Engine from others, and where it keeps its data."""

    async def containers(self, project: str) -> tuple[Container, ...]:
        """All containers of a Compose project, also the stopped ones."""

    async def all_containers(self) -> tuple[Container, ...]:
        """All containers of the Engine, also the stopped ones, in one round trip.

        A list tells neither health nor restarts nor exit codes nor when they started.
        """

    async def images(self) -> tuple[Image, ...]:
        """All images that are there, without intermediate ones."""

    async def image(self, reference: str) -> Image | None:
        """One image by its id, `name:tag` or `name@sha256:…`; None where the Engine does not have it."""

    async def networks(self) -> tuple[str, ...]:
        """The names of all networks."""

    async def volumes(self) -> tuple[str, ...]:
        """The names of all volumes."""

    async def usage(self, container: str, *, quick: bool = False) -> Usage:
        """What a container uses now.

        `quick` is one round trip: its CPU is the mean since the last look, or unknown where none was near.
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
        """A container's log as raw chunks of lines, stdout and stderr together.

        Lines begin with their RFC 3339 time, unless `times` is False, which makes a long log come a fifth sooner.
        `tail` is how many lines from the end, None for all; `since` is seconds since the epoch. After `timeout`
        seconds a followed log ends, any other raises Unreachable; so does one that breaks off before its end.
        """

    def events(self, *, since: float = 0.0, timeout: float = 3600.0) -> AsyncIterator[EngineEvent]:
        """What happens to containers and images, from `since` (seconds since the epoch) on; ends after `timeout`."""


class Servers(Protocol):
    """All servers of bot.toml."""

    def host(self, name: str) -> Host:
        """The server of that name; KeyError when bot.toml has none."""

    def engine(self, name: str) -> Engine | None:
        """Its Docker Engine: the one of bot.toml, or the one that the server's own `docker` uses.

        None where it can have none. Whether there is one shows only when it is asked.
        """


class RefSource(Protocol):
    """The repository of an app. Raises Unreachable, or UserError with the nearest refs."""

    async def resolve(self, app: App, ref: str) -> Release:
        """A branch, tag, short or full SHA as a release. An empty ref is the app's `branch` or the remote's default."""

    async def changes(self, app: App, old: str, new: str) -> Changes:
        """What lies between two full commits."""

    async def heads(self, app: App) -> Heads:
        """All branches and tags as they are over there now, in one question; nothing is fetched."""

    async def message(self, app: App, commit: str) -> str:
        """The whole message of a full commit."""

    async def touched(self, app: App, old: str, new: str, patterns: Sequence[str]) -> tuple[str, ...] | None:
        """The paths that match a pattern and differ between two full commits; None where one is nowhere any more."""

    async def is_ancestor(self, app: App, old: str, new: str) -> bool | None:
        """Whether a full commit lies before another one, or is it; None where one is nowhere any more."""

    async def holding(self, app: App, commit: str) -> Holding:
        """The branches that have a full commit and the tags that name it, as they are over there now."""

    async def signature(self, app: App, commit: str) -> Signature:
        """A good signature of a full commit by a signer of bot.toml, or why there is none."""

    async def ships(self, app: App, commit: str, paths: Sequence[str]) -> bool:
        """Whether a full commit has any of these paths: a file, a folder or a link."""

    async def bundle(self, app: App, commit: str, have: Sequence[str]) -> Path:
        """A git bundle of a commit without what the server has, in the bot's data folder."""

    async def archive(self, app: App, commit: str) -> Path:
        """A gzipped tar of a commit's tree, byte for byte the same every time."""


class CodeSecrets(Protocol):
    """Where the secrets of one-time codes are kept: not in the database. Raises StoreError when it cannot be used."""

    async def get(self, person: int) -> str | None:
        """A person's secret (base32); None for one who has not enrolled."""

    async def offered(self, person: int) -> str | None:
        """The secret that a person was shown and has not confirmed."""

    async def offer(self, person: int, secret: str) -> None:
        """Keep a secret until it is confirmed."""

    async def confirm(self, person: int) -> None:
        """Put the offered secret in force."""

    async def move(self, person: int, into: int) -> None:
        """Give a person's secret to another one who has none; delete it otherwise."""


class TextRedactor(Protocol):
    """Masks secrets in text that is about to leave."""

    def text(self, text: str) -> str:
        """The text with every known secret value and every common shape masked."""

    def card(self, card: Card) -> Card:
        """The card with every text that people see masked."""


class LineStream(Protocol):
    """An open log: iterate for lines; closing stops whatever feeds it."""

    def __aiter__(self) -> AsyncIterator[LogLine]: ...
