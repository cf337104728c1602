"""Tables of deployments: their steps, approval requests, running releases, locks, freezes and reports."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from deploybot.domain import (
    Approval,
    Channel,
    Counted,
    Deployment,
    Freeze,
    Kind,
    Lock,
    ManifestRow,
    Person,
    Plan,
    Report,
    ReportItem,
    Request,
    RequestVerdict,
    Running,
    State,
    StepRow,
    StepState,
    WatchBaseline,
)


class DeploymentTable(Protocol):
    """Deployments and their steps."""

    def add(
        self,
        plan: Plan,
        *,
        requester: Person,
        reason: str,
        channel: Channel | None,
        now: float,
        not_before: float = 0.0,
        needs_approval: bool = False,
        trigger: int = 0,
        skipped: Sequence[int] = (),
        glass: str = "",
    ) -> Deployment:
        """Add a WAITING deployment with the next number. It may not start before `not_before`, if given.

        `trigger` is the number of its trigger, `skipped` are the numbers of the deployments that it replaces. `glass`
        names the rules that break glass bypasses.
        """

    def get(self, number: int) -> Deployment | None:
        """Return one deployment; None if there is none with that number."""

    def open(self) -> tuple[Deployment, ...]:
        """Return all deployments that have not ended, oldest first."""

    def recent(self, app: str, environment: str | None = None, limit: int = 20) -> tuple[Deployment, ...]:
        """Return the last deployments of an app, newest first."""

    def move(self, number: int, state: State, *, now: float, outcome: str = "", tail: Sequence[str] = ()) -> Deployment:
        """Set the state, and with it `started` and `finished`. An empty outcome or tail keeps the stored one.

        Raises StoreError if the deployment has ended or would move back.
        """

    def replan(self, number: int, plan: Plan, *, begun: bool = False) -> None:
        """Replace the plan of a WAITING deployment; if it may have `begun`, also of a RUNNING one without steps.

        Raises StoreError for any other.
        """

    def leave_out(self, number: int, servers: Sequence[str]) -> Deployment:
        """Add to the plan of a deployment the servers that were down and left as they are; return the deployment."""

    def approve(self, number: int, since: float) -> bool:
        """Record since when a WAITING one has its approvals, 0.0 if some are missing; False if nothing changed."""

    def freeze(self, number: int, until: float) -> None:
        """Let a WAITING one, or a RUNNING one without steps, wait until a freeze ends."""

    def freeze_all(self, app: str, environment: str, until: float) -> tuple[int, ...]:
        """Let all WAITING ones of a target that a freeze stops wait until it ends. Return their numbers."""

    def thaw(self, now: float, app: str | None = None, environment: str | None = None) -> tuple[int, ...]:
        """Let none of a target (None: of any) wait for a freeze after `now`. Return their numbers."""

    def replaced(self, number: int, by: int) -> None:
        """Record the number that replaces a WAITING one, before it is ended for that reason."""

    def ask_cancel(self, number: int, by: str) -> bool:
        """Record that a person wants it cancelled; False if it has ended or was cancelled before."""

    def steps(self, number: int) -> tuple[StepRow, ...]:
        """Return its steps in the order in which they were added."""

    def begin(self, row: StepRow) -> StepRow:
        """Store a step before its job is started. If it is already stored, return the stored one with its own job.

        A step is identified by deployment, phase, server and position.
        """

    def step(self, row: StepRow) -> StepRow | None:
        """Return the stored step of the same deployment, phase, server and position; None if there is none yet."""

    def keep_baseline(self, job: str, baseline: WatchBaseline) -> None:
        """Store what the containers of a WATCH step are compared with."""

    def progress(self, job: str, *, offset: int, size: int, from_start: bool = False, detail: str = "") -> None:
        """Record how much of a step's log is stored. The step was seen running, so a PENDING one becomes STARTED.

        `detail` is why the step cannot be seen any more; the next progress clears it. Raises StoreError if it is less
        than before, unless the log is fetched `from_start`.
        """

    def note(self, job: str, detail: str) -> None:
        """Record why a step cannot be started for now; the next progress clears it."""

    def end(self, job: str, state: StepState, *, code: int, now: float, detail: str = "") -> None:
        """Record a step's end. The same end again changes nothing; a different one raises StoreError."""

    def counted(self, bounds: Sequence[float]) -> tuple[Counted, ...]:
        """Return how many there are per app, environment, kind and state, and how long they took."""

    def good(self, app: str, environment: str, limit: int) -> tuple[Deployment, ...]:
        """Return the last successful deploys and rollbacks with distinct releases, newest first."""

    def succeeded(self, app: str, environment: str, limit: int) -> tuple[Deployment, ...]:
        """Return the last successful deploys and rollbacks, newest first; a release may come more than once."""

    def past(self, app: str, environment: str, limit: int) -> tuple[tuple[Kind, str], ...]:
        """Return kind and release id of the last successful releases, oldest first, without their plans."""

    def healthy_pairs(self, app: str, environment: str, releases: Collection[str]) -> frozenset[tuple[str, str]]:
        """Return on which servers these releases were healthy, as pairs of a server and a release id."""

    def healthy(self, app: str, environment: str, server: str) -> frozenset[str]:
        """Return the ids of releases that were healthy on a server: a step ran there and the deployment succeeded."""


