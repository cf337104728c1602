"""Queue reports about deployments for forges and other services: which states, and under which names.

A report is queued in the transaction that changes the deployment's state. It can't be lost and can't come too early.
Secrets are masked when it is queued.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from deploybot.domain import NO_RELEASE, Deployment, Kind, Report, State, word_of
from deploybot.ports import Clock, Tables


@dataclass(frozen=True, slots=True)
class ReportedTarget:
    """A receiver of reports, with a filter: by app (empty: all), by kind, and whether only ended deployments count.

    With `code` it receives only releases from a commit: a forge knows no others.
    """

    name: str
    apps: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset(Kind)
    ends: bool = False
    code: bool = False

    def wants(self, deployment: Deployment) -> bool:
        """Return whether it receives a report about the deployment in its present state."""
        plan = deployment.plan
        return (
            (not self.apps or plan.app in self.apps)
            and plan.kind in self.kinds
            and (deployment.state.ended or not self.ends)
            and (plan.release.code is not None or not self.code)
        )


class Reporter:
    """Queues reports. It is called in the same transaction as each change of a deployment."""

    def __init__(self, targets: Iterable[ReportedTarget], clock: Clock) -> None:
        """Take the receivers and the clock."""
        self._targets = tuple(targets)
        self._clock = clock

    def __call__(self, tables: Tables, deployment: Deployment) -> None:
        """Queue a report about a deployment. A repeated report is not queued again."""
        wanting = [target for target in self._targets if target.wants(deployment)]
        if not wanting:
            return
        now = self._clock.now()
        report = report_of(deployment, now)
        for target in wanting:
            tables.reports.put(target.name, report, now)


def report_of(deployment: Deployment, now: float) -> Report:
    """Return the report about a deployment."""
    plan = deployment.plan
    before = next((part.replaces for part in plan.servers if part.replaces), NO_RELEASE)
    return Report(
        deployment=deployment.number,
        app=plan.app,
        environment=plan.environment,
        kind=plan.kind,
        word=word_of(deployment),
        commit=plan.release.code or "",
        release=plan.release.id,
        task=plan.task,
        ref=plan.release.ref,
        subject=plan.release.subject,
        replaces=before.code or before.id,
        images=plan.release.images,
        servers=tuple(part.server for part in plan.servers),
        by=deployment.requester_name,
        reason=deployment.reason,
        outcome=deployment.outcome if deployment.state.ended or deployment.state is State.RESTORING else "",
        created=deployment.created,
        why="replaced" if deployment.replaced_by else deployment.verdict.value,
        started=0.0 if deployment.finished and deployment.took is None else deployment.started,
        finished=deployment.finished,
        at=now,
    )
