"""Apps and their environments in bot.toml."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator

from deploybot.settings.address_values import HealthPort, HealthUrl, Repository
from deploybot.settings.artifact_settings import ArtifactSettings
from deploybot.settings.event_settings import Auto, ForgeSettings, Hook, ImageOf, Notify
from deploybot.settings.event_values import ImageName, ImageTag
from deploybot.settings.part_names import SenderName, StrategyName
from deploybot.settings.setting_types import FileRef, HostKeys, Secret, SettingsPart, Switch, Whole
from deploybot.settings.value_shapes import (
    AbsolutePath,
    Approvers,
    BatchSize,
    BranchName,
    Bytes,
    Canary,
    Channels,
    EnvName,
    Freezes,
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
    one_or_many_or_table,
)


class HealthSettings(SettingsPart):
    """`health = { … }`: exactly one of http, tcp, docker and command. `status` 0 accepts any 2xx."""

    http: HealthUrl | None = None
    tcp: HealthPort | None = None
    docker: Switch = False
    command: ShellText | None = None
    within: Seconds = 60.0
    status: Whole = Field(default=0, ge=0, le=599)


class ComposeSettings(SettingsPart):
    """`compose = { … }`: how the `compose` strategy calls Compose.

    With `source` `build`, images are built on the server; with `images` they are pulled and pinned by digest. `order`
    starts services one after the other instead of all at once.
    """

    files: tuple[RelativePath, ...] = ()
    profiles: tuple[ServiceName, ...] = ()
    env_file: ServerPath | None = None
    project: Name | None = None
    source: Literal["build", "images"] = "build"
    order: tuple[ServiceName, ...] = ()
    wait: Seconds = 120.0


def _apart(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths in their shortest form. Raises ValueError if one is inside another."""
    plain = ["/".join(part for part in path.split("/") if part not in {"", "."}) for path in paths]
    for path in plain:
        if not path:
            raise ValueError("should be paths in the folder, not the folder itself")
        if within := next((one for one in plain if path.startswith(f"{one}/")), ""):
            raise ValueError(f"lists {path}, which is already inside {within}")
    return tuple(dict.fromkeys(plain))


class Shared(SettingsPart):
    """`shared = { from = …, paths = […] }`: paths of a folder on the server that every release links to.

    The folder may already exist, such as the checkout that an app ran from before. Nothing is moved.
    """

    source: AbsolutePath = Field(alias="from")
    paths: Annotated[tuple[RelativePath, ...], AfterValidator(_apart)] = Field(min_length=1)


class Logs(SettingsPart):
    """`logs = { … }`: where an app's log is; exactly one source. `docker` names a Compose service, or `*`.

    `timezone` applies to times without a zone in a file or in a command's output; None for the server's.
    """

    docker: ServiceOrAll | None = None
    file: AbsolutePath | None = None
    journald: JournalUnit | None = None
    command: ShellText | None = None
    timezone: TimeZone | None = None


class EnvironmentImage(SettingsPart):
    """`[apps.APP.environments.NAME.images.SERVICE]`: the image of a service there. Keys left out are the app's."""

    image: ImageName | None = None
    tag: ImageTag | None = None


class SwitchTask(SettingsPart):
    """An item of `before_switch` and `after_switch`: a task that runs around the switch to a release.

    `on` `first` runs it once, on the first server of the roll-out, `each` on each server. It may take `within` seconds,
    by default the app's `step_timeout`. A rollback runs it only with `on_rollback`.
    """

    task: Name
    on: Literal["first", "each"] = "first"
    within: Seconds | None = None
    on_rollback: Switch = False

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: object) -> object:
        return {"task": given} if isinstance(given, str) else given


SwitchTasks = Annotated[tuple[SwitchTask, ...], BeforeValidator(one_or_many_or_table)]


