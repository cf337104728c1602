"""bot.toml as frozen types: what each key is, its unit and its default.

The field names are the keys. What one value must look like is said here; what several keys must be
together, and where secrets come from, is checked by `deploybot.config`, which reads the file into these.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, Strict, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from deploybot.shapes import (
    AbsolutePath,
    Approvers,
    BranchName,
    Bytes,
    Channels,
    DockerAddress,
    EnvName,
    Glob,
    HealthUrl,
    HostKey,
    HostPort,
    JournalUnit,
    LocalPath,
    Name,
    RelativePath,
    Repository,
    Seconds,
    ServerPath,
    ServiceName,
    ServiceOrAll,
    ShellText,
    SlackChannel,
    SshTarget,
    TimeZone,
    WebUrl,
    one_or_many,
    ssh_target,
)

HostKeys = Annotated[tuple[HostKey, ...], BeforeValidator(one_or_many)]
Switch = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]


class Part(BaseModel):
    """A table of bot.toml: frozen, and an unknown key is an error. `filled` are fields that are no keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    filled: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def known_keys(cls) -> dict[str, FieldInfo]:
        """The keys that bot.toml may hold in this table."""
        return {name: field for name, field in cls.model_fields.items() if name not in cls.filled}


class Secret(Part):
    """A value kept outside bot.toml: in the environment (`env`) or in a file (`file`); exactly one."""

    env: EnvName | None = None
    file: LocalPath | None = None
    _value: str = PrivateAttr(default="")

    @model_validator(mode="before")
    @classmethod
    def _no_value(cls, given: object) -> object:
        if isinstance(given, dict | Secret):
            return given
        raise PydanticCustomError(
            "plain", 'is a secret, and no secret stands in bot.toml: write { env = "NAME" } or { file = "PATH" }'
        )

    def fill(self, value: str) -> None:
        """Take the value: only for the config, once, when bot.toml is read."""
        self._value = value

    def reveal(self) -> str:
        """The value itself: only for the place that uses it."""
        return self._value

    def __repr__(self) -> str:
        """Where it comes from, never the value."""
        return f"Secret({self.source})"

    __str__ = __repr__

    @property
    def source(self) -> str:
        """`env NAME` or `file PATH`, for people."""
        return f"env {self.env}" if self.env else f"file {self.file}"


class FileRef(Part):
    """A file that holds a key or certificate: `{ file = "PATH" }`."""

    file: LocalPath

    @model_validator(mode="before")
    @classmethod
    def _no_content(cls, given: object) -> object:
        if isinstance(given, dict | FileRef):
            return given
        raise PydanticCustomError("plain", 'is given as a file: write { file = "PATH" }')


class BotSettings(Part):
    """`[bot]`.

    `data` holds the database, git mirrors, logs of deployments and the local socket; `plugins` your own
    commands; `keep_logs` bounds the kept log of one deployment; times of day are meant in `timezone`.
    """

    data: LocalPath = Path("/var/lib/deploybot")
    plugins: LocalPath | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    keep_logs: Bytes = 10_000_000
    timezone: TimeZone = ZoneInfo("UTC")


class Slack(Part):
    """`[slack]`: Socket Mode with `app_token`, HTTP mode with `signing_secret`. `channel` is told of everything."""

    bot_token: Secret
    app_token: Secret | None = None
    signing_secret: Secret | None = None
    channel: SlackChannel | None = None
    api_url: WebUrl = "https://slack.com/api"


class Telegram(Part):
    """`[telegram]`: long polling, or a webhook with `webhook_secret`. `chat` and its `topic` are told of everything."""

    token: Secret
    chat: Whole | None = None
    topic: Whole = Field(default=0, ge=0)
    webhook_secret: Secret | None = None
    api_url: WebUrl = "https://api.telegram.org"


class Http(Part):
    """`[http]`: where the bot's HTTP server listens, and the address by which it is reached from outside."""

    listen: HostPort = "127.0.0.1:8080"
    url: WebUrl | None = None


class DockerTls(Part):
    """Client certificate files for an Engine on TCP."""

    ca: LocalPath
    cert: LocalPath
    key: LocalPath


class Server(Part):
    """`[servers.NAME]`: a machine, how it is reached, and its Docker Engine.

    `ssh` is `user@host`, `user@host:port` or `user@[IPv6]:port`. `docker` is a socket path on the server
    (through SSH), `unix:///path` on the bot's own machine, or `tcp://host:port` with `docker_tls`.
    """

    filled: ClassVar[frozenset[str]] = frozenset({"name"})

    name: str = ""
    ssh: SshTarget
    key: FileRef | None = None
    passphrase: Secret | None = None
    certificate: FileRef | None = None
    password: Secret | None = None
    agent: Switch = False
    jump: Name | None = None
    host_key: HostKeys = ()
    docker: DockerAddress | None = None
    docker_tls: DockerTls | None = None
    connect_timeout: Seconds = 10.0

    @property
    def user(self) -> str:
        """Whom the bot logs in as."""
        return ssh_target(self.ssh)[0]

    @property
    def host(self) -> str:
        """The host name or address, an IPv6 address without its brackets."""
        return ssh_target(self.ssh)[1]

    @property
    def port(self) -> int:
        """The SSH port, 22 where none is given."""
        return ssh_target(self.ssh)[2]


