"""The card of a deployment: a pure function of what the database has about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from deploybot.card import Button, Card, Line, Mention, Moment, Tone
from deploybot.deployments.approval_card import (
    approved_text,
    approvers_and_concerned,
    release_ref,
    request_buttons,
    request_times,
    request_warnings,
    state_line,
)
from deploybot.deployments.approval_card import word as request_word
from deploybot.deployments.batch_progress import progress_text
from deploybot.deployments.card_details import (
    SERVER_LONGEST,
    Mask,
    counted,
    deployment_details,
    masked,
    masked_plan,
    masked_request,
    plan_details,
    warnings_of,
)
from deploybot.deployments.card_titles import headline, image_exchange
from deploybot.deployments.phone_rows import ROW, rows_of_all, short
from deploybot.deployments.scheduled_starts import earliest
from deploybot.deployments.server_lines import Progress, down_lines, merged, planned, server_lines
from deploybot.deployments.switch_tasks import task_lines
from deploybot.domain import (
    Deployment,
    Kind,
    Phase,
    Plan,
    Request,
    State,
    StepRow,
    image_changes,
)
from deploybot.units import show_duration, show_time

MOST_ROWS = 9
"""The most rows of a request's card at 390 px, without its buttons and details."""
COMMITS_ON_CARD = 3
IMAGES_ON_CARD = 2
OUTCOME_LONGEST = 700
CAUSE_LONGEST = 200
COMMIT_LONGEST = 36


class _Room(NamedTuple):
    """How much a card shows: characters of the reason and of a warning, how many warnings and lines of servers."""

    reason: int
    warning: int
    warnings: int
    servers: int
    server: int


_ROOMY = _Room(reason=60, warning=74, warnings=2, servers=4, server=2 * ROW - 4)
_CLOSE = _Room(reason=60, warning=36, warnings=1, servers=1, server=ROW - 2)
_TIGHT = _Room(reason=20, warning=36, warnings=1, servers=1, server=ROW - 2)

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
_NEEDS_PERSON = frozenset({State.FAILED, State.RESTORED, State.UNKNOWN})


def key(number: int) -> str:
    """Return the key of a deployment's card; posting the same key again edits the message."""
    return f"deployment:{number}"


def number_of(card: str) -> int | None:
    """Return the number in a card's key; None if the card is not a deployment's."""
    head, _, number = card.partition(":")
    return int(number) if head == "deployment" and number.isascii() and number.isdigit() else None


def deployment_card(
    deployment: Deployment,
    steps: Sequence[StepRow],
    *,
    waits_for: str = "",
    request: Request | None = None,
    wakes: tuple[Mention, ...] = (),
    concerned: tuple[Mention, ...] = (),
    progress: Mapping[str, Progress] | None = None,
    mask: Mask = str,
) -> Card:
    """Return the card as it should read now: the essentials in a few rows, everything else in its details.

    `waits_for` says what a waiting deployment waits for. `request` is set if it needs approvals, and `wakes` are the
    people who can give them; `concerned` are those behind the deployments that it replaces. `progress` is about steps
    that run for long, by job. `mask` masks a text before it is cut.
    """
    buttons = _buttons(deployment, steps, request)
    deployment, request = masked(deployment, mask), masked_request(request, mask)
    asked = request if request and deployment.awaits_approval and not deployment.cancel_by else None
    title = f"#{deployment.number} {headline(deployment.plan)}{' (break glass)' if deployment.glass else ''}"
    title = f"{title} · {(request and request_word(deployment, request)) or deployment.word}"
    footer = _footer(deployment, request, named=not (asked and wakes))
    wakes = approvers_and_concerned(wakes if asked else (), concerned)
    ends = (f"✋ {title}", footer, ", ".join(dict.fromkeys(one.name for one in wakes)))
    text, lines = _body(
        deployment, steps, progress=progress or {}, asked=asked, waits_for=waits_for, used=rows_of_all(ends)
    )
    cut = tuple(one for one in _long(deployment, asked) if one.text not in text)
    return Card(
        key=key(deployment.number),
        title=title,
        tone=Tone.ASK if asked else _TONES[deployment.state],
        text=text,
        lines=lines,
        code=deployment.tail,
        buttons=buttons,
        footer=footer,
        wakes=wakes,
        details=tuple(deployment_details(deployment, steps, request, shown=lines, long=cut)),
        times=(*_times(deployment), *(request_times(deployment, asked) if asked else ())),
        final=deployment.state.ended,
        ok=deployment.state in {State.SUCCEEDED, State.RUNNING, State.WAITING},
    )


