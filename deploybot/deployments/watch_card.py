"""What a card shows of the watch of a release: the evidence, the countdown to the rollback, and the veto; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from deploybot.card import Button, Card, Line, Mention, Moment, Tone
from deploybot.deployments.card_details import Mask
from deploybot.deployments.card_titles import headline
from deploybot.deployments.watch_summary import unknown_words
from deploybot.domain import Deployment, Phase, Plan, StageKind, State, StepRow, StepState, WatchRow, WatchState
from deploybot.units import show_clock

_LINES = 6
_LONGEST = 160


def with_watches(
    card: Card,
    deployment: Deployment,
    steps: Sequence[StepRow],
    watches: Sequence[WatchRow],
    *,
    leaves: bool = False,
    mask: Mask = str,
) -> Card:
    """Return a deployment's card with what its watches found.

    With `leaves`, a failed release stays as it is (`on_failure`).
    """
    stored = {one.job for one in watches}
    compares = (row for row in steps if row.kind is StageKind.COMPARE or row.job in stored)
    begun = {row.job: row for row in compares if row.kind is not StageKind.BASELINE}
    mine = [one for one in watches if one.job in begun]
    if not begun:
        return card
    lines = [*_lines(deployment, begun, mine, mask)]
    more = len(lines) - _LINES
    shown = lines[:_LINES] + ([Line("watch", f"{more} more: see the log")] if more > 0 else [])
    counting = _counting(deployment, mine)
    text, buttons = card.text, card.buttons
    if counting:
        text = "\n".join(filter(None, (_countdown(deployment, counting, leaves=leaves), card.text)))
        buttons = (_veto(deployment), *buttons)
    times = (*card.times, *_times(deployment.plan, begun.values()))
    return replace(card, text=text, lines=(*card.lines, *shown), buttons=buttons, times=times)


def veto_cards(
    deployment: Deployment,
    watches: Sequence[WatchRow],
    wakes: tuple[Mention, ...],
    *,
    leaves: bool = False,
    mask: Mask = str,
) -> tuple[Card, ...]:
    """Return the messages that announce rollbacks, since edits don't notify: one for each countdown.

    Each is edited when its countdown is over.
    """
    numbers = sorted({one.evidence.countdown for one in watches} - {0})
    return tuple(_announcement(deployment, watches, number, wakes, leaves=leaves, mask=mask) for number in numbers)


def _announcement(
    deployment: Deployment,
    watches: Sequence[WatchRow],
    countdown: int,
    wakes: tuple[Mention, ...],
    *,
    leaves: bool,
    mask: Mask,
) -> Card:
    worse = [one for one in watches if one.evidence.countdown == countdown]
    counting = [one for one in _counting(deployment, watches) if one in worse]
    evidence = [f"{one.server}: {mask(finding.text)[:_LONGEST]}" for one in worse for finding in one.evidence.findings]
    more = len(evidence) - _LINES
    state = _state(deployment, worse, counting, leaves=leaves)
    return Card(
        key=f"veto:{deployment.number}" + (f":{countdown}" if countdown > 1 else ""),
        title=f"#{deployment.number} {headline(deployment.plan)} · {state}",
        tone=Tone.WARN,
        text="\n".join(
            (
                *([_countdown(deployment, counting, leaves=leaves)] if counting else []),
                *evidence[:_LINES],
                *([f"and {more} more"] if more > 0 else []),
            )
        ),
        buttons=(_veto(deployment),) if counting else (),
        wakes=wakes,
        final=deployment.state.ended,
        ok=False,
    )


def vetoed_words(watches: Collection[WatchRow]) -> str:
    """Return the outcome of a deployment whose rollback a person vetoed, or whose last look was bad; or else empty."""
    vetoed = [one for one in watches if one.vetoed]
    if not vetoed:
        return _hidden_words(watches)
    people = ", ".join(dict.fromkeys(one.vetoed for one in vetoed))
    found = "; ".join(f"{one.server}: {text.text}" for one in vetoed for text in one.evidence.findings)
    return f"{people} vetoed the rollback. {found}."


def _hidden_words(watches: Collection[WatchRow]) -> str:
    """Return what was bad in the last look at each server, and is not worse because the old release does the same."""
    compared = sorted((one for one in watches if one.evidence.before), key=lambda one: one.evidence.new.log_from)
    last = {one.server: one.evidence.new for one in compared}
    bad = [
        f"{name}: health check fails ({one.answers.why})"
        for name, one in last.items()
        if one.answers and one.answers.bad
    ]
    bad += [f"{name}: {down.words}" for name, one in last.items() if one.containers for down in one.containers.not_up]
    return f"Not everything is healthy, and the old release was no better. {'; '.join(bad)}." if bad else ""


def unread_words(steps: Sequence[StepRow], watches: Collection[WatchRow]) -> str:
    """Return the sentence that the logs of some servers were not compared to the end; empty if all were.

    What a watch has missed until then, its last look reads, too.
    """
    last = {row.server: row.job for row in sorted(steps, key=lambda one: one.position) if row.kind is StageKind.COMPARE}
    unread = [one.server for one in watches if one.job == last.get(one.server) and one.evidence.new.trouble]
    return f"The log of {', '.join(unread)} was not compared to the end." if unread else ""


def _counting(deployment: Deployment, watches: Sequence[WatchRow]) -> list[WatchRow]:
    """Return the watches that count down to the rollback."""
    if deployment.state is not State.RUNNING or deployment.cancel_by:
        return []
    if any(one.state is WatchState.REVERTING for one in watches):
        return []
    return [one for one in watches if one.state is WatchState.WORSE]


def _state(deployment: Deployment, worse: Sequence[WatchRow], counting: Sequence[WatchRow], *, leaves: bool) -> str:
    if counting:
        return "does worse"
    vetoed = ", ".join(dict.fromkeys(one.vetoed for one in worse if one.vetoed))
    if vetoed and not any(one.state is WatchState.REVERTING for one in worse):
        return f"{vetoed} vetoed the rollback"
    if not deployment.state.ended and all(one.state is WatchState.LOOKING for one in worse):
        return "is watched again, because a veto was not possible"
    if deployment.state.ended:
        return deployment.word
    return "failing" if leaves and not deployment.cancel_by else "rolling back"


def _countdown(deployment: Deployment, counting: Sequence[WatchRow], *, leaves: bool) -> str:
    """Return when the release is rolled back, or the deployment fails, and how to prevent it."""
    at = show_clock(min(one.revert_at for one in counting), seconds=True)
    if leaves:
        return f"Fails at {at}, without a rollback. To continue: veto #{deployment.number}"
    return f"Rolls back at {at}. To keep the new release: veto #{deployment.number}"


def _veto(deployment: Deployment) -> Button:
    return Button("Veto", f"veto #{deployment.number}", primary=True)


def _times(plan: Plan, rows: Iterable[StepRow]) -> Iterator[Moment]:
    """Yield the ends of the watches that go on. A countdown is too short to be shown in minutes."""
    stages = {part.server: part.stages for part in plan.servers}
    ends = {row.started + stages[row.server][row.position].seconds for row in rows if row.state is StepState.STARTED}
    yield from (Moment(show_clock(at), at) for at in sorted(ends))


def _lines(
    deployment: Deployment, begun: Mapping[str, StepRow], watches: Sequence[WatchRow], mask: Mask
) -> Iterator[Line]:
    """Yield a line for each way in which a server does worse, and for a server that could not be looked at."""
    for one in watches:
        row, evidence = begun[one.job], one.evidence
        vetoed = f" (vetoed by {one.vetoed})" if one.vetoed else ""
        for finding in evidence.findings:
            accepted = finding.signal in evidence.accepted
            text = f"{mask(finding.text)[:_LONGEST]}{vetoed if accepted else ''}"
            yield Line(one.server, text, Tone.WARN if accepted else Tone.BAD)
        if evidence.new.trouble and row.state is StepState.STARTED and deployment.state is State.RUNNING:
            yield Line(one.server, f"last look incomplete: {mask(evidence.new.trouble)[:_LONGEST]}", Tone.UNKNOWN)
        goes_on = row.state is StepState.STARTED and row.phase is Phase.FORWARD and evidence.new.looks
        if goes_on and (unknown := unknown_words(evidence)):
            yield Line(one.server, unknown)
