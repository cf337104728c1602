"""The card of a deployment: a pure function of what the database knows of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploybot.card import Button, Card, Line, Tone
from deploybot.deploy.request_cards import (
    approved_line,
    effects_lines,
    first_words,
    release_ref,
    request_buttons,
    request_lines,
    steps_line,
)
from deploybot.deploy.request_cards import word as request_word
from deploybot.domain import (
    Changes,
    Deployment,
    Kind,
    Phase,
    Plan,
    Request,
    ServerPlan,
    State,
    StepRow,
    StepState,
    image_changes,
)
from deploybot.units import show_duration

COMMITS_SHOWN = 5
WARNINGS_SHOWN = 5

_TONES = {
    State.WAITING: Tone.PLAIN,
    State.RUNNING: Tone.BUSY,
    State.RESTORING: Tone.WARN,
    State.SUCCEEDED: Tone.GOOD,
    State.FAILED: Tone.BAD,
    State.RESTORED: Tone.WARN,
    State.CANCELLED: Tone.WARN,
    State.UNKNOWN: Tone.UNKNOWN,
}
_STEP_TONES = {
    StepState.PENDING: Tone.BUSY,
    StepState.STARTED: Tone.BUSY,
    StepState.DONE: Tone.GOOD,
    StepState.FAILED: Tone.BAD,
    StepState.CANCELLED: Tone.WARN,
    StepState.UNKNOWN: Tone.UNKNOWN,
}
_VERBS = {
    Kind.DEPLOY: "deploy {release} to {place}",
    Kind.ROLLBACK: "roll back {place} to {release}",
    Kind.RESTART: "restart {place}",
    Kind.TASK: "run {task} in {place}",
}
_WORDS = {
    State.WAITING: "waiting",
    State.RUNNING: "running",
    State.RESTORING: "putting the old release back",
    State.SUCCEEDED: "done",
    State.FAILED: "failed",
    State.RESTORED: "failed, the old release is back",
    State.CANCELLED: "cancelled",
    State.UNKNOWN: "end unknown",
}


def key(number: int) -> str:
    """The key of a deployment's card: saying it again edits the message."""
    return f"deployment:{number}"


def number_of(card: str) -> int | None:
    """The number in a card's key; None where it is no deployment's."""
    head, _, number = card.partition(":")
    return int(number) if head == "deployment" and number.isascii() and number.isdigit() else None


def what(plan: Plan) -> str:
    """What a plan does, such as `deploy v2 (0123456789) to shop production`."""
    place = f"{plan.app} {plan.environment}"
    return _VERBS[plan.kind].format(release=plan.release, place=place, task=plan.task)


def deployment_card(
    deployment: Deployment, steps: Sequence[StepRow], *, waits_for: str = "", request: Request | None = None
) -> Card:
    """The card as it should read now.

    `waits_for` says what a waiting deployment waits for, `request` is there for one that needs approvals.
    """
    plan = deployment.plan
    word = _word(deployment, request)
    return Card(
        key=key(deployment.number),
        title=f"#{deployment.number} {what(plan)}{' (break glass)' if deployment.glass else ''} — {word}",
        tone=_TONES[deployment.state],
        text=_text(deployment, waits_for),
        lines=tuple(_lines(deployment, steps, request)),
        code=deployment.tail,
        buttons=_buttons(deployment, steps, request),
        footer=_footer(deployment),
        final=deployment.state.ended,
        ok=deployment.state in {State.SUCCEEDED, State.RUNNING, State.WAITING},
    )


def _word(deployment: Deployment, request: Request | None) -> str:
    """What the title says of its state."""
    if deployment.replaced_by:
        return f"replaced by #{deployment.replaced_by}"
    return (request and request_word(deployment, request)) or _WORDS[deployment.state]


def plan_card(plan: Plan, *, begins: str = "", wants: str = "") -> Card:
    """What would happen, for `--dry-run`; when it would begin if that is not now, and which approvals it would want."""
    when = [f"to begin at {begins}"] if begins else []
    when += [f"after {wants}"] if wants else []
    return Card(
        title=f"Would {what(plan)}",
        text=_about(plan),
        lines=tuple(line for part in plan.servers for line in (_steps(part), *effects_lines(part))),
        footer=", ".join([f"plan {plan.digest[:12]}", *when, "nothing was done"]),
    )