def _body(
    deployment: Deployment,
    steps: Sequence[StepRow],
    *,
    progress: Mapping[str, Progress],
    asked: Request | None,
    waits_for: str,
    used: int,
) -> tuple[str, tuple[Line, ...]]:
    """Return the text and the lines; for a request, few enough to fit a phone with `used` rows already taken."""
    text, lines = _sized(deployment, steps, _ROOMY, progress=progress, asked=asked, waits_for=waits_for)
    for room in (_CLOSE, _TIGHT):
        if asked is not None and used + _rows(text, lines) > MOST_ROWS:
            text, lines = _sized(deployment, steps, room, progress=progress, asked=asked, waits_for=waits_for)
    left = MOST_ROWS - used - _rows(text, lines)
    if asked is not None and left > 0:
        commits = deployment.plan.changes.commits[: min(left, COMMITS_ON_CARD)]
        text += [f"  {short(one.subject, COMMIT_LONGEST)}" for one in commits]
    return "\n".join(text), lines


def _sized(
    deployment: Deployment,
    steps: Sequence[StepRow],
    room: _Room,
    *,
    progress: Mapping[str, Progress],
    asked: Request | None,
    waits_for: str,
) -> tuple[list[str], tuple[Line, ...]]:
    text = [*_text(deployment, waits_for, asked, room)]
    if deployment.state is State.RUNNING and (batch := progress_text(deployment.plan, steps)):
        text.append(batch)
    if not deployment.state.ended or deployment.state is State.SUCCEEDED:
        text += _changes(deployment.plan)
    return text, tuple(_lines(deployment, steps, progress, room))


def _rows(text: Sequence[str], lines: Sequence[Line]) -> int:
    return rows_of_all([*text, *(f"{one.name}  {one.text}" for one in lines)])


def _times(deployment: Deployment) -> tuple[Moment, ...]:
    """Return the time in the text of a deployment that begins later."""
    at = earliest(deployment)
    return (Moment(show_time(at), at),) if at else ()


def end_card(deployment: Deployment, wakes: tuple[Mention, ...], mask: Mask = str) -> Card | None:
    """Return a short new message for an end that needs a person, since edits don't notify; `wakes` is the requester.

    It holds the first two lines of the outcome: the cause and what runs now, or that nothing serves and the cause.
    """
    if deployment.state not in _NEEDS_PERSON:
        return None
    deployment = masked(deployment, mask)
    return Card(
        key=f"end:{deployment.number}",
        title=f"#{deployment.number} {headline(deployment.plan)} · {deployment.word}",
        tone=_TONES[deployment.state],
        text="\n".join(short(line, CAUSE_LONGEST) for line in deployment.outcome.splitlines()[:2]),
        wakes=wakes,
        ok=False,
    )


