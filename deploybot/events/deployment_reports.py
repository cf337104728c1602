"""What others are told of a deployment: which of its states, by whose names. Secrets are masked where it is queued.

It is queued in the transaction that changes the deployment's state, so it can neither be lost nor run ahead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from deploybot.domain import Deployment, Kind, Report, State, word_of
from deploybot.ports import Clock, Tables
from deploybot.settings import Settings

_RELEASING = frozenset({Kind.DEPLOY, Kind.ROLLBACK})
TRACES = "otel"


@dataclass(frozen=True, slots=True)
class ReportedTarget:
    """Somebody who is told: of which deployments, by app (empty: all) and kind, and whether of their ends alone."""

    name: str
    apps: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset(Kind)
    ends: bool = False

    def wants(self, deployment: Deployment) -> bool:
        """Whether it is told of the deployment as it is now."""
        plan = deployment.plan
        return (
            (not self.apps or plan.app in self.apps)
            and plan.kind in self.kinds
            and (deployment.state.ended or not self.ends)
        )


def forge_target(app: str) -> str:
    """The name of an app's forge among the targets; no [outgoing.NAME] can have it."""
    return f"forge:{app}"


def targets_of(settings: Settings) -> tuple[ReportedTarget, ...]:
    """Everybody whom bot.toml wants told. A restart and a task release nothing, so a forge does not hear of them."""
    targets = [
        ReportedTarget(forge_target(name), frozenset({name}), _RELEASING)
        for name, app in settings.apps.items()
        if app.forge
    ]
    targets += [ReportedTarget(f"outgoing:{name}", frozenset(one.apps)) for name, one in settings.outgoing.items()]
    targets += [ReportedTarget(TRACES, ends=True)] if settings.otel else []
    return tuple(targets)


class Reporter:
    """Queues reports; called whenever something of a deployment has changed, in that very transaction."""

    def __init__(self, targets: Iterable[ReportedTarget], clock: Clock) -> None:
        """Take who is told."""
        self._targets = tuple(targets)
        self._clock = clock

    def __call__(self, tables: Tables, deployment: Deployment) -> None:
        """Queue what is new of it; what was told of it already is not told again."""
        wanting = [target for target in self._targets if target.wants(deployment)]
        if not wanting:
            return
        now = self._clock.now()
        report = report_of(deployment, now)
        for target in wanting:
            tables.reports.put(target.name, report, now)


def report_of(deployment: Deployment, now: float) -> Report:
    """The deployment as others are told it."""
    plan = deployment.plan
    return Report(
        deployment=deployment.number,
        app=plan.app,
        environment=plan.environment,
        kind=plan.kind,
        word=word_of(deployment),
        commit=plan.release.commit,
        task=plan.task,
        ref=plan.release.ref,
        subject=plan.release.subject,
        replaces=next((part.replaces.commit for part in plan.servers if part.replaces), ""),
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