def _steps(part: ServerPlan) -> Line:
    return Line(part.server, steps_line(part))


def _text(deployment: Deployment, waits_for: str) -> str:
    parts = [_about(deployment.plan)]
    if deployment.reason and not deployment.wish:
        parts.append(f"because {deployment.reason}")
    if deployment.skipped:
        numbers = [f"#{number}" for number in deployment.skipped]
        parts.append(f"in place of {' and '.join(filter(None, (', '.join(numbers[:-1]), numbers[-1])))}, not deployed")
    if deployment.state is State.WAITING and waits_for:
        parts.append(f"Waits for {waits_for}.")
    if deployment.cancel_by and not deployment.state.ended:
        parts.append(f"{deployment.cancel_by} asked to cancel it; it is being stopped.")
    if deployment.outcome:
        parts.append(deployment.outcome)
    return "\n".join(part for part in parts if part)


def _about(plan: Plan) -> str:
    """Release, what it replaces, and what lies between."""
    if plan.kind in {Kind.RESTART, Kind.TASK}:
        return f"{plan.release} stays in place."
    lines = []
    if plan.release.subject:
        lines.append(f"{plan.release.subject} — {plan.release.author}")
    before = {str(part.replaces): None for part in plan.servers if part.replaces is not None}
    same = all(part.replaces is not None and part.replaces.id == plan.release.id for part in plan.servers)
    if same:
        lines.append("The same release is there already.")
    elif before:
        lines.append(f"replaces {', '.join(before)}")
    else:
        lines.append(next((first_words(part) for part in plan.servers if part.before), "the first release here"))
    if plan.origin is not None and str(plan.origin):
        lines.append(f"from {plan.origin}")
    lines += _images(plan)
    lines += _changes(plan.changes)
    lines += [f"! {warning}" for warning in plan.warnings]
    return "\n".join(lines)


def _images(plan: Plan) -> list[str]:
    """The images that are exchanged; all of the first release."""
    old = next((part.replaces for part in plan.servers if part.replaces is not None), None)
    if old is None:
        return [f"image {pin}" for pin in plan.release.images]
    return [f"image {service}: {was} → {now}" for service, was, now in image_changes(old, plan.release)]


def _changes(changes: Changes) -> list[str]:
    if not changes.total and not changes.removed:
        return []
    lines = [f"{_count(changes.total, 'new commit')}, {_count(changes.files, 'file')} changed"]
    lines += [f"  {one.sha[:10]} {one.subject} — {one.author}" for one in changes.commits[:COMMITS_SHOWN]]
    if changes.total > COMMITS_SHOWN:
        lines.append(f"  … and {changes.total - COMMITS_SHOWN} more")
    if changes.removed:
        lines.append(f"! takes back {_count(changes.removed, 'commit')}")
    if changes.warnings:
        more = len(changes.warnings) - WARNINGS_SHOWN
        shown = ", ".join(changes.warnings[:WARNINGS_SHOWN]) + (f" and {more} more" if more > 0 else "")
        lines.append(f"! touches {shown}")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _lines(deployment: Deployment, steps: Sequence[StepRow], request: Request | None) -> Iterator[Line]:
    """What is asked for, as long as nothing has been done; then what was, and who approved it."""
    yield from _glass(deployment)
    if request is not None and (deployment.state is State.WAITING or request.verdict):
        yield from request_lines(deployment, request)
        return
    yield from (_line(part, steps, deployment.state) for part in deployment.plan.servers)
    if request is not None:
        yield approved_line(request)


def _glass(deployment: Deployment) -> Iterator[Line]:
    if deployment.glass:
        yield Line("break glass", f"by {deployment.requester_name}, passes: {deployment.glass}", Tone.BAD)


