"""What others are told of deployments: forges, and whoever has an address in bot.toml."""

from __future__ import annotations

from dataclasses import dataclass

from deploybot.domain.deployment import Deployment, State
from deploybot.domain.plan import Kind
from deploybot.domain.release import Pin

REQUESTED = "requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A state of a deployment as others are told it, with every secret masked; times as in `Deployment`.

    `word` is the state, or `requested` while the deployment waits for approvals; `at` is since when it is so.
    `why` is the verdict on a request that was never begun, or `replaced`; else empty.
    """

    deployment: int
    app: str
    environment: str
    kind: Kind
    word: str
    commit: str
    task: str = ""
    ref: str = ""
    subject: str = ""
    replaces: str = ""
    images: tuple[Pin, ...] = ()
    servers: tuple[str, ...] = ()
    by: str = ""
    reason: str = ""
    outcome: str = ""
    why: str = ""
    created: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    at: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether nothing more will be told of the deployment."""
        return self.word != REQUESTED and State(self.word).ended


def word_of(deployment: Deployment) -> str:
    """What others are told of the state of a deployment."""
    return REQUESTED if deployment.awaits_approval else deployment.state.value


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportItem:
    """A report on its way to a `target`, by its name in the table `reports`.

    `key` is the same however often it is told. `remote` is the target's own id of the deployment, where it has given
    one already; `before` that of the deployment that succeeded last in the environment before this one.
    """

    id: int
    target: str
    key: str
    report: Report
    remote: str
    before: str
    replaced: bool
    made: float
    attempts: int
    next_at: float
