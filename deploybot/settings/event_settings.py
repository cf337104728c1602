"""Events in bot.toml: incoming webhooks, automatic deployments, and reports to others."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from deploybot.settings.address_values import CallUrl
from deploybot.settings.event_values import EventKindName, ImageName, ImageTag, RegistryHost, ShownWindow
from deploybot.settings.part_names import ForgeKind
from deploybot.settings.setting_types import Secret, SettingsPart, Switch
from deploybot.settings.value_shapes import Channels, Glob, Name, one_or_many

Windows = Annotated[tuple[ShownWindow, ...], BeforeValidator(one_or_many)]
Globs = Annotated[tuple[Glob, ...], BeforeValidator(one_or_many)]
Texts = Annotated[tuple[str, ...], BeforeValidator(one_or_many)]
EVERY_APP = "*"


class Hook(SettingsPart):
    """`[apps.APP.hooks.SENDER]` and `[hooks.SENDER]`: a sender that may call, authenticated by its secret."""

    secret: Secret


class Notify(SettingsPart):
    """`[apps.APP.notify.NAME]`: which events go to which channel.

    A key left out matches everything; without `channel`, that of the environment or app is used. During the `quiet`
    hours, in the bot's time zone, only bad news is posted; the rest follows afterwards.
    """

    kinds: Annotated[tuple[EventKindName, ...], BeforeValidator(one_or_many)] = ()
    branches: Globs = ()
    environments: Annotated[tuple[Name, ...], BeforeValidator(one_or_many)] = ()
    channel: Channels = ()
    quiet: Windows = ()


class Auto(SettingsPart):
    """`auto = { … }` of an environment: what is deployed there automatically.

    At least one of `branch`, `tag`, `release` and `image`. With `after` or named `checks`, the commit's build must be
    green first. With `ask`, a card with a button is posted instead of deploying. At least one of `paths` must have
    changed.
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

    `tag` is an exact tag, which may move, a range of semantic versions such as `^1.4`, or a pattern with an order. For
    a range or a pattern, the newest tag is used.
    """

    filled: ClassVar[frozenset[str]] = frozenset({"service"})

    service: str = ""
    image: ImageName
    tag: ImageTag = "latest"


class RegistryLogin(SettingsPart):
    """`[registries.NAME]`: how the bot accesses a registry. `plain` is http without TLS, for your own network.

    The servers of `apps` get the login for pulls from there, and for builds. Without `apps` it stays with the bot.
    """

    host: RegistryHost
    user: str | None = None
    password: Secret | None = None
    plain: Switch = False
    apps: Annotated[tuple[str, ...], BeforeValidator(one_or_many)] = ()


class ForgeSettings(SettingsPart):
    """`[apps.APP.forge]`: where the repository is hosted, and the token to report there, or for artifacts."""

    kind: ForgeKind
    token: Secret
    api_url: CallUrl | None = None
    repository: str | None = None
