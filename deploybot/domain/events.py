"""What others tell the bot: pushes, builds, images, alerts. Times are seconds since the epoch, 0.0 where unknown.

Every text in here came from outside and is literal. What an event says is a hint, not the truth: before anything is
deployed, the repository or the registry is asked what is there.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from deploybot.domain.person import Identity

OWN = "deploybot"
"""What the bot marks its own deployments and statuses on forges with, because they come back as events.

A commit status is the bot's own where its name (context) is this word or begins with `deploybot/`; a deployment where
the object in its `payload` has this key, or this is the first word of its description.
"""


@dataclass(frozen=True, slots=True)
class Author:
    """Who brought something about, as the sender names them, and no address: nobody asks for it.

    `identity` only by an id that never changes.
    """

    name: str = ""
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class ToldCommit:
    """A commit as a push tells it; `message` is the whole message, cut at 2,000 characters."""

    sha: str
    author: str
    message: str
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events have. `repository` is `acme/shop` as the sender names it, `url` a page for people."""

    sender: str
    repository: str = ""
    url: str = ""
    by: Author = Author()
    at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Push(Event):
    """Commits on a branch. `before` and `after` are full commits, empty where there was or is none.

    `commits` are the newest, newest first, at most twenty; `total` counts all, and with `more` there are others, which
    the sender does not count. `compare` is a page. `paths` are the files that were touched, None where the sender does
    not tell all of them.
    """

    branch: str
    before: str = ""
    after: str = ""
    commits: tuple[ToldCommit, ...] = ()
    total: int = 0
    more: bool = False
    compare: str = ""
    forced: bool = False
    paths: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged(Event):
    """A tag that was made, or deleted (then `commit` is empty)."""

    tag: str
    commit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Event):
    """A release that was published on a forge."""

    tag: str
    name: str = ""
    text: str = ""
    early: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Event):
    """A pull or merge request: `what` is opened, updated, merged, closed or reopened; from `branch` into `into`.

    A `branch` of a fork is `ana:main`. `commit` is its newest; of a merged one, what it became where that is told.
    """

    number: int
    title: str
    what: str
    branch: str
    into: str
    commit: str = ""
    draft: bool = False


class BuildState(enum.StrEnum):
    """Where a build is; the last four are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self not in {BuildState.QUEUED, BuildState.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Build(Event):
    """A state of a CI run. `key` stays the same over all states of one run, and of its further `attempt`s.

    `name` is the workflow, pipeline or job, as people know it and as `checks` name it. `branch` is `ana:main` where it
    runs for a fork's. `failed` are the jobs that failed, as far as they are known: some senders tell each by itself,
    while the run goes on, and none at its end. `whole` is True where it stands for everything that one system runs for
    the commit, such as a pipeline or a check suite; GitHub Actions has a suite for each workflow.

    `workflow` is the sender's own id of the workflow and `path` its file, both empty where it tells none; `stage` and
    `job` name a part of it. `run` is the sender's number of this very run, which grows from run to run, 0 if unknown.
    `within` is the same for a run and all of its parts. `fork` is True where it may be for a fork.
    """

    key: str
    name: str
    state: BuildState
    branch: str = ""
    tag: str = ""
    commit: str = ""
    number: int = 0
    attempt: int = 1
    started: float = 0.0
    finished: float = 0.0
    failed: tuple[str, ...] = ()
    whole: bool = False
    workflow: str = ""
    path: str = ""
    stage: str = ""
    job: str = ""
    run: int = 0
    within: str = ""
    fork: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePushed(Event):
    """An image that was pushed; `image` is its repository without a tag (`registry.example.com/acme/shop`).

    `digest` is empty where the sender does not tell it; `size` is in bytes, -1 where unknown.
    """

    image: str
    tag: str
    digest: str = ""
    size: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed(Event):
    """A state of a deployment that others made; `key` stays the same over all states of one.

    `own` is True where the bot has made it, by the mark that it leaves with a forge.
    """

    key: str
    environment: str
    state: BuildState
    ref: str = ""
    commit: str = ""
    text: str = ""
    own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced(Event):
    """What Argo CD says of an application: `state` of its synchronisation, its `health`, and the revision."""

    application: str
    state: str
    health: str = ""
    commit: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert(Event):
    """An alert; `key` is the same for all its repeats and its end. `severity` is the sender's word.

    `group` is what the sender groups it by with others, empty where it does not.
    """

    key: str
    name: str
    firing: bool
    severity: str = ""
    text: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    started: float = 0.0
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Event):
    """Anything else that a script tells. With a `key`, a later note with the same one replaces it.

    `tone` is good, bad, warn, busy or plain; `fields` are shown by name.
    """

    title: str
    text: str = ""
    tone: str = "plain"
    key: str = ""
    environment: str = ""
    commit: str = ""
    branch: str = ""
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping(Event):
    """The sender tries the address."""

    text: str = ""