class Requests(Protocol):
    """Deployments that wait for approvals."""

    def add(self, request: Request) -> None:
        """Store a new request, without approvals."""

    def get(self, number: int) -> Request | None:
        """Return the request of a deployment; None if it needs no approval."""

    def ask(self, number: int, *, wanted: int, approvers: Sequence[str], code: bool) -> bool:
        """Update the needed approvals to bot.toml's current values; False if nothing changed."""

    def approve(self, number: int, approval: Approval) -> bool:
        """Store a person's approval; False if the same person's approval is stored and counts."""

    def count_only(self, number: int, persons: Sequence[int]) -> bool:
        """Count only the approvals of these people; False if nothing changed."""

    def lack(self, number: int, *, missing: int, more: str) -> bool:
        """Record how many approvals are missing, and why one more is needed; False if nothing changed."""

    def remind(self, number: int) -> bool:
        """Record that a reminder was sent. Return True exactly once."""

    def close(self, number: int, verdict: RequestVerdict) -> None:
        """Record how an open request ended."""

    def note(self, number: int, text: str) -> None:
        """Record what went wrong with an approval; an empty text clears it."""


class RunningReleases(Protocol):
    """The releases that the bot last deployed, by server."""

    def get(self, app: str, environment: str) -> tuple[Running, ...]:
        """Return the rows of an environment, by server."""

    def put(self, row: Running) -> None:
        """Replace a server's row."""

    def all(self) -> tuple[Running, ...]:
        """Return all rows, for the board."""


class Manifests(Protocol):
    """The images that releases were seen to run, by server. A rollback starts from these."""

    def put(self, row: ManifestRow) -> None:
        """Store a row for a release on a server. A verified one replaces both, an attempt only the last attempt."""

    def get(
        self, app: str, environment: str, server: str, release: str, *, attempt: bool = False
    ) -> ManifestRow | None:
        """Return what a release ran on a server; None if that is unknown.

        If it has a verified row and an attempt, `attempt` decides which is returned.
        """

    def of_target(self, app: str, environment: str, server: str) -> tuple[ManifestRow, ...]:
        """Return all rows of a target on a server, newest first."""

    def prune(self, app: str, environment: str, server: str, keep: Collection[str]) -> None:
        """Delete the rows of a target on a server, except those of the releases to keep."""


class Locks(Protocol):
    """People's locks on environments."""

    def get(self, app: str, environment: str, now: float) -> Lock | None:
        """Return the current lock; None if there is none or it has expired."""

    def take(self, lock: Lock) -> Lock | None:
        """Take a lock. If another person has it, return theirs."""

    def remind(self, lock: Lock, now: float) -> None:
        """Record that people were reminded of a lock."""

    def release(self, app: str, environment: str) -> Lock | None:
        """Release a lock and return it; None if there was none."""

    def all(self, now: float) -> tuple[Lock, ...]:
        """Return all current locks."""


class Freezes(Protocol):
    """Freezes of environments that people make."""

    def get(self, app: str, environment: str, now: float) -> Freeze | None:
        """Return the freeze of a target; None if there is none or it has ended."""

    def put(self, freeze: Freeze) -> None:
        """Freeze a target, in place of an earlier freeze."""

    def remove(self, app: str, environment: str) -> None:
        """End the freeze of a target."""

    def all(self, now: float) -> tuple[Freeze, ...]:
        """Return all freezes that have not ended."""


class Reports(Protocol):
    """Queued reports of deployments. One worker sends them."""

    def put(self, target: str, report: Report, now: float) -> bool:
        """Queue a report; False if the last report to this target about this deployment was the same."""

    def due(self, until: float, limit: int = 50) -> tuple[ReportItem, ...]:
        """Return the reports that are due: the earliest state of each deployment, fewest failures first."""

    def sent(self, item: int, remote: str) -> None:
        """Record that a report arrived, with the target's own id of the deployment if it gave one."""

    def retry(self, item: int, at: float, error: str) -> None:
        """Record a failure; the report is due again at `at`."""

    def dead(self, item: int, error: str) -> None:
        """Give up a report."""

    def waiting(self) -> int:
        """Return how many reports wait."""
