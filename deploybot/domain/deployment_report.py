"""Reports of deployments to forges and to the outgoing addresses of bot.toml."""

from __future__ import annotations

from dataclasses import dataclass

from deploybot.domain.deployment import Deployment, State
from deploybot.domain.plan import Kind
from deploybot.domain.release_source import Pin

REQUESTED = "requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A state of a deployment as it is reported, with every secret masked. Times as in `Deployment`.

    `word` is the state, or `requested` while the deployment waits for approvals; `at` is when that began. `why` is the
    verdict on a request that was never started, or `replaced`; otherwise empty. `commit` is empty if the release has
    none. `release` is its id, and `replaces` the commit or else the id of the release that ran before.
    """

    deployment: int
    app: str
    environment: str
    kind: Kind
    word: str
    commit: str
    release: str = ""
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
        """True if no further report follows for this deployment."""
        return self.word != REQUESTED and State(self.word).ended


def word_of(deployment: Deployment) -> str:
    """Return the word that is reported for the state of a deployment."""
    return REQUESTED if deployment.awaits_approval else deployment.state.value


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportItem:
    """A queued report to a `target`, by its name in the table `reports`.

    `key` stays the same over all retries. `remote` is the target's own id of the deployment, if it has given one.
    `before` is the id of the deployment that last succeeded in the environment before this one.
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
