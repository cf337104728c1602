"""The Protocols behind which everything outside stands: chats, servers, engines, refs, the store, the clock.

The core (deploy, observe, dispatch) knows only these. Adapters translate their library's errors into
`deploybot.errors` at the edge, and every call has a deadline of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from deploybot.card import Card
from deploybot.domain import (
    Approval,
    AuditRow,
    Changes,
    Container,
    Deployment,
    EngineEvent,
    Grant,
    Identity,
    Image,
    JobChunk,
    JobStatus,
    Link,
    Lock,
    LogLine,
    Person,
    Place,
    Plan,
    Release,
    Request,
    Role,
    Running,
    ServerFacts,
    ServerPlan,
    State,
    Step,
    StepRow,
    StepState,
    Usage,
    Verdict,
)
from deploybot.settings import App, Environment

T = TypeVar("T")


class Clock(Protocol):
    """Wall time."""

    def now(self) -> float:
        """Seconds since the epoch."""


class Host(Protocol):
    """One server, reached by SSH. Every method raises Unreachable when the server does not answer in time."""

    @property
    def name(self) -> str:
        """The server's name in bot.toml."""

    async def facts(self, directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
        """Probe the server, and an app's directory on it where one is given, in one round trip.

        Without `docker` nobody waits for Docker and Compose to tell their versions, unless they are known already.
        """

    async def upload(self, source: Path, target: str, *, timeout: float = 600.0) -> None:
        """Put a local file at an absolute path: temporary name, size and SHA-256 checked, then rename.

        Makes the directories above it that are missing (mode 755).
        Does nothing when the same content is there already. Raises StepFailed when the server refuses
        (no space, no right), with its words.
        """

    async def start(
        self, job: str, script: str, env: Mapping[str, str], *, deadline: float, timeout: float = 30.0
    ) -> JobStatus:
        """Start a detached job once, however often this is called with the same id.

        `script` names a packaged script, `env` reaches it through stdin only. `deadline` is the seconds
        after which the server's own watchdog stops the job's process group.
        """

    async def wait(self, job: str, *, timeout: float) -> JobStatus:
        """Return as soon as the job has ended, or its status after `timeout` seconds."""

    async def poll(self, job: str, offset: int, *, limit: int = 262_144, timeout: float = 15.0) -> JobChunk:
        """A job's status, and up to `limit` bytes of its log from `offset`."""

    async def cancel(self, job: str, *, grace: float = 10.0) -> JobStatus:
        """TERM the job's process group, KILL it after `grace` seconds; a job never started can never start."""

    async def forget(self, jobs: Sequence[str]) -> None:
        """Delete the files of jobs that have ended."""

    async def http_status(self, url: str, *, timeout: float) -> tuple[int, str]:
        """GET an http(s) URL as seen from the server, through SSH: status code and the first 200 characters.

        Follows no redirect. Raises Unreachable with the reason when nothing answers there.
        """

    async def tcp_open(self, host: str, port: int, *, timeout: float) -> None:
        """Connect to host:port as seen from the server; Unreachable when refused."""

    def stream(self, script: str, env: Mapping[str, str], *, timeout: float) -> AsyncIterator[bytes]:
        """Run a packaged script attached and give its output in chunks; bounded by `timeout` seconds."""


class Engine(Protocol):
    """One Docker Engine. Raises Unreachable or EngineError."""

    async def version(self) -> str:
        """The Engine's version, such as `20.10.24`."""

    async def containers(self, project: str) -> tuple[Container, ...]:
        """All containers of a Compose project, also the stopped ones."""

    async def images(self) -> tuple[Image, ...]:
        """All images that are there, without intermediate ones."""

    async def usage(self, container: str, *, quick: bool = False) -> Usage:
        """What a container uses now.

        `quick` is one round trip: its CPU is the mean since the last look, or unknown where none was near.
        """

    def logs(
        self,
        container: str,
        *,
        tail: int | None,
        since: float = 0.0,
        follow: bool = False,
        times: bool = True,
        timeout: float = 600.0,
    ) -> AsyncIterator[bytes]:
        """A container's log as raw chunks of lines, stdout and stderr together.

        Lines begin with their RFC 3339 time, unless `times` is False, which makes a long log come a fifth sooner.
        `tail` is how many lines from the end, None for all; `since` is seconds since the epoch. After `timeout`
        seconds a followed log ends, any other raises Unreachable; so does one that breaks off before its end.
        """

    def events(self, *, since: float = 0.0, timeout: float = 3600.0) -> AsyncIterator[EngineEvent]:
        """What happens to containers and images, from `since` (seconds since the epoch) on; ends after `timeout`."""


class Servers(Protocol):
    """All servers of bot.toml."""

    def host(self, name: str) -> Host:
        """The server of that name; KeyError when bot.toml has none."""

    def engine(self, name: str) -> Engine | None:
        """Its Docker Engine, or None where bot.toml gives none."""


class RefSource(Protocol):
    """The repository of an app. Raises Unreachable, or UserError with the nearest refs."""

    async def resolve(self, app: App, ref: str) -> Release:
        """A branch, tag, short or full SHA as a release. An empty ref is the app's `branch` or the remote's default."""

    async def changes(self, app: App, old: str, new: str) -> Changes:
        """What lies between two full commits."""

    async def bundle(self, app: App, commit: str, have: Sequence[str]) -> Path:
        """A git bundle of a commit without what the server has, in the bot's data folder."""

    async def archive(self, app: App, commit: str) -> Path:
        """A gzipped tar of a commit's tree, byte for byte the same every time."""


class Strategy(Protocol):
    """How a release gets onto a server: pure, release and facts in, steps out."""

    def deploy(
        self, app: App, environment: Environment, release: Release, previous: Release | None, facts: ServerFacts
    ) -> ServerPlan:
        """The steps forward, the gate, and the steps that put `previous` back.

        Raises UserError when the server lacks what the strategy needs (a tool, disk, memory).
        """

    def restart(self, app: App, environment: Environment, release: Release, facts: ServerFacts) -> ServerPlan:
        """The steps that restart what runs."""

    def task(self, app: App, environment: Environment, release: Release, task: str, facts: ServerFacts) -> ServerPlan:
        """The steps of a named task of bot.toml."""

    def prune(self, app: App, environment: Environment, keep: tuple[str, ...], facts: ServerFacts) -> tuple[Step, ...]:
        """The steps that delete what deploybot made and nobody needs: never a commit of `keep`."""


class People(Protocol):
    """The allowlist: persons, their identities and their grants."""

    def of(self, identity: Identity) -> Person | None:
        """Whose identity this is; None for a stranger."""

    def named(self, name: str) -> Person | None:
        """The person of that name."""

    def everybody(self) -> tuple[Person, ...]:
        """All persons, by name."""

    def add(self, name: str, identity: Identity | None = None) -> Person:
        """Make a person; UserError when the name or the identity is taken."""

    def link(self, person: int, identity: Identity) -> None:
        """Give a person a further identity; UserError when somebody has it."""

    def identities(self, person: int) -> tuple[Identity, ...]:
        """A person's identities."""

    def grants(self, person: int | None = None) -> tuple[Grant, ...]:
        """The grants of one person, or of everybody."""

    def grant(self, person: int, role: Role, app: str = "*", environment: str = "*") -> None:
        """Set a person's role on an app and environment, replacing the one there."""

    def revoke(self, person: int, app: str | None = None, environment: str | None = None) -> int:
        """Take grants away: all, an app's, or one; how many went. The last admin of all stays: UserError."""

    def merge(self, person: int, into: Person) -> None:
        """Make two persons one: all that was one's is the other's. Of two roles for a place the higher one stays."""


class Claims(Protocol):
    """The one-time code by which the first administrator is made. Only its hash is kept."""

    def issue(self, code: str, until: float) -> None:
        """Replace any earlier code by this one."""

    def consume(self, code: str, now: float) -> bool:
        """True once for the right code in time; each wrong try counts, and the fifth ends the code.

        Let the work end well after False: what it raises would undo the counting, too.
        """


class Deployments(Protocol):
    """Deployments and their steps."""

    def add(
        self,
        plan: Plan,
        *,
        requester: Person,
        reason: str,
        place: Place | None,
        now: float,
        not_before: float = 0.0,
        needs_approval: bool = False,
    ) -> Deployment:
        """Add a deployment with the next number, WAITING; it may not begin before `not_before`, if that is given."""

    def get(self, number: int) -> Deployment | None:
        """One deployment."""

    def open(self) -> tuple[Deployment, ...]:
        """All that have not ended, oldest first."""

    def recent(self, app: str, environment: str | None = None, limit: int = 20) -> tuple[Deployment, ...]:
        """The last ones of an app, newest first."""

    def move(self, number: int, state: State, *, now: float, outcome: str = "", tail: Sequence[str] = ()) -> Deployment:
        """Set the state; `started` and `finished` are set on the way. An empty outcome or tail keeps the one there.

        An ended one never moves, and none moves back: StoreError.
        """

    def replan(self, number: int, plan: Plan) -> None:
        """Replace the plan of a WAITING deployment; StoreError for any other."""

    def approve(self, number: int, since: float) -> bool:
        """Note since when a WAITING one has its approvals, 0.0 where it lacks some; False when that was so before."""

    def ask_cancel(self, number: int, by: str) -> bool:
        """Note that a person wants it stopped; False when it has ended or somebody asked before."""

    def steps(self, number: int) -> tuple[StepRow, ...]:
        """Its steps in the order they were made."""

    def begin(self, row: StepRow) -> StepRow:
        """Keep a step before its job is started; the kept one, with its own job, where the step exists already.

        Deployment, phase, server and position tell steps apart.
        """

    def progress(self, job: str, *, offset: int, size: int, anew: bool = False, detail: str = "") -> None:
        """How far a step's log is kept; the step was seen to run, so a PENDING one is STARTED from now on.

        `detail` says why it cannot be seen any more; the next progress takes it back.
        Less than before is refused (StoreError), unless the log is fetched `anew`.
        """

    def note(self, job: str, detail: str) -> None:
        """Why a step that is to be started cannot be, for now; the next progress takes it back."""

    def end(self, job: str, state: StepState, *, code: int, now: float, detail: str = "") -> None:
        """A step's end. The same end again changes nothing; another one is refused: StoreError."""

    def good(self, app: str, environment: str, limit: int) -> tuple[Deployment, ...]:
        """The last successful deploys and rollbacks with distinct releases, newest first."""


class RunningReleases(Protocol):
    """What the bot last put where."""

    def get(self, app: str, environment: str) -> tuple[Running, ...]:
        """By server."""

    def put(self, row: Running) -> None:
        """Replace a server's row."""

    def all(self) -> tuple[Running, ...]:
        """Everything, for the board."""


class Locks(Protocol):
    """People's locks on environments."""

    def get(self, app: str, environment: str, now: float) -> Lock | None:
        """The lock that holds now; one past its end is gone."""

    def take(self, lock: Lock) -> Lock | None:
        """Take it; the other's lock where somebody else has it."""

    def release(self, app: str, environment: str) -> Lock | None:
        """Release it; the lock that was there."""

    def all(self, now: float) -> tuple[Lock, ...]:
        """All that hold now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxItem:
    """A card that waits to be sent.

    `message` is the platform's id of the message to edit, empty where the card was never sent to that
    place. `revision` counts the states of the card, `attempts` the failures since the last success.
    """

    id: int
    place: Place
    card: Card
    key: str
    message: str
    revision: int
    attempts: int
    next_at: float


class Outbox(Protocol):
    """Messages on their way to chats, written with what they tell of. One worker sends them."""

    def put(self, place: Place, card: Card, now: float) -> None:
        """Queue a card. With a key, an unsent earlier state of the same card in that place is replaced.

        A card with `stream` set is refused (ValueError): its states add up, so none may be left out.
        """

    def due(self, now: float, limit: int = 50) -> tuple[OutboxItem, ...]:
        """What is to be sent now, in the order in which it was first put."""

    def sent(self, item: int, revision: int, message: str) -> None:
        """Note that this revision arrived as that message. Where a newer one was put meanwhile, that stays due."""

    def retry(self, item: int, at: float, error: str) -> None:
        """Note a failure; due again at `at`."""

    def dead(self, item: int, revision: int, error: str) -> None:
        """Give this revision up. A newer one stays due, and the next `put` of the same card tries again."""

    def next_at(self) -> float | None:
        """When the next one is due; None when nothing waits."""


class Audit(Protocol):
    """The append-only chain."""

    def append(self, *, actor: str, action: str, subject: str, detail: str = "", now: float) -> AuditRow:
        """Add a link."""

    def tail(self, count: int) -> tuple[AuditRow, ...]:
        """The last rows, oldest first."""

    def page(self, after: int, limit: int = 1000) -> tuple[AuditRow, ...]:
        """Up to `limit` rows that follow row number `after`."""


class Seen(Protocol):
    """Which messages were taken already: platforms deliver some twice."""

    def first(self, platform: str, message: str, now: float) -> bool:
        """True exactly once for each id of a platform's message. Ids are kept for two days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonRow:
    """What stands behind one button of a message. `message` is empty until its id is known; `used` is 0.0 until then.

    Only the hash of the token that the message carries is kept (SHA-256, hex).
    """

    hash: str
    platform: str
    channel: str
    message: str
    command: str
    made: float
    used: float = 0.0


class Buttons(Protocol):
    """What buttons of messages do when they are pressed. Kept for thirty days."""

    def add(self, row: ButtonRow) -> None:
        """Keep a new one."""

    def get(self, token_hash: str) -> ButtonRow | None:
        """The button of that hash."""

    def bind(self, token_hash: str, message: str) -> bool:
        """Tie a button to its message; False where it is tied to another one already."""

    def use(self, token_hash: str, now: float) -> bool:
        """Use a button up: True exactly once."""

    def keep_only(self, platform: str, channel: str, message: str, hashes: Sequence[str]) -> int:
        """Delete the unused buttons that a message does not show any more; how many went."""


class Requests(Protocol):
    """Deployments that wait for approvals."""

    def add(self, request: Request) -> None:
        """Keep a new one, without approvals."""

    def get(self, number: int) -> Request | None:
        """The request of a deployment; None for one that needs no approval."""

    def ask(self, number: int, *, wanted: int, approvers: Sequence[str], code: bool) -> bool:
        """Change what is asked for, as bot.toml has it now; False when it was so before."""

    def approve(self, number: int, approval: Approval) -> bool:
        """Keep a person's approval; False when theirs is there and counts."""

    def count_only(self, number: int, persons: Sequence[int]) -> bool:
        """Let the approvals of these persons count and no others; False when it was so before."""

    def remind(self, number: int) -> bool:
        """Note that people were reminded: True exactly once."""

    def close(self, number: int, verdict: Verdict) -> None:
        """Note how an open one ended."""

    def note(self, number: int, text: str) -> None:
        """Note what went wrong with an approval; an empty text takes it back."""


class Codes(Protocol):
    """How people use their one-time codes: never what the codes are made of."""

    def use(self, person: int, step: int) -> bool:
        """Use up the code of a time step: True for one that is later than all that were used."""

    def fail(self, person: int, now: float) -> None:
        """Count a wrong code; the fifth in a row stops all further tries for a quarter of an hour."""

    def paused(self, person: int, now: float) -> float:
        """Until when no code is taken; 0.0 where codes are taken."""


class Links(Protocol):
    """One-time codes by which people link their identities, one at a time for each. Only hashes are kept."""

    def issue(self, link: Link, code: str) -> None:
        """Replace the person's earlier code by this one."""

    def take(self, code: str, other: Identity, now: float) -> Link | None:
        """Use a code up for another identity: its link, once; None for a code that is wrong, used, or too old."""

    def get(self, person: int, now: float) -> Link | None:
        """A person's link that waits for its confirmation or its code."""

    def end(self, person: int) -> None:
        """Forget a person's link."""

    def fail(self, identity: Identity, now: float) -> None:
        """Count a wrong code of somebody; the fifth in a row stops their tries for a quarter of an hour."""

    def paused(self, identity: Identity, now: float) -> bool:
        """Whether somebody has tried too often."""


class CodeSecrets(Protocol):
    """Where the secrets of one-time codes are kept: not in the database. Raises StoreError when it cannot be used."""

    async def get(self, person: int) -> str | None:
        """A person's secret (base32); None for one who has not enrolled."""

    async def offered(self, person: int) -> str | None:
        """The secret that a person was shown and has not confirmed."""

    async def offer(self, person: int, secret: str) -> None:
        """Keep a secret until it is confirmed."""

    async def confirm(self, person: int) -> None:
        """Put the offered secret in force."""

    async def move(self, person: int, into: int) -> None:
        """Give a person's secret to another one who has none; delete it otherwise."""


class Tables(Protocol):
    """All repositories of rows, inside one transaction."""

    @property
    def people(self) -> People:
        """The allowlist."""

    @property
    def claims(self) -> Claims:
        """The first administrator's code."""

    @property
    def deployments(self) -> Deployments:
        """Deployments and steps."""

    @property
    def running(self) -> RunningReleases:
        """What runs where."""

    @property
    def locks(self) -> Locks:
        """People's locks."""

    @property
    def outbox(self) -> Outbox:
        """Messages on their way."""

    @property
    def audit(self) -> Audit:
        """The chain."""

    @property
    def seen(self) -> Seen:
        """Messages taken already."""

    @property
    def buttons(self) -> Buttons:
        """Buttons of messages."""

    @property
    def requests(self) -> Requests:
        """Deployments that wait for approvals."""

    @property
    def codes(self) -> Codes:
        """Uses of one-time codes."""

    @property
    def links(self) -> Links:
        """Codes by which identities are linked."""


class Store(Protocol):
    """The database, behind one writer thread. Work must be short, do no I/O and keep nothing of `Tables`."""

    @property
    def problem(self) -> str:
        """Why the last write failed and what to do, while writes fail; empty when all is well.

        No new work is to be taken while it says something; it empties by itself when writing works again.
        """

    async def write(self, work: Callable[[Tables], T]) -> T:
        """Run `work` in one transaction; returns after the durable commit. StoreError when it cannot."""

    async def read(self, work: Callable[[Tables], T]) -> T:
        """Run `work` on a consistent view."""


class Chat(Protocol):
    """One chat platform, as the outbox and dispatch see it."""

    @property
    def platform(self) -> str:
        """`console`, `slack` or `telegram`: the platform of its places."""

    @property
    def interval(self) -> float:
        """Seconds to leave between two messages to one channel, edits included; 0.0 for none."""

    async def send(self, place: Place, card: Card) -> str:
        """Post a message; its id there. Raises Unreachable (with `retry_after` set where the platform gives it)."""

    async def edit(self, place: Place, message: str, card: Card) -> None:
        """Replace a message."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What `deploybot check` found of a chat: what was tried, what was seen, and the cure; none where all is well."""

    what: str
    says: str
    cure: str = ""


class LiveChat(Chat, Protocol):
    """A chat that is started and stopped with the bot."""

    @property
    def problem(self) -> str:
        """Why nothing arrives there or comes from there, and what to do; empty when all is well."""

    async def start(self) -> None:
        """Begin to listen. Returns soon: a platform that does not answer is tried again in the background."""

    async def close(self) -> None:
        """Stop listening, and let go of everything, within five seconds."""


class Redactor(Protocol):
    """Masks secrets in text that is about to leave."""

    def text(self, text: str) -> str:
        """The text with every known secret value and every common shape masked."""


class Lines(Protocol):
    """An open log: iterate for lines; closing stops whatever feeds it."""

    def __aiter__(self) -> AsyncIterator[LogLine]: ...


LogOpener = Callable[[], AbstractAsyncContextManager[Lines]]
