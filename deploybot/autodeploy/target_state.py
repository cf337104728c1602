"""The database's state of a target, by which a change is weighed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deploybot.autodeploy.watched_sources import CARRIED_IMAGES, IMAGES, images_text
from deploybot.domain import (
    AutoRule,
    Deployment,
    Kind,
    Pin,
    Plan,
    Running,
    StageKind,
    State,
    StepRow,
    StepState,
    Trigger,
)
from deploybot.ports import Tables
from deploybot.settings import Environment

_GOOD_LOOK = 50


@dataclass(frozen=True, slots=True)
class TargetState:
    """The database's state of an environment: values considered, running releases, open triggers and deployments.

    `commit_is_open` is true if the automatic deployment of a commit waits or runs.
    """

    seen: dict[str, str]
    runs: tuple[Running, ...]
    current: Trigger | None
    open: tuple[Deployment, ...]
    good: tuple[Deployment, ...]
    failed: tuple[Deployment, ...] = ()
    commit_is_open: bool = False

    def is_there(self, servers: Sequence[str], commit: str) -> bool:
        """Return whether a commit runs healthy on all servers, and nothing else is just being deployed."""
        healthy = {row.server for row in self.runs if row.healthy and row.release.is_from(commit)}
        return healthy >= {*servers} and all(one.plan.release.is_from(commit) for one in self.begun)

    @property
    def begun(self) -> tuple[Deployment, ...]:
        """Return the deployments that run and are not being cancelled."""
        return tuple(one for one in self.open if one.state is State.RUNNING and not one.cancel_by)

    @property
    def has_before_images(self) -> bool:
        """Return whether new images have to wait: for a commit, which brings them, or for what is being deployed."""
        waits = self.current is not None and self.current.rule is not AutoRule.IMAGE
        return waits or self.commit_is_open or bool(self.begun)

    def carries(self, images: str) -> bool:
        """Return whether an open deployment has these images, in the form of `images_text`."""
        return any({*images.split()} <= {*images_text(one.plan.release.images).split()} for one in self.open)

    @property
    def carrier_ended(self) -> bool:
        """Return whether the deployment that had new images has ended: they are weighed again then."""
        return CARRIED_IMAGES in self.seen and not self.carries(self.seen[CARRIED_IMAGES])

    def tried(self, images: Iterable[Pin]) -> Deployment | None:
        """Return the newest deployment that tried these images and did not succeed; None if there is none."""
        return next((one for one in self.failed if {*images} <= {*one.plan.release.images}), None)

    def on_its_way(self, commit: str) -> bool:
        """Return whether a deployment of a commit is still open and not being cancelled."""
        return any(one.plan.release.is_from(commit) and not one.cancel_by for one in self.open)


def target_state(tables: Tables, environment: Environment) -> TargetState:
    """Read the state of an environment."""
    app, name = environment.app, environment.name
    rows = {row.server: row for row in tables.running.get(app, name)}
    here = [one for one in tables.deployments.open() if (one.plan.app, one.plan.environment) == (app, name)]
    return TargetState(
        seen=tables.triggers.considered(app, name),
        runs=tuple(rows[server] for server in environment.servers if server in rows),
        current=tables.triggers.current(app, name),
        open=tuple(here),
        good=tables.deployments.good(app, name, _GOOD_LOOK),
        failed=tuple(one for one in tables.deployments.recent(app, name) if _failed(tables, one)),
        commit_is_open=any(is_of_commit(tables, one) for one in here),
    )


def _failed(tables: Tables, deployment: Deployment) -> bool:
    """Return whether a deployment tried a release and ended without success. Its requester does not matter."""
    if deployment.plan.kind not in {Kind.DEPLOY, Kind.ROLLBACK} or deployment.never_began:
        return False
    if deployment.state is State.FAILED:
        return was_tried(deployment.plan, tables.deployments.steps(deployment.number))
    return deployment.state.ended and deployment.state is not State.SUCCEEDED


def was_tried(plan: Plan, rows: Iterable[StepRow]) -> bool:
    """Return whether a deployment that failed says something about its release, by its steps.

    It does not if its plan was no longer true before anything changed: a person had edited the Compose files, or a
    server did not answer. Then steps were refused, and those before them only prepared the servers.
    """
    steps = {(part.server, at): stage.step for part in plan.servers for at, stage in enumerate(part.stages)}
    for row in rows:
        step = steps.get((row.server, row.position))
        prepares = step is not None and not (step.switches or step.task) and row.state is not StepState.FAILED
        records = row.kind is StageKind.BASELINE
        if not (row.was_never_started or prepares or records):
            return True
    return False


def with_images_again(tables: Tables, environment: Environment) -> TargetState:
    """Let images count as new again after the end of the deployment that had them, and return the state."""
    state = target_state(tables, environment)
    target = (environment.app, environment.name)
    if state.carrier_ended:
        if state.seen.get(IMAGES) == state.seen[CARRIED_IMAGES]:
            runs = images_text(state.runs[0].release.images) if state.runs else ""
            tables.triggers.consider(*target, IMAGES, runs)
        tables.triggers.forget(*target, CARRIED_IMAGES)
    return target_state(tables, environment)


def images_wait(tables: Tables, app: str, environment: str) -> bool:
    """Return whether new images of a target wait for an automatic deployment that has not started."""
    is_here = (one for one in tables.deployments.open() if (one.plan.app, one.plan.environment) == (app, environment))
    triggers = (tables.triggers.get(one.trigger) for one in is_here if one.trigger and one.state is State.WAITING)
    return any(one is not None and one.rule is AutoRule.IMAGE for one in triggers)


def was_there(tables: Tables, trigger: Trigger) -> str:
    """Return that the release of a trigger already had an automatic deployment, or an empty text if it had none."""
    number = tables.triggers.deployment_of(trigger.app, trigger.environment, trigger.release)
    made = tables.deployments.get(number) if number else None
    if made is not None and made.never_began:
        return f"Its automatic deployment #{number} did not start: {made.word}"
    return f"It was already deployed automatically, as #{number}" if number else ""


def is_of_commit(tables: Tables, deployment: Deployment) -> bool:
    """Return whether a branch, tag or release triggered a deployment that is not being cancelled."""
    trigger = tables.triggers.get(deployment.trigger) if deployment.trigger and not deployment.cancel_by else None
    return trigger is not None and trigger.rule is not AutoRule.IMAGE