class Rollout(SettingsPart):
    """`rollout = { … }`: in which groups the servers of an environment are switched.

    `batch` servers, or that share of them, are switched side by side. The servers of `canary` come first, in a batch of
    their own. Between two batches the bot waits `pause` seconds and checks that what was switched stays healthy. With
    `on_down` `skip`, a server that does not answer is left as it is; the canary never is.
    """

    batch: BatchSize = 1
    canary: Canary = 0
    pause: SecondsOrOff = 0.0
    on_down: Literal["stop", "skip"] = "stop"


class Environment(SettingsPart):
    """`[apps.APP.environments.NAME]`. Keys left out are taken from the app.

    The names of `env`, `secrets` and `tasks`, the services of `images` and the keys of `compose` are added to the
    app's, or replace them. `App.at` returns the result: read a key that both tables have only there.

    `approvals` people out of `approvers` (a role, or names such as `@ana`) must approve each change of what runs,
    within `approval_within`. They must differ from each other and from the requester. For a rollback to what ran well
    there, `rollback_approvals` are enough; None for as many as `approvals`. With `approvals_exclude`, one of
    them must not be an author of the change. `after` names the environment of the app in which a release must be
    healthy first. If `refs` is set, only commits that it allows are deployed. With `signed`, only commits with a good
    signature of one of `[signers]` are deployed. In the hours and on the dates of `freeze`, in the bot's time zone,
    nothing new is deployed.

    A new release is compared with the old one for `watch` seconds after the canary and after the last batch. If it does
    worse, it is rolled back unless a person vetoes that within `veto` seconds.
    """

    filled: ClassVar[frozenset[str]] = frozenset({"name", "app"})

    name: str = ""
    app: str = ""
    servers: tuple[Name, ...] = Field(min_length=1)
    default: Switch = False
    branch: BranchName | None = None
    directory: AbsolutePath | None = None
    compose: ComposeSettings | None = None
    build: ShellText | None = None
    output: RelativePath | None = None
    restart: ShellText | None = None
    script: RelativePath | None = None
    health: HealthSettings | None = None
    stable: SecondsOrOff | None = None
    restore_within: Seconds | None = None
    shared: Shared | None = None
    logs: Logs | None = None
    env: dict[EnvName, str] = Field(default_factory=dict)
    secrets: dict[EnvName, Secret] = Field(default_factory=dict)
    tasks: dict[Name, ShellText] = Field(default_factory=dict)
    warn_paths: tuple[Glob, ...] = ()
    keep: Whole | None = Field(default=None, ge=1, le=100)
    need_disk: Bytes | None = None
    need_memory: Bytes | None = None
    step_timeout: Seconds | None = None
    channel: Channels = ()
    images: dict[ServiceName, EnvironmentImage] = Field(default_factory=dict)
    on_failure: Literal["restore", "leave"] = "restore"
    rollout: Rollout | None = None
    watch: Seconds | None = None
    veto: SecondsOrOff | None = None
    before_switch: SwitchTasks | None = None
    after_switch: SwitchTasks | None = None
    approvals: Whole = Field(default=0, ge=0, le=20)
    rollback_approvals: Whole | None = Field(default=None, ge=0, le=20)
    approvers: Approvers = ("approver",)
    approval_within: Seconds = 14400.0
    approval_code: Literal["totp"] | None = None
    approvals_exclude: Literal["authors"] | None = None
    after: Name | None = None
    refs: RefRules = ()
    signed: Switch = False
    freeze: Freezes = ()
    auto: Auto | None = None


