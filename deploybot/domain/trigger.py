"""What is deployed by itself: what a repository has now, and what bot.toml's `auto` wants of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from deploybot.domain.image_names import canonical_image
from deploybot.domain.person import Identity

AUTO = Identity("auto", "deploybot")
"""Who asks for what is deployed by itself: no chat has this platform, so nobody can speak as it."""
BOT_NAME = "deploybot"
"""The name of that person; nobody else may have it."""


def ref_key(source: str, commit: str) -> str:
    """What a push of a commit to `heads/main`, or of a tag `tags/v1`, is noted under with who made it."""
    return f"{source} {commit}"


def image_key(image: str, tag: str, digest: str) -> str:
    """What a push of an image under a tag is noted under with who made it."""
    return f"{canonical_image(image)}:{tag} {digest}"


@dataclass(frozen=True, slots=True)
class Heads:
    """What a repository has at one moment: full commits by branch and by tag, annotated tags peeled."""

    branches: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class TriggerState(enum.StrEnum):
    """Where a wish is. OPEN ones are gone after; an ASKED one is a card with a button; the others are ends.

    DONE is what somebody deployed by hand, LEFT what is not deployed automatically.
    """

    OPEN = "open"
    ASKED = "asked"
    DEPLOYED = "deployed"
    DONE = "done"
    OVERTAKEN = "overtaken"
    LEFT = "left"

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self not in {TriggerState.OPEN, TriggerState.ASKED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Something that `auto` wants, or would have wanted, in an environment.

    `source` is where it was found (`heads/develop`, `tags/v1.4`, `images`), `commit` is what runs with it, empty
    for the newest of the branch; `release` tells releases apart: the commit, or digests of images. `ref` is what is
    typed behind the app, `why` what brought it about, for people. `problem` says why it waits or was left; `shown`
    is the state that its card shows, empty where it has none. It is tried again at `next_at`. `deployment` is the
    number of what came of it, or 0.
    """

    app: str
    environment: str
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
        """What a person types to deploy it by hand."""
        return f"deploy {self.app}{f'@{self.ref}' if self.ref else ''} to {self.environment}"
