"""The rows of deployments: their steps, requests for approvals, what runs where, locks, and what others are told."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from deploybot.domain import (
    Approval,
    Counted,
    Deployment,
    Lock,
    ManifestRow,
    Person,
    Place,
    Plan,
    Report,
    ReportItem,
    Request,
    RequestVerdict,
    Running,
    State,
    StepRow,
    StepState,
)


class DeploymentTable(Protocol):
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
        glass: str = "",
    ) -> Deployment:
        """Add a deployment with the next number, WAITING; it may not begin before `not_before`, if that is given.

        `wish` is the number of the wish that it fulfils, `skipped` are those in whose place it comes.
        `glass` are the rules that it passes by break glass.
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

    def healthy(self, app: str, environment: str, server: str) -> frozenset[str]:
        """Give the ids of the releases that a server ran well: a step ran there, and the deployment succeeded."""


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

    def lack(self, number: int, *, missing: int, more: str) -> bool:
        """Note how many approvals are missing, and why one more than usual is needed; False when it was so before."""

    def remind(self, number: int) -> bool:
        """Note that people were reminded: True exactly once."""

    def close(self, number: int, verdict: RequestVerdict) -> None:
        """Note how an open one ended."""

    def note(self, number: int, text: str) -> None:
        """Note what went wrong with an approval; an empty text takes it back."""


class RunningReleases(Protocol):
    """What the bot last put where."""

    def get(self, app: str, environment: str) -> tuple[Running, ...]:
        """By server."""

    def put(self, row: Running) -> None:
        """Replace a server's row."""

    def all(self) -> tuple[Running, ...]:
        """Everything, for the board."""


class Manifests(Protocol):
    """What releases were seen to run, by server: going back begins with these."""

    def put(self, row: ManifestRow) -> None:
        """Keep a row, in place of the one of the same release on the same server."""

    def get(self, app: str, environment: str, server: str, release: str) -> ManifestRow | None:
        """What a release ran on a server."""

    def of_target(self, app: str, environment: str, server: str) -> tuple[ManifestRow, ...]:
        """All of a server's, newest first."""

    def prune(self, app: str, environment: str, server: str, keep: Collection[str]) -> None:
        """Delete a server's, but those of the releases to keep."""


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