class App(SettingsPart):
    """`[apps.NAME]`: an app to deploy.

    `build` (strategy `files`) and `restart` (`files` and `script`) are shell text, `output` is the folder that the
    build creates. `script` is the path of the release's own deploy script. With `artifact`, releases are built files.
    Without that and `repo`, the Compose files are in `directory` on each server, and the bot never changes them. `keep`
    is how many successful releases
    stay on each server. Containers must stay up `stable` seconds after they became healthy. A restore is tried for
    `restore_within` seconds. `need_disk` and `need_memory` must be free on the server before anything starts. What
    `auto` waits for is checked every `poll` seconds, in case a webhook was missed.
    """

    filled: ClassVar[frozenset[str]] = frozenset({"name"})

    name: str = ""
    repo: Repository | None = None
    repo_key: FileRef | None = None
    repo_host_key: HostKeys = ()
    repo_token: Secret | None = None
    branch: BranchName | None = None
    artifact: ArtifactSettings | None = None
    strategy: StrategyName
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
    before_switch: SwitchTasks | None = None
    after_switch: SwitchTasks | None = None
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
    _whole: App | None = PrivateAttr(default=None)
    _environment: str = PrivateAttr(default="")

    def at(self, environment: Environment | str) -> App:
        """Return the app as it is in one of its environments: with the keys that the environment's table has.

        Nothing else decides what holds for a target. Returns the app as a whole if nothing differs there, or for a name
        that it does not have. The result may be asked for another environment, too.
        """
        whole = self._whole or self
        here = whole.environments.get(environment) if isinstance(environment, str) else environment
        if here is None:
            return whole
        if self._whole is not None and self._environment == here.name:
            return self
        # Own Compose settings always count: a site may have those of a record, which must not be replaced again.
        own = {
            key: value
            for key, value in _values_there(whole, here).items()
            if key == "compose" or value != getattr(whole, key)
        }
        if not own and not whole.has_own_files:
            return whole
        # An app whose files are on servers knows its environment, because what it runs is read on those servers.
        there = whole.model_copy(update=own)
        there._whole, there._environment = whole, here.name  # noqa: SLF001  its own class
        return there

    @property
    def environment(self) -> str:
        """The name of the environment that `at` was asked for; empty for the app as a whole.

        It may also be empty if nothing differs there and the app has a repository.
        """
        return self._environment

    @property
    def bot_folder(self) -> str:
        """The folder on each server in which the bot keeps the app's releases and its own files.

        It is `directory`, or `.deploybot` in it if the app's own files are there: the Compose files are beside it then.
        """
        return f"{self.directory}/.deploybot" if self.has_own_files else self.directory

    @property
    def server_folder(self) -> str:
        """The folder on each server with the app's own Compose files; empty if they come with a release."""
        return self.directory if self.has_own_files else ""

    @property
    def has_own_files(self) -> bool:
        """Whether its files are on its servers: without a repository and artifacts, images are its releases."""
        return not self.repo and self.artifact is None

    @property
    def compose_source(self) -> Literal["build", "images"]:
        """How its images are made. Without a repository, nothing is built."""
        return self.compose.source if self.repo else "images"

    @property
    def has_images(self) -> bool:
        """Whether images belong to its releases: those of bot.toml, or those that the servers' Compose files name."""
        return bool(self.images) or self.has_own_files

    def everywhere(self) -> Iterator[App]:
        """Yield the app as it is in each of its environments."""
        return (self.at(one) for one in self.environments.values())


PER_ENVIRONMENT = frozenset(App.model_fields.keys() & Environment.model_fields.keys()) - {"name"}
"""The keys that an environment may have instead of its app."""


def _values_there(app: App, environment: Environment) -> dict[str, object]:
    """Return the values of an app that differ in an environment."""
    given = {key: getattr(environment, key) for key in PER_ENVIRONMENT & environment.model_fields_set}
    found = {key: value for key, value in given.items() if value is not None}
    for key in found.keys() & {"env", "secrets", "tasks"}:
        found[key] = {**getattr(app, key), **found[key]}
    if "images" in found:
        found["images"] = {**app.images, **dict(_images_there(app, environment))}
    if environment.compose is not None:
        found["compose"] = app.compose.model_copy(update=_given(environment.compose))
    return found


def _images_there(app: App, environment: Environment) -> Iterator[tuple[str, ImageOf]]:
    for service, one in environment.images.items():
        # An image that neither table names was reported when bot.toml was read.
        known = app.images.get(service) or ImageOf.model_construct(image="")
        yield service, known.model_copy(update={key: value for key, value in _given(one).items() if value})


def _given(part: SettingsPart) -> dict[str, object]:
    """Return the keys that a table has, with their values."""
    return {key: getattr(part, key) for key in part.model_fields_set}
