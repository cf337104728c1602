"""bot.toml as frozen types: what each key is, its unit and its default.

`deploybot.config` reads the file into these and explains what is wrong. The field names are the keys.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, StringConstraints

from deploybot.units import duration, size


def _inside(path: str) -> str:
    """A relative path that stays inside its folder."""
    if not path or path.startswith(("/", "-")) or ".." in path.split("/") or not path.isprintable():
        raise ValueError("should be a relative path without `..`")
    return path


Seconds = Annotated[float, BeforeValidator(duration)]
Bytes = Annotated[int, BeforeValidator(size)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
RelativePath = Annotated[str, AfterValidator(_inside)]
AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/[^\x00\n]*$")]


class Part(BaseModel):
    """A table of bot.toml: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Secret(Part):
    """A value kept outside bot.toml: in the environment (`env`) or in a file (`file`); exactly one."""

    env: EnvName | None = None
    file: Path | None = None
    _value: str = PrivateAttr(default="")

    def reveal(self) -> str:
        """The value itself: only for the place that uses it."""
        return self._value

    def __repr__(self) -> str:
        """Where it comes from, never the value."""
        return f"Secret({'env ' + self.env if self.env else 'file ' + str(self.file)})"

    __str__ = __repr__


class FileRef(Part):
    """A file that holds a key or certificate: `{ file = "PATH" }`."""

    file: Path


class BotSettings(Part):
    """`[bot]`."""

    data: Path = Path("/var/lib/deploybot")
    plugins: Path | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    keep_logs: Bytes = 10_000_000


class DockerTls(Part):
    """Client certificate files for an Engine on TCP."""

    ca: Path
    cert: Path
    key: Path


class Server(Part):
    """`[servers.NAME]`: a machine, how it is reached, and its Docker Engine.

    `docker` is a socket path on the server (through SSH), `unix:///path` on the bot's own machine, or
    `tcp://host:port` with `docker_tls`.
    """

    name: str = ""
    ssh: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+@[A-Za-z0-9_.:\[\]-]+$")]
    key: FileRef | None = None
    passphrase: Secret | None = None
    certificate: FileRef | None = None
    password: Secret | None = None
    agent: bool = False
    jump: Name | None = None
    host_key: tuple[str, ...] | str = ()
    docker: str | None = None
    docker_tls: DockerTls | None = None
    connect_timeout: Seconds = 10.0


class Health(Part):
    """`health = { … }`: exactly one of http, tcp, docker and command. `status` 0 takes any 2xx."""

    http: str | None = None
    tcp: str | None = None
    docker: bool = False
    command: str | None = None
    within: Seconds = 60.0
    status: int = Field(default=0, ge=0, le=599)


class Compose(Part):
    """`compose = { … }`: how the `compose` strategy calls Compose.

    `source` is `build` (images are built on the server) or `images` (pulled and pinned by digest).
    `order` brings services up one after the other instead of all at once.
    """

    files: tuple[RelativePath, ...] = ()
    profiles: tuple[Name, ...] = ()
    env_file: str | None = None
    project: Name | None = None
    source: Literal["build", "images"] = "build"
    order: tuple[str, ...] = ()
    wait: Seconds = 120.0


class Logs(Part):
    """`logs = { … }`: where an app's log is; exactly one. `docker` names a Compose service, or `*`."""

    docker: str | None = None
    file: AbsolutePath | None = None
    journald: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9@_.:-]+$")] | None = None
    command: str | None = None


class Environment(Part):
    """`[apps.APP.environments.NAME]`. What is left out is taken from the app."""

    name: str = ""
    app: str = ""
    servers: tuple[Name, ...] = Field(min_length=1)
    default: bool = False
    directory: AbsolutePath | None = None
    health: Health | None = None
    env: dict[EnvName, str] = Field(default_factory=dict)
    secrets: dict[EnvName, Secret] = Field(default_factory=dict)
    on_failure: Literal["restore", "leave"] = "restore"
    channel: str | None = None


class App(Part):
    """`[apps.NAME]`: a thing that is deployed.

    `build` and `restart` are shell text for the `files` strategy, `output` the folder that the build
    leaves; `script` is the path of the repository's own deploy script; `keep` is how many good releases
    stay deployable; `need_disk` and `need_memory` must be free on the server before anything starts.
    """

    name: str = ""
    repo: str
    repo_key: FileRef | None = None
    repo_host_key: tuple[str, ...] | str = ()
    repo_token: Secret | None = None
    branch: str | None = None
    strategy: Literal["compose", "files", "script"]
    directory: AbsolutePath
    compose: Compose = Field(default_factory=Compose)
    build: str | None = None
    output: RelativePath | None = None
    restart: str | None = None
    script: RelativePath | None = None
    health: Health | None = None
    logs: Logs | None = None
    env: dict[EnvName, str] = Field(default_factory=dict)
    secrets: dict[EnvName, Secret] = Field(default_factory=dict)
    tasks: dict[Name, str] = Field(default_factory=dict)
    warn_paths: tuple[str, ...] = ()
    keep: int = Field(default=5, ge=1, le=100)
    need_disk: Bytes = 500_000_000
    need_memory: Bytes = 0
    step_timeout: Seconds = 900.0
    channel: str | None = None
    environments: dict[Name, Environment] = Field(min_length=1)


class Settings(Part):
    """The whole of bot.toml. Apps and environments carry their names and their app's defaults."""

    bot: BotSettings = Field(default_factory=BotSettings)
    servers: dict[Name, Server] = Field(default_factory=dict)
    apps: dict[Name, App] = Field(default_factory=dict)
    path: Path | None = Field(default=None, exclude=True)


def project_name(app: App, environment: Environment) -> str:
    """The Compose project of an app's environment: the configured one, or `app-environment`."""
    return app.compose.project or f"{app.name}-{environment.name}"