def plan_card(
    plan: Plan, *, begins: str = "", wants: str = "", frozen: str = "", command: str = "", mask: Mask = str
) -> Card:
    """Return what would happen, for `--dry-run`.

    `begins` is when it would begin, if not now; `wants` is which approvals it would need; `frozen` is until when and
    why nothing new may begin there. `command` does it; only a rollback has a button for that.
    """
    plan = masked_plan(plan, mask)
    when = [f"starts at {begins}"] if begins else []
    when += [f"after {wants}"] if wants else []
    when += [f"frozen {frozen}"] if frozen else []
    commits = (f"  {short(one.subject, COMMIT_LONGEST)}" for one in plan.changes.commits[:COMMITS_ON_CARD])
    counts = [f"counts as {plan.counts_as}"] if plan.counts_as else []
    return Card(
        title=f"{headline(plan)} · dry run",
        text="\n".join([*counts, *(f"! {one}" for one in warnings_of(plan)), *_changes(plan), *commits]),
        lines=(
            *merged((*(planned(part, SERVER_LONGEST) for part in plan.servers), *down_lines(plan.down))),
            *(Line(when, text) for when, text in task_lines(plan)),
        ),
        details=tuple(plan_details(plan)),
        footer=", ".join([f"plan {plan.digest[:12]}", *when, "nothing was done"]),
        buttons=(Button("Roll back", command, danger=True),) if command else (),
    )


def _text(deployment: Deployment, waits_for: str, asked: Request | None, room: _Room) -> Iterator[str]:
    """Yield how it ended, why it was requested, what it waits for, and what to check."""
    over = deployment.state.ended
    yield from _end(deployment)
    yield from _asked(deployment, asked, room)
    if deployment.skipped:
        numbers = [f"#{number}" for number in deployment.skipped]
        names = " and ".join(filter(None, (", ".join(numbers[:-1]), numbers[-1])))
        yield f"replaces {names}, which {'was' if len(numbers) == 1 else 'were'} not deployed"
    if deployment.plan.counts_as and not deployment.glass and (deployment.took is not None or not over):
        yield f"counts as {deployment.plan.counts_as}"
    if deployment.state is State.WAITING and waits_for:
        yield f"Waits for {waits_for}."
    if (start := earliest(deployment)) and asked:
        yield f"starts no earlier than {show_time(start)}"
    if deployment.cancel_by and not over:
        yield f"{deployment.cancel_by} cancelled it; it is stopping."
    if not over:
        yield from _warnings(deployment.plan, asked, room)


def _end(deployment: Deployment) -> Iterator[str]:
    """Yield how it ended, the cause first. A success everywhere is shown in the title only."""
    if deployment.outcome and (deployment.state is not State.SUCCEEDED or deployment.plan.down):
        yield _cut(deployment.outcome, OUTCOME_LONGEST)


def _asked(deployment: Deployment, asked: Request | None, room: _Room) -> Iterator[str]:
    """Yield who asks for approvals, and why. For anything else the footer names the requester."""
    because = f"because {short(deployment.reason, room.reason)}" if deployment.reason else ""
    if asked is not None and not deployment.trigger:
        yield f"{deployment.requester_name} asks: {because}" if because else f"{deployment.requester_name} asks"
    elif because and not deployment.trigger:
        yield because


def _warnings(plan: Plan, asked: Request | None, room: _Room) -> Iterator[str]:
    found = _all_warnings(plan, asked)
    shown = found if len(found) <= room.warnings else found[: max(room.warnings - 1, 1)]
    more = f" (+{len(found) - len(shown)} in the details)" if len(found) > len(shown) else ""
    for number, one in enumerate(shown, start=1):
        end = more if number == len(shown) else ""
        yield f"! {short(one, room.warning - len(end))}{end}"


def _all_warnings(plan: Plan, asked: Request | None) -> list[str]:
    return [*(request_warnings(asked) if asked else ()), *warnings_of(plan)]


def _long(deployment: Deployment, asked: Request | None) -> Iterator[Line]:
    """Yield in full the texts that the card may have cut."""
    if deployment.reason and (not deployment.trigger or len(deployment.reason) > _ROOMY.reason):
        yield Line("reason", deployment.reason)
    if len(deployment.outcome) > OUTCOME_LONGEST:
        yield Line("outcome", deployment.outcome)
    yield from (Line("warning", one) for one in _all_warnings(deployment.plan, asked))


