"""Which servers a deployment leaves as they are because they do not answer, with `rollout.on_down = "skip"`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from deploybot.deployments.touched_servers import touched_servers, unknown_servers
from deploybot.domain import Phase, Plan, StageKind, StepRow, StepState
from deploybot.errors import NOT_REACHED, ServerDown

T = TypeVar("T")
_AWAY = frozenset({StepState.FAILED, StepState.UNKNOWN})


class Skipped(NamedTuple):
    """A server that is left as it is, and why."""

    problem: ServerDown


async def unless_down(work: Callable[[], Coroutine[object, object, T]], *, optional: bool) -> T | Skipped:
    """Return the result of some work on a server. If an optional server is down, return why.

    The work is tried twice then: a server that is slow once is not down.
    """
    if not optional:
        return await work()
    with contextlib.suppress(ServerDown):
        return await work()
    try:
        return await work()
    except ServerDown as problem:
        return Skipped(problem)


def down_warnings(down: Mapping[str, ServerDown]) -> tuple[str, ...]:
    """Return what a person should know about the servers that are left out."""
    return tuple(f"{name} is down and is skipped: {problem.why}" for name, problem in down.items())


def still_down(servers: Sequence[str]) -> tuple[str, ...]:
    """Return the warnings about servers that are left out because they were down when this was requested."""
    return tuple(f"{name} was down when this was requested and is skipped" for name in servers)


def skipped_words(servers: Iterable[str]) -> tuple[str, ...]:
    """Return the sentence about servers that were left as they are; nothing if there are none."""
    names = [*dict.fromkeys(servers)]
    if not names:
        return ()
    verbs = ("was", "keeps", "it runs") if len(names) == 1 else ("were", "keep", "they run")
    return ("{} {} down and {} what {}.".format(", ".join(names), *verbs),)


def skipped_servers(plan: Plan, rows: Sequence[StepRow]) -> tuple[str, ...]:
    """Return the optional servers that stopped answering before anything was switched there.

    How a step ended there that only prepares may be unknown, but not how a task ended.
    """
    down = {row.server for row in rows if row.phase is Phase.FORWARD and row.state in _AWAY and _is_away(row)}
    busy = {part.server for part in touched_servers(plan, rows)} | unknown_servers(plan, rows).keys()
    return tuple(part.server for part in plan.servers if part.optional and part.server in down - busy)


def _is_away(row: StepRow) -> bool:
    return row.code == NOT_REACHED if row.state is StepState.FAILED else row.kind is StageKind.RUN
