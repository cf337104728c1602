"""The bot itself, its chats and its servers in bot.toml."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from deploybot.settings.address_values import DockerAddress, ListenAddress, SshTarget, WebUrl, ssh_target
from deploybot.settings.setting_types import FileRef, HostKeys, Secret, SettingsPart, Switch, Whole
from deploybot.settings.value_shapes import Bytes, ConfiguredChannel, LocalPath, Name, Seconds, SecondsOrOff, TimeZone


class BotSettings(SettingsPart):
    """`[bot]`.

    `data` has the database, git mirrors, deployment logs and the local socket. `plugins` is the folder of your own
    commands. `keep_logs` limits the stored log of one deployment. `timezone` is the zone for times of day. With
    `grants` `two`, a second admin confirms each grant. With `admin_code`, admins type a one-time code for admin-only
    actions. At most `at_once` deployments run at the same time. A lock is reported again after each `lock_reminder`.
    """

    data: LocalPath = Path("/var/lib/deploybot")
    plugins: LocalPath | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"
    keep_logs: Bytes = 10_000_000
    timezone: TimeZone = ZoneInfo("UTC")
    grants: Literal["one", "two"] = "one"
    admin_code: Literal["totp"] | None = None
    at_once: Whole = Field(default=0, ge=0, le=1000)
    lock_reminder: SecondsOrOff = 86400.0


class ChatSettings(SettingsPart):
    """What the tables of all chats share: `channel` gets every notification about apps without a channel."""

    channel: ConfiguredChannel | None = None


class Http(SettingsPart):
    """`[http]`: where the bot's HTTP server listens, and its URL from outside.

    `token` gives access to `/metrics` and the details of `/healthz`. `max_body` limits the body of a webhook. `rate` is
    how many requests per second each webhook URL accepts, and ten times as many in a burst.
    """

    listen: ListenAddress = "127.0.0.1:8080"
    url: WebUrl | None = None
    token: Secret | None = None
    max_body: Bytes = 25 << 20
    rate: Whole = Field(default=100, ge=1, le=1_000_000)


class DockerTls(SettingsPart):
    """Client certificate files for an Engine on TCP."""

    ca: LocalPath
    cert: LocalPath
    key: LocalPath


class Server(SettingsPart):
    """`[servers.NAME]`: a machine, how it is reached, and its Docker Engine.

    `ssh` is `user@host`, `user@host:port` or `user@[IPv6]:port`. `docker` is a socket path on the server (through SSH),
    `unix:///path` on the bot's own machine, or `tcp://host:port` with `docker_tls`.
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
        """The SSH user."""
        return ssh_target(self.ssh)[0]

    @property
    def host(self) -> str:
        """The host name or address; an IPv6 address has no brackets."""
        return ssh_target(self.ssh)[1]

    @property
    def port(self) -> int:
        """The SSH port; default 22."""
        return ssh_target(self.ssh)[2]