def _changes(plan: Plan) -> Iterator[str]:
    """Yield one line about what changed; of an artifact its file, for a first release its commit."""
    if plan.kind in {Kind.RESTART, Kind.TASK}:
        return
    yield from filter(None, (plan.release.file_text,))
    yield from (f"{service}: {was} → {now}" for service, was, now in _images(plan))
    if plan.changes.total:
        yield f"{counted(plan.changes.total, 'commit')}, {counted(plan.changes.files, 'file')} changed"
    elif plan.release.subject and not plan.replaced:
        yield short(plan.release.subject, COMMIT_LONGEST)


def _images(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """Yield the images that change, by tag if the tags differ; the details show their digests."""
    if not plan.replaced or image_exchange(plan):
        return
    old, new = plan.replaced[0], plan.release
    for service, was, now in [*image_changes(old, new)][:IMAGES_ON_CARD]:
        before, after = old.image(service), new.image(service)
        tags = before and after and before.tag and after.tag and before.tag != after.tag
        yield (service, before.tag, after.tag) if before and after and tags else (service, was, now)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _lines(
    deployment: Deployment, steps: Sequence[StepRow], progress: Mapping[str, Progress], room: _Room
) -> Iterator[Line]:
    """Yield what would happen on each server, later what happens; after an end only if there is something to show."""
    plan, state = deployment.plan, deployment.state
    if deployment.glass:
        yield Line("break glass", f"by {deployment.requester_name}, bypasses: {deployment.glass}", Tone.BAD)
    if state is State.WAITING:
        whole = merged((*(planned(part, SERVER_LONGEST) for part in plan.servers), *down_lines(plan.down)))
        groups = [replace(one, text=short(one.text, room.server - len(one.name))) for one in whole]
        shown = sorted(groups, key=lambda one: one.tone is not Tone.WARN)[: room.servers]
        yield from shown
        if len(groups) > len(shown):
            yield Line("other servers", "see the details")
        yield from (Line(when, short(text, room.server - len(when))) for when, text in task_lines(plan))
    elif not (state is State.CANCELLED and not steps):
        yield from server_lines(plan, steps, state, progress)


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
            buttons.append(Button("Try again", _try_again(deployment)))
            buttons += _way_back(deployment, steps)
    if deployment.state in {State.FAILED, State.UNKNOWN}:
        buttons.append(Button("What runs now", f"status {plan.app} {plan.environment}"))
    return tuple(buttons)


def _try_again(deployment: Deployment) -> str:
    """Return the command that does the same again: a rollback as a rollback, and on the same servers."""
    plan, ref = deployment.plan, release_ref(deployment)
    if plan.kind is Kind.ROLLBACK:
        return f"rollback {plan.app} from {plan.environment} to {ref}"
    names = dict.fromkeys((*(part.server for part in plan.servers), *plan.down))
    servers = f"/{','.join(names)}" if plan.some else ""
    return f"deploy {plan.app}@{ref} to {plan.environment}{servers}"


def _way_back(deployment: Deployment, steps: Sequence[StepRow]) -> Iterator[Button]:
    """Offer the earlier release if a failure may have removed it and it was not restored."""
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
        # A release that no ref means exactly is referred to by its deployment's number, which is not known here.
        to = f" to {old.exact_ref}" if old.exact_ref else ""
        yield Button("Roll back", f"rollback {plan.app} from {plan.environment}{to}", danger=True)


def _footer(deployment: Deployment, request: Request | None, *, named: bool) -> str:
    if request is not None and deployment.awaits_approval and not deployment.cancel_by and not deployment.trigger:
        return state_line(deployment, request, named=named)
    why = f": {short(deployment.reason, _ROOMY.reason)}" if deployment.trigger and deployment.reason else ""
    parts = [f"by {deployment.requester_name}{why}"]
    if request is not None and deployment.awaits_approval and not deployment.cancel_by:
        return "; ".join([*parts, state_line(deployment, request, named=named)])
    if request is not None and request.approvals:
        parts.append(approved_text(request))
    if deployment.took is not None:
        parts.append(f"took {show_duration(deployment.took)}")
    return ", ".join(parts)
