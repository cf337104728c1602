"""Events from outside: pushes, builds, images, alerts. Times are seconds since the epoch, 0.0 if unknown.

Every text in an event is untrusted and literal. An event is only a hint: before anything is deployed, the bot asks
the repository or the registry.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from deploybot.domain.person import Identity

OWN = "deploybot"
"""The mark on the bot's own deployments and statuses on forges, because they come back as events.

A commit status is the bot's own if its name (context) is this word or begins with `deploybot/`. A deployment is its
own if the object in its `payload` has this key, or if this is the first word of its description.
"""


@dataclass(frozen=True, slots=True)
class Author:
    """The author of an event, as the sender names them, without an email address, which is not needed.

    `identity` is set only from an id that never changes.
    """

    name: str = ""
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class PushedCommit:
    """A commit as listed in a push. `message` is the whole message, cut at 2,000 characters."""

    sha: str
    author: str
    message: str
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The fields of all events. `repository` is `acme/shop` as the sender names it, `url` a page for people.

    `host` is where the repository is, if the sender names it and `url` is a page elsewhere.
    """

    sender: str
    repository: str = ""
    url: str = ""
    by: Author = Author()
    at: float = 0.0
    host: str = field(default="", repr=False)  # marks of events from before it stay the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Push(Event):
    """Commits pushed to a branch. `before` and `after` are full SHAs, empty if the branch was created or deleted.

    `commits` are the newest, newest first, at most twenty. `total` counts all; with `more` there are others that the
    sender does not count. `compare` is the URL of a page. `paths` are the changed files, None if the sender does not
    list them all.
    """

    branch: str
    before: str = ""
    after: str = ""
    commits: tuple[PushedCommit, ...] = ()
    total: int = 0
    more: bool = False
    compare: str = ""
    forced: bool = False
    paths: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged(Event):
    """A tag that was created or deleted (then `commit` is empty)."""

    tag: str
    commit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Event):
    """A release that was published on a forge, or deleted there (then it is `gone`)."""

    tag: str
    name: str = ""
    text: str = ""
    early: bool = False
    gone: bool = field(default=False, repr=False)  # as for `host`


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Event):
    """A pull or merge request from `branch` into `into`. `what` is opened, updated, merged, closed or reopened.

    A `branch` of a fork is `ana:main`. `commit` is its newest commit; once merged, the resulting commit if the sender
    gives it.
    """

    number: int
    title: str
    what: str
    branch: str
    into: str
    commit: str = ""
    draft: bool = False


class BuildState(enum.StrEnum):
    """The state of a build. The last four are final."""

    QUEUED = "queued"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def ended(self) -> bool:
        """True if the state is final."""
        return self not in {BuildState.QUEUED, BuildState.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Build(Event):
    """A state of a CI run. `key` stays the same for all states of one run and for its further `attempt`s.

    `name` is the workflow, pipeline or job, as people know it and as `checks` name it. `branch` is `ana:main` if the
    run is for a fork's branch. `failed` are the known failed jobs: some senders report each one while the run goes on,
    and none at its end. `whole` is True if it covers everything that one system runs for the commit, such as a pipeline
    or a check suite; GitHub Actions has a suite for each workflow.

    `workflow` is the sender's own id of the workflow and `path` its file, both empty if not given. `stage` and `job`
    name a part of it. `run` is the sender's number of this run, which grows from run to run, 0 if unknown. `within` is
    the same for a run and all of its parts. `fork` is True if the run may be for a fork.
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
    """An image that was pushed. `image` is its repository without a tag (`registry.example.com/acme/shop`).

    `digest` is empty if the sender does not give it. `size` is in bytes, -1 if unknown.
    """

    image: str
    tag: str
    digest: str = ""
    size: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed(Event):
    """A state of a deployment on a forge. `key` stays the same for all states of one deployment.

    `own` is True if the bot created it, recognized by the mark `OWN`.
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
    """The state of an Argo CD application: `state` of its synchronisation, its `health`, and the revision."""

    application: str
    state: str
    health: str = ""
    commit: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert(Event):
    """An alert. `key` is the same for all its repeats and its end. `severity` is the sender's word.

    `group` is the group that the sender puts it in, empty if none.
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
    """Any other message, sent by a script. A later note with the same `key` replaces it.

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
    """A test call of a sender."""

    text: str = ""
