"""What reaches the bot by itself and what it tells others, as bot.toml has it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from deploybot.settings.address_values import CallUrl
from deploybot.settings.event_values import EventKindName, ImageName, ImageTag, RegistryHost, ShownWindow
from deploybot.settings.setting_types import Secret, SettingsPart, Switch
from deploybot.settings.value_shapes import Channels, Glob, Name, one_or_many

Windows = Annotated[tuple[ShownWindow, ...], BeforeValidator(one_or_many)]
Globs = Annotated[tuple[Glob, ...], BeforeValidator(one_or_many)]
Texts = Annotated[tuple[str, ...], BeforeValidator(one_or_many)]


class Hook(SettingsPart):
    """`[apps.APP.hooks.SENDER]` and `[hooks.SENDER]`: a sender that may call, by the secret that it proves to have."""

    secret: Secret


class Notify(SettingsPart):
    """`[apps.APP.notify.NAME]`: who is told of what. What is left out is no condition; `channel` is the app's then.

    In the hours of `quiet`, in the bot's time zone, nothing is said but what is bad; it is made up for afterwards.
    """

    kinds: Annotated[tuple[EventKindName, ...], BeforeValidator(one_or_many)] = ()
    branches: Globs = ()
    environments: Annotated[tuple[Name, ...], BeforeValidator(one_or_many)] = ()
    channel: Channels = ()
    quiet: Windows = ()


class Auto(SettingsPart):
    """`auto = { … }` of an environment: what is deployed there without anybody's asking.

    At least one of `branch`, `tag`, `release` and `image`. With `after`, or with named `checks`, the commit's build
    has to be green first. With `ask` nothing is deployed: a card with a button is said. `paths` are those of which at
    least one has to be touched.
    """

    branch: Glob | None = None
    tag: Glob | None = None
    release: Switch = False
    image: Switch = False
    after: Literal["ci"] | None = None
    checks: Texts = ()
    ask: Switch = False
    paths: Globs = ()


class ImageOf(SettingsPart):
    """`[apps.APP.images.SERVICE]`: the image that a Compose service runs, pinned by digest in each release.

    `tag` is an exact tag, which may move, a range of semantic versions such as `^1.4`, or a pattern with an order. Of a
    range and a pattern the newest is taken.
    """

    filled: ClassVar[frozenset[str]] = frozenset({"service"})

    service: str = ""
    image: ImageName
    tag: ImageTag = "latest"


class RegistryLogin(SettingsPart):
    """`[registries.NAME]`: how the bot asks a registry. `plain` is for http, without TLS, in one's own network."""

    host: RegistryHost
    user: str | None = None
    password: Secret | None = None
    plain: Switch = False


class ForgeSettings(SettingsPart):
    """`[apps.APP.forge]`: where the repository lives, and the token with which deployments are told there."""

    kind: Literal["github", "gitlab", "gitea", "forgejo"]
    token: Secret
    api_url: CallUrl | None = None
    repository: str | None = None


class OutgoingSettings(SettingsPart):
    """`[outgoing.NAME]`: an address that is told of deployments, signed by the Standard Webhooks scheme."""

    url: CallUrl
    secret: Secret
    apps: Annotated[tuple[Name, ...], BeforeValidator(one_or_many)] = ()


class Otel(SettingsPart):
    """`[otel]`: OpenTelemetry traces of deployments, by OTLP over HTTP. Needs `deploybot[otel]`."""

    endpoint: CallUrl
    headers: dict[str, Secret] = Field(default_factory=dict)
    service: str = "deploybot"