def _line(part: ServerPlan, steps: Sequence[StepRow], state: State) -> Line:
    """One server: its steps with their ends, and the one that is being done."""
    mine = [row for row in steps if row.server == part.server and row.phase is not Phase.CLEANUP]
    if not mine:
        return Line(part.server, "nothing done" if state.ended else "not started")
    words = []
    for row in mine:
        back = "back: " if row.phase is Phase.RESTORE else ""
        words.append(f"{back}{row.name} {_ending(row)}")
    lost = mine[-1].state in {StepState.PENDING, StepState.STARTED} and mine[-1].detail
    tone = Tone.UNKNOWN if lost else _STEP_TONES[mine[-1].state]
    forward = [row for row in mine if row.phase is Phase.FORWARD]
    if tone is Tone.GOOD and not state.ended:
        checks = len(forward) == len(part.steps) and len(mine) == len(forward) and (part.gate or part.verify)
        words.append("checking health" if checks else "…")
        tone = Tone.BUSY
    elif tone is Tone.GOOD and len(mine) > len(forward):
        tone = Tone.WARN
    elif tone is Tone.GOOD and state is State.FAILED:
        tone = Tone.BAD
    return Line(part.server, ", ".join(words), tone)


def _ending(row: StepRow) -> str:
    """`0.4 s`, `failed (code 3)`, `…` while it runs."""
    took = show_duration(max(row.finished - row.started, 0.0))
    return {
        StepState.PENDING: f"… (not known to have begun: {row.detail}; trying again)" if row.detail else "…",
        StepState.STARTED: f"… (out of sight: {row.detail}; trying again)" if row.detail else "…",
        StepState.DONE: took,
        StepState.FAILED: f"failed (code {row.code}) after {took}",
        StepState.CANCELLED: f"stopped after {took}",
        StepState.UNKNOWN: "unknown",
    }[row.state]


def _buttons(deployment: Deployment, steps: Sequence[StepRow], request: Request | None) -> tuple[Button, ...]:
    plan = deployment.plan
    asked = request_buttons(deployment, request) if request else ()
    if not deployment.state.ended:
        can = deployment.state is not State.RESTORING and not deployment.cancel_by
        return (*asked, Button("Cancel", f"cancel #{deployment.number}", danger=True)) if can else ()
    if deployment.replaced_by:
        return ()
    if request is not None and request.verdict:
        return asked
    buttons = []
    if plan.kind in {Kind.DEPLOY, Kind.ROLLBACK}:
        if deployment.state is State.SUCCEEDED and any(part.replaces for part in plan.servers):
            buttons.append(Button("Roll back", f"rollback {plan.app} from {plan.environment}", danger=True))
        if deployment.state in {State.FAILED, State.RESTORED, State.CANCELLED, State.UNKNOWN}:
            ref = release_ref(deployment)
            buttons.append(Button("Try again", f"deploy {plan.app}@{ref} to {plan.environment}"))
            buttons += _way_back(deployment, steps)
    if deployment.state in {State.FAILED, State.UNKNOWN}:
        buttons.append(Button("What runs now", f"status {plan.app} {plan.environment}"))
    return tuple(buttons)


def _way_back(deployment: Deployment, steps: Sequence[StepRow]) -> Iterator[Button]:
    """Offer what ran before, where a failure may have taken it away and it was not restored."""
    plan = deployment.plan
    begun = {(row.server, row.position) for row in steps if row.phase is Phase.FORWARD}
    gone = (
        part.replaces
        for part in plan.servers
        if part.replaces is not None
        and part.replaces.id != plan.release.id
        and any(step.switches and (part.server, at) in begun for at, step in enumerate(part.steps))
    )
    old = next(gone, None) if deployment.state in {State.FAILED, State.UNKNOWN} else None
    if old is not None:
        # A release with images is named by the number of its deployment, which is not known here.
        to = "" if old.images else f" to {old.commit}"
        yield Button("Roll back", f"rollback {plan.app} from {plan.environment}{to}", danger=True)


def _footer(deployment: Deployment) -> str:
    why = f": {deployment.reason}" if deployment.wish and deployment.reason else ""
    parts = [f"by {deployment.requester_name}{why}"]
    if deployment.took is not None:
        parts.append(f"took {show_duration(deployment.took)}")
    return ", ".join(parts)
