"""Apps and their environments, as bot.toml has them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from deploybot.settings.address_values import HealthUrl, HostPort, Repository
from deploybot.settings.event_settings import Auto, ForgeSettings, Hook, ImageOf, Notify
from deploybot.settings.event_values import SenderName
from deploybot.settings.setting_types import FileRef, HostKeys, Secret, SettingsPart, Switch, Whole
from deploybot.settings.value_shapes import (
    AbsolutePath,
    Approvers,
    BranchName,
    Bytes,
    Channels,
    EnvName,
    Glob,
    JournalUnit,
    Name,
    RefRules,
    RelativePath,
    Seconds,
    SecondsOrOff,
    ServerPath,
    ServiceName,
    ServiceOrAll,
    ShellText,
    TimeZone,
)


class HealthSettings(SettingsPart):
    """`health = { … }`: exactly one of http, tcp, docker and command. `status` 0 takes any 2xx."""

    http: HealthUrl | None = None
    tcp: HostPort | None = None
    docker: Switch = False
    command: ShellText | None = None
    within: Seconds = 60.0
    status: Whole = Field(default=0, ge=0, le=599)


class ComposeSettings(SettingsPart):
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


def _apart(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Paths in their shortest form, none of them within another one."""
    plain = ["/".join(part for part in path.split("/") if part not in {"", "."}) for path in paths]
    for path in plain:
        if not path:
            raise ValueError("should be paths in the folder, not the folder itself")
        if within := next((one for one in plain if path.startswith(f"{one}/")), ""):
            raise ValueError(f"has {path}, which {within} contains already")
    return tuple(dict.fromkeys(plain))


class Shared(SettingsPart):
    """`shared = { from = …, paths = […] }`: paths of a folder on the server that every release links to.

    The folder may be one that is there already, such as the checkout that an app ran from before: nothing is moved.
    """

    source: AbsolutePath = Field(alias="from")
    paths: Annotated[tuple[RelativePath, ...], AfterValidator(_apart)] = Field(min_length=1)


class Logs(SettingsPart):
    """`logs = { … }`: where an app's log is; exactly one. `docker` names a Compose service, or `*`.

    `timezone` is that of times without one in a file or in what a command prints; None for the server's.
    """

    docker: ServiceOrAll | None = None
    file: AbsolutePath | None = None
    journald: JournalUnit | None = None
    command: ShellText | None = None
    timezone: TimeZone | None = None


class Environment(SettingsPart):
    """`[apps.APP.environments.NAME]`. What is left out is taken from the app.

    With `approvals`, so many of `approvers` (a role, or persons as `@ana`), each another one than who asked, have
    to approve within `approval_within` what changes what runs; with `approvals_exclude` one of them has to be somebody
    who wrote none of it. `after` names the environment of the app in which a release has to be healthy before. Only
    commits that `refs` allow are deployed, where there are any, and with `signed` only those with a good signature of
    one of `[signers]`.
    """

    filled: ClassVar[frozenset[str]] = frozenset({"name", "app"})

    name: str = ""
    app: str = ""
    servers: tuple[Name, ...] = Field(min_length=1)
    default: Switch = False
    directory: AbsolutePath | None = None
    health: HealthSettings | None = None
    env: dict[EnvName, str] = Field(default_factory=dict)
    secrets: dict[EnvName, Secret] = Field(default_factory=dict)
    shared: Shared | None = None
    on_failure: Literal["restore", "leave"] = "restore"
    approvals: Whole = Field(default=0, ge=0, le=20)
    approvers: Approvers = ("approver",)
    approval_within: Seconds = 14400.0
    approval_code: Literal["totp"] | None = None
    approvals_exclude: Literal["authors"] | None = None
    after: Name | None = None
    refs: RefRules = ()
    signed: Switch = False
    auto: Auto | None = None


class App(SettingsPart):
    """`[apps.NAME]`: a thing that is deployed.

    `build` (strategy `files`) and `restart` (`files` and `script`) are shell text, `output` is the folder
    that the build leaves; `script` is the path of the repository's own deploy script; `keep` is how many good releases
    stay deployable. Containers must stay up `stable` seconds after they became healthy; a restore is tried for
    `restore_within` seconds. `need_disk` and `need_memory` must be free on the server before anything starts. What
    `auto` waits for is looked up every `poll` seconds, in case a webhook was missed.
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
    compose: ComposeSettings = Field(default_factory=ComposeSettings)
    build: ShellText | None = None
    output: RelativePath | None = None
    restart: ShellText | None = None
    script: RelativePath | None = None
    health: HealthSettings | None = None
    stable: SecondsOrOff = 10.0
    restore_within: Seconds = 600.0
    shared: Shared | None = None
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
    hooks: dict[SenderName, Hook] = Field(default_factory=dict)
    notify: dict[Name, Notify] = Field(default_factory=dict)
    images: dict[ServiceName, ImageOf] = Field(default_factory=dict)
    forge: ForgeSettings | None = None
    poll: Seconds = 300.0
    environments: dict[Name, Environment] = Field(min_length=1)
