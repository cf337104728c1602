"""Automatic deployments: the heads of a repository, and the triggers that `auto` in bot.toml makes of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from deploybot.domain.image_names import canonical_image
from deploybot.domain.person import Identity

AUTO = Identity("auto", "deploybot")
"""The requester of automatic deployments. No chat has this platform, so no message can come from it."""
BOT_NAME = "deploybot"
"""The name of that person. No other person may have it."""


def ref_key(source: str, commit: str) -> str:
    """Return the key under which the author of a push is stored: a commit to `heads/main`, or of a tag `tags/v1`."""
    return f"{source} {commit}"


def release_key(source: str) -> str:
    """Return the key under which the publisher of a release is stored, for its tag `tags/v1`."""
    return f"release {source}"


def image_key(image: str, tag: str, digest: str) -> str:
    """Return the key under which the author of an image push is stored."""
    return f"{canonical_image(image)}:{tag} {digest}"


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads of a repository at one moment: full commits by branch and by tag, annotated tags peeled."""

    branches: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRef:
    """A branch or tag as people type it (`heads/v1` if a tag has the same name), its full commit and its time."""

    name: str
    commit: str
    at: float
    is_tag: bool


class AutoRule(enum.StrEnum):
    """A rule of `auto`, by its key in bot.toml: what a trigger came of."""

    BRANCH = "branch"
    TAG = "tag"
    RELEASE = "release"
    IMAGE = "image"


class TriggerState(enum.StrEnum):
    """The state of a trigger. OPEN and ASKED are pending: ASKED is shown on a card with a button. The others are final.

    DONE was deployed by hand, LEFT is not deployed automatically.
    """

    OPEN = "open"
    ASKED = "asked"
    DEPLOYED = "deployed"
    DONE = "done"
    OVERTAKEN = "overtaken"
    LEFT = "left"

    @property
    def ended(self) -> bool:
        """True if the state is final."""
        return self not in {TriggerState.OPEN, TriggerState.ASKED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A release that `auto` deploys, or would have deployed, in an environment.

    `rule` found it, at `source` (`heads/develop`, `tags/v1.4`, `images`). `commit` is the commit to deploy, empty for
    the newest of the branch. `release` identifies the release: the commit, or digests of images. `ref` is what a person
    types after the app, `why` the cause for people. `problem` is why it waits or was left. `shown` is the state on its
    card, empty if it has none. It is retried at `next_at`. `deployment` is the number of the deployment, or 0.
    """

    app: str
    environment: str
    rule: AutoRule
    source: str
    commit: str
    release: str
    ref: str
    why: str
    made: float
    number: int = 0
    state: TriggerState = TriggerState.OPEN
    problem: str = ""
    shown: str = ""
    tries: int = 0
    next_at: float = 0.0
    deployment: int = 0

    @property
    def command(self) -> str:
        """The command that deploys it by hand."""
        return f"deploy {self.app}{f'@{self.ref}' if self.ref else ''} to {self.environment}"
