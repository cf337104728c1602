"""The lines of a deployment's card about servers: what would happen there, what happens, how it ended; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from deploybot.card import Line, Tone
from deploybot.deployments.batch_progress import current_batch
from deploybot.deployments.card_details import (
    effects_text,
    effects_tone,
    gravest_first,
    latest,
    step_words,
)
from deploybot.deployments.down_servers import skipped_servers
from deploybot.deployments.phone_rows import ROW, listed, short
from deploybot.domain import Phase, Plan, ServerPlan, StageKind, State, StepRow, StepState
from deploybot.units import show_duration

OUTPUT_SERVERS = 3
"""The most servers of a plan whose running steps show their output: each takes a row."""
_SIGN_AND_GAP = 5
_STEP_TONES = {
    StepState.PENDING: Tone.BUSY,
    StepState.STARTED: Tone.BUSY,
    StepState.DONE: Tone.GOOD,
    StepState.FAILED: Tone.BAD,
    StepState.CANCELLED: Tone.WARN,
    StepState.UNKNOWN: Tone.UNKNOWN,
}


class Progress(NamedTuple):
    """How long a step has been running, in seconds, and the last line of its output."""

    elapsed: float
    output: str


def merged(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield one line for all servers that have the same text."""
    groups: dict[tuple[str, Tone], list[str]] = {}
    for line in lines:
        groups.setdefault((line.text, line.tone), []).append(line.name)
    yield from (Line(listed(names), text, tone) for (text, tone), names in groups.items())


def planned(part: ServerPlan, most: int) -> Line:
    """Return what would happen to a server's services, removals and changes first; without services, its steps."""
    if part.effects:
        text = effects_text(gravest_first(part.effects))
        return Line(part.server, short(text, most), effects_tone(part.effects))
    words = [*(step.name for step in part.steps), *(["health"] if part.gate else [])]
    return Line(part.server, short(", ".join(words), most))


def server_lines(
    plan: Plan, steps: Sequence[StepRow], state: State, progress: Mapping[str, Progress]
) -> Iterator[Line]:
    """Yield the lines of all servers. `progress` is about running steps, by job; only a few show their output."""
    if len(plan.servers) > OUTPUT_SERVERS:
        progress = {job: one._replace(output="") for job, one in progress.items()}
    skipped = skipped_servers(plan, steps)
    through = {part.server for batch in plan.batches[: max(current_batch(plan, steps), 0)] for part in batch}
    lines = (
        _server_line(part, steps, state, progress, through=part.server in through)
        for part in plan.servers
        if part.server not in skipped
    )
    yield from merged((*lines, *down_lines(dict.fromkeys((*skipped, *plan.down)))))


def down_lines(servers: Iterable[str]) -> Iterator[Line]:
    """Yield the lines of servers that were down and are left as they are."""
    yield from (Line(name, "down, skipped", Tone.WARN) for name in servers)


def _server_line(
    part: ServerPlan, steps: Sequence[StepRow], state: State, progress: Mapping[str, Progress], *, through: bool
) -> Line:
    """Return one server's line: its steps with their results, and the step in progress.

    It is `through` if a later batch has begun.
    """
    mine = [row for row in steps if row.server == part.server and row.phase is not Phase.CLEANUP]
    if mine and mine[-1].kind is StageKind.COMPARE and mine[-1].state is StepState.STARTED:
        return Line(part.server, mine[-1].detail, Tone.BUSY)
    good = mine and all(row.state is StepState.DONE for row in mine)
    if state is State.SUCCEEDED or (state is State.RUNNING and through and good):
        return Line(part.server, "healthy" if part.gate or part.verify else "done", Tone.GOOD)
    if not mine:
        return Line(part.server, "nothing done" if state.ended else "not started")
    words = [step_words(row) for row in mine if row.kind is StageKind.RUN or row.state is not StepState.DONE]
    lost = mine[-1].state in {StepState.PENDING, StepState.STARTED} and mine[-1].detail
    tone = Tone.UNKNOWN if lost else _STEP_TONES[mine[-1].state]
    forward = [row for row in mine if row.phase is Phase.FORWARD]
    if tone is Tone.GOOD and not state.ended:
        runs = sum(row.kind is StageKind.RUN for row in forward)
        checks = runs >= len(part.steps) and len(mine) == len(forward) and (part.gate or part.verify)
        words.append("checking health" if checks else "…")
        tone = Tone.BUSY
    elif tone is Tone.GOOD and len(mine) > len(forward):
        tone = Tone.WARN
    elif tone is Tone.GOOD and state is State.FAILED:
        tone = Tone.BAD
    running = progress.get(mine[-1].job) if mine[-1].state is StepState.STARTED and not lost else None
    if running is None or state.ended:
        return Line(part.server, latest(words), tone)
    words[-1] = f"{words[-1]} {show_duration(running.elapsed)}"
    if not running.output:
        return Line(part.server, latest(words), tone)
    room = ROW - len(part.server) - _SIGN_AND_GAP
    return Line(part.server, f"{short(latest(words, room), room)}\n> {short(running.output, ROW - len('> '))}", tone)
