"""bot.toml as frozen types: what each key is, its unit and its default.

The field names are the keys. The types here check single values. `deploybot.config` reads the file into these types,
checks rules about several keys, and reads the secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from deploybot.domain import Channel, Identity
from deploybot.part_tables import CHAT_TABLE
from deploybot.settings.app_settings import (
    PER_ENVIRONMENT,
    App,
    ComposeSettings,
    Environment,
    HealthSettings,
    Logs,
    Rollout,
    Shared,
    SwitchTask,
)
from deploybot.settings.artifact_settings import ArtifactSettings
from deploybot.settings.audit_settings import AuditCall, AuditExport
from deploybot.settings.bot_settings import BotSettings, ChatSettings, DockerTls, Http, Server
from deploybot.settings.event_settings import (
    EVERY_APP,
    Auto,
    ForgeSettings,
    Hook,
    ImageOf,
    Notify,
    RegistryLogin,
)
from deploybot.settings.part_names import SenderName
from deploybot.settings.setting_types import FileRef, HostKeys, Secret, SettingsPart, Switch, Whole
from deploybot.settings.signing_settings import Signer
from deploybot.settings.value_shapes import Name

__all__ = [
    "EVERY_APP",
    "PER_ENVIRONMENT",
    "App",
    "ArtifactSettings",
    "AuditCall",
    "AuditExport",
    "Auto",
    "BotSettings",
    "ChatSettings",
    "ComposeSettings",
    "DockerTls",
    "Environment",
    "FileRef",
    "ForgeSettings",
    "HealthSettings",
    "Hook",
    "HostKeys",
    "Http",
    "ImageOf",
    "Logs",
    "Notify",
    "RegistryLogin",
    "Rollout",
    "Secret",
    "SenderName",
    "Server",
    "Settings",
    "SettingsPart",
    "Shared",
    "Signer",
    "Switch",
    "SwitchTask",
    "Whole",
    "project_name",
]


class Settings(SettingsPart):
    """The whole of bot.toml. Apps and environments have their names and their app's defaults filled in.

    Parts of the bot add tables of their own: `table` and `tables` return them. `hints` name what bot.toml writes in an
    old form that still works, and the new form.
    """

    filled: ClassVar[frozenset[str]] = frozenset({"path", "hints"})

    bot: BotSettings = Field(default_factory=BotSettings)
    servers: dict[Name, Server] = Field(default_factory=dict)
    apps: dict[Name, App] = Field(default_factory=dict)
    http: Http | None = None
    hooks: dict[SenderName, Hook] = Field(default_factory=dict)
    registries: dict[Name, RegistryLogin] = Field(default_factory=dict)
    signers: dict[Name, Signer] = Field(default_factory=dict)
    audit: AuditExport | None = None
    path: Path | None = Field(default=None, exclude=True)
    hints: tuple[str, ...] = Field(default=(), exclude=True)

    def chats(self) -> Mapping[str, ChatSettings]:
        """Return the tables of the chats in bot.toml, by name, in the order of the table of chats."""
        found = {name: vars(self).get(name) for name in CHAT_TABLE}
        return {name: table for name, table in found.items() if isinstance(table, ChatSettings)}

    def direct_channel(self, identity: Identity) -> Channel | None:
        """Return a person's direct channel, or None without that chat."""
        if identity.platform in self.chats() and CHAT_TABLE[identity.platform].direct:
            return Channel(identity.platform, identity.user, private=True)
        return None


def project_name(app: App, environment: Environment) -> str:
    """Return the Compose project of an app's environment: the configured one, or `app-environment`."""
    return app.at(environment).compose.project or f"{app.name}-{environment.name}"
