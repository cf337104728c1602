"""The rows of the database, by what they tell of; all that is changed together is changed in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from deploybot.card import Card
from deploybot.domain import (
    Approval,
    AuditRow,
    Counted,
    Deployment,
    Grant,
    Identity,
    Link,
    Lock,
    Person,
    Place,
    Plan,
    Report,
    ReportItem,
    Request,
    Role,
    Running,
    State,
    StepRow,
    StepState,
    Verdict,
)
from deploybot.ports.chats import ButtonRow, OutboxItem
from deploybot.ports.inbox import Deliveries
from deploybot.ports.outside import Lines
from deploybot.ports.told import Told
from deploybot.ports.wishes import Wishes

T = TypeVar("T")


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
        wish: int = 0,
        skipped: Sequence[int] = (),
    ) -> Deployment:
        """Add a deployment with the next number, WAITING; it may not begin before `not_before`, if that is given.

        `wish` is the number of the wish that it fulfils, `skipped` are those in whose place it comes.
        """

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

    def replaced(self, number: int, by: int) -> None:
        """Note which one came in place of a WAITING one, before it is ended for that."""

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

    def counted(self, bounds: Sequence[float]) -> tuple[Counted, ...]:
        """How many there are of each app, environment, kind and state, and how long they took."""

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

    def waiting(self) -> int:
        """How many wait."""


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

    def known(self, platform: str) -> tuple[str, ...]:
        """All ids of a platform that are kept, the oldest first."""

    def forget(self, platform: str, message: str) -> None:
        """Forget one."""


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


class Reports(Protocol):
    """What others are told of deployments, on its way. One worker tells it."""

    def put(self, target: str, report: Report, now: float) -> bool:
        """Queue a report; False where the last one to this target about this deployment said the same."""

    def due(self, until: float, limit: int = 50) -> tuple[ReportItem, ...]:
        """What may be told until then: of each deployment the earliest state, those first that failed least."""

    def sent(self, item: int, remote: str) -> None:
        """Note that it arrived, with the target's own id of the deployment, if it gave one."""

    def retry(self, item: int, at: float, error: str) -> None:
        """Note a failure; due again at `at`."""

    def dead(self, item: int, error: str) -> None:
        """Give it up."""

    def waiting(self) -> int:
        """How many wait."""


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

    @property
    def deliveries(self) -> Deliveries:
        """What others have told the bot."""

    @property
    def reports(self) -> Reports:
        """What others are told."""

    @property
    def wishes(self) -> Wishes:
        """What is deployed by itself."""

    @property
    def told(self) -> Told:
        """What was heard of the things that events are about."""


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


LogOpener = Callable[[], AbstractAsyncContextManager[Lines]]
