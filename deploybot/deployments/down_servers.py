"""Which servers a deployment leaves as they are because they do not answer, with `rollout.on_down = "skip"`."""

from __future__ import annotations

import dataclasses
from collections.abc import Coroutine, Mapping, Sequence
from typing import NamedTuple, TypeVar

from deploybot.deployments.touched_servers import touched_servers
from deploybot.domain import Deployment, Phase, Plan, StepRow, StepState
from deploybot.errors import NOT_REACHED, ServerDown

T = TypeVar("T")


class Skipped(NamedTuple):
    """A server that is left as it is, and why."""

    problem: ServerDown


async def unless_down(work: Coroutine[object, object, T], *, optional: bool) -> T | Skipped:
    """Return the result of some work on a server; if an optional server does not answer, return why."""
    try:
        return await work
    except ServerDown as problem:
        if not optional:
            raise
        return Skipped(problem)


def down_warnings(down: Mapping[str, ServerDown]) -> tuple[str, ...]:
    """Return what a person should know about the servers that are left out."""
    return tuple(f"{name} is down and is skipped: {problem.why}" for name, problem in down.items())


def with_down(plan: Plan, servers: Sequence[str]) -> Plan:
    """Return a plan that also leaves out servers that were down when it was requested: only what was shown is done."""
    warnings = (f"{name} was down when this was requested and is skipped" for name in servers)
    return dataclasses.replace(plan, down=(*servers, *plan.down), warnings=(*warnings, *plan.warnings))


def skipped_words(servers: Sequence[str]) -> tuple[str, ...]:
    """Return the sentence about servers that were left as they are; nothing if there are none."""
    if not servers:
        return ()
    verbs = ("was", "keeps", "it runs") if len(servers) == 1 else ("were", "keep", "they run")
    return ("{} {} down and {} what {}.".format(", ".join(servers), *verbs),)


def skipped_servers(deployment: Deployment, rows: Sequence[StepRow]) -> tuple[str, ...]:
    """Return the optional servers that stopped answering before anything was switched there."""
    down = {
        row.server
        for row in rows
        if row.phase is Phase.FORWARD and row.state is StepState.FAILED and row.code == NOT_REACHED
    }
    touched = {part.server for part in touched_servers(deployment, rows)}
    return tuple(
        part.server
        for part in deployment.plan.servers
        if part.optional and part.server in down and part.server not in touched
    )