class Health(Part):
    """`health = { … }`: exactly one of http, tcp, docker and command. `status` 0 takes any 2xx."""

    http: HealthUrl | None = None
    tcp: HostPort | None = None
    docker: Switch = False
    command: ShellText | None = None
    within: Seconds = 60.0
    status: Whole = Field(default=0, ge=0, le=599)


class Compose(Part):
    """`compose = { … }`: how the `compose` strategy calls Compose.

    `source` is `build` (images are built on the server) or `images` (pulled and pinned by digest).
    `order` brings services up one after the other instead of all at once.
    """

    files: tuple[RelativePath, ...] = ()
    profiles: tuple[ServiceName, ...] = ()
    env_file: ServerPath | None = None
    project: Name | None = None
    source: Literal["build", "images"] = "build"
    order: tuple[ServiceName, ...] = ()
    wait: Seconds = 120.0


class Logs(Part):
    """`logs = { … }`: where an app's log is; exactly one. `docker` names a Compose service, or `*`."""

    docker: ServiceOrAll | None = None
    file: AbsolutePath | None = None
    journald: JournalUnit | None = None
    command: ShellText | None = None


class Environment(Part):
    """`[apps.APP.environments.NAME]`. What is left out is taken from the app.

    With `approvals`, so many of `approvers` (a role, or persons as `@ana`), each another one than who asked, have
    to approve within `approval_within` what changes what runs. `after` names the environment of the app in which a
    release has to be healthy before.
    """

    filled: ClassVar[frozenset[str]] = frozenset({"name", "app"})

    name: str = ""
    app: str = ""
    servers: tuple[Name, ...] = Field(min_length=1)
    default: Switch = False
    directory: AbsolutePath | None = None
    health: Health | None = None
    env: dict[EnvName, str] = Field(default_factory=dict)
    secrets: dict[EnvName, Secret] = Field(default_factory=dict)
    on_failure: Literal["restore", "leave"] = "restore"
    approvals: Whole = Field(default=0, ge=0, le=20)
    approvers: Approvers = ("approver",)
    approval_within: Seconds = 14400.0
    approval_code: Literal["totp"] | None = None
    after: Name | None = None


class App(Part):
    """`[apps.NAME]`: a thing that is deployed.

    `build` (strategy `files`) and `restart` (`files` and `script`) are shell text, `output` is the folder
    that the build leaves; `script` is the path of the repository's own deploy script; `keep` is how many good releases
    stay deployable; `need_disk` and `need_memory` must be free on the server before anything starts.
    """

    filled: ClassVar[frozenset[str]] = frozenset({"name"})

    name: str = ""
    repo: Repository
    repo_key: FileRef | None = None
    repo_host_key: HostKeys = ()
    repo_token: Secret | None = None
    branch: BranchName | None = None
    strategy: Literal["compose", "files", "script"]
    directory: AbsolutePath
    compose: Compose = Field(default_factory=Compose)
    build: ShellText | None = None
    output: RelativePath | None = None
    restart: ShellText | None = None
    script: RelativePath | None = None
    health: Health | None = None
    logs: Logs | None = None
    env: dict[EnvName, str] = Field(default_factory=dict)
    secrets: dict[EnvName, Secret] = Field(default_factory=dict)
    tasks: dict[Name, ShellText] = Field(default_factory=dict)
    warn_paths: tuple[Glob, ...] = ()
    keep: Whole = Field(default=5, ge=1, le=100)
    need_disk: Bytes = 500_000_000
    need_memory: Bytes = 0
    step_timeout: Seconds = 900.0
    channel: Channels = ()
    environments: dict[Name, Environment] = Field(min_length=1)


class Settings(Part):
    """The whole of bot.toml. Apps and environments carry their names and their app's defaults."""

    filled: ClassVar[frozenset[str]] = frozenset({"path"})

    bot: BotSettings = Field(default_factory=BotSettings)
    servers: dict[Name, Server] = Field(default_factory=dict)
    apps: dict[Name, App] = Field(default_factory=dict)
    slack: Slack | None = None
    telegram: Telegram | None = None
    http: Http | None = None
    path: Path | None = Field(default=None, exclude=True)


def project_name(app: App, environment: Environment) -> str:
    """The Compose project of an app's environment: the configured one, or `app-environment`."""
    return app.compose.project or f"{app.name}-{environment.name}"
