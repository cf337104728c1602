"""On which servers a deployment may have changed what serves: only these are restored. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from deploybot.domain import Kind, Phase, Plan, ServerPlan, Step, StepRow, StepState
from deploybot.errors import StepUnknown, sentence

_BROKEN = frozenset({StepState.FAILED, StepState.CANCELLED})


def _is_felt(plan: Plan, step: Step) -> bool:
    """Return whether a step may change what serves; restarts and tasks do, although they switch nothing."""
    return step.switches or plan.kind in {Kind.RESTART, Kind.TASK}


def first_felt(plan: Plan, part: ServerPlan) -> int:
    """Return the position of the first stage that may change what serves, or of the first check if none does."""
    return next((at for at, step in enumerate(part.steps) if _is_felt(plan, step)), len(part.steps))


def first_ahead(plan: Plan, part: ServerPlan) -> int:
    """Return the position of the first stage that is no preparation: a task before the switch, or the switch."""
    ends = first_felt(plan, part)
    return next((at for at, step in enumerate(part.steps[:ends]) if step.ahead), ends)


def touched_servers(plan: Plan, rows: Sequence[StepRow]) -> tuple[ServerPlan, ...]:
    """Return the servers where a step began that may have changed what serves.

    A server on which nothing was started needs no restore: it may not even answer, and others wait for it.
    """
    forward = (row for row in rows if row.phase is Phase.FORWARD)
    begun = {(row.server, row.position) for row in forward if not row.was_never_started}
    return tuple(
        part
        for part in plan.servers
        if any(_is_felt(plan, step) and (part.server, at) in begun for at, step in enumerate(part.steps))
    )


def unknown_servers(plan: Plan, rows: Sequence[StepRow]) -> dict[str, str]:
    """Return the servers where it is unknown how a step ended that is more than preparation, and why.

    Its job, a switch or a task, may still run there: nothing else is started beside it.
    """
    felt = {
        (part.server, at)
        for part in plan.servers
        for at, stage in enumerate(part.stages)
        if stage.step is not None and (_is_felt(plan, stage.step) or stage.step.task)
    }
    forward = (row for row in rows if row.phase is Phase.FORWARD and row.state is StepState.UNKNOWN)
    return {
        row.server: sentence(StepUnknown(row.server, row.name, row.detail))
        for row in forward
        if (row.server, row.position) in felt
    }


def broken_off(plan: Plan, rows: Sequence[StepRow]) -> tuple[ServerPlan, ...]:
    """Return the touched servers on which a stage failed or was stopped, so what they run is not whole."""
    bad = {row.server for row in rows if row.phase is Phase.FORWARD and row.state in _BROKEN}
    return tuple(part for part in touched_servers(plan, rows) if part.server in bad)


def broken_beside(plan: Plan, rows: Sequence[StepRow]) -> tuple[ServerPlan, ...]:
    """Return the servers to restore if it is unknown how a step ended on another: those that were stopped halfway."""
    unknown = unknown_servers(plan, rows)
    return tuple(part for part in broken_off(plan, rows) if part.server not in unknown)


def untouched_words(plan: Plan, *, tasks: bool = False) -> str:
    """Return the sentence for a deployment that ended before it changed what serves.

    `tasks` that ran before the switch may have started something.
    """
    if plan.kind in {Kind.RESTART, Kind.TASK} or any(part.replaces or part.before for part in plan.servers):
        return "The running release was not touched."
    return "Nothing ran before." if tasks else "Nothing ran before, and nothing was started."
