"""What a card shows under Details: everything a decision may need that does not fit on a phone; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from deploybot.card import Line, Tone
from deploybot.deployments.batch_progress import rollout_text
from deploybot.domain import (
    Changes,
    Deployment,
    Effect,
    EffectKind,
    Kind,
    Phase,
    Plan,
    Request,
    ServerPlan,
    StageKind,
    StepRow,
    StepState,
    image_changes,
)
from deploybot.units import show_duration, show_time

COMMITS_SHOWN = 5
WARNINGS_SHOWN = 20
AUTHORS_SHOWN = 10
SERVER_LONGEST = 66
"""The most characters that a card shows for one server: two rows, with its name."""

Mask = Callable[[str], str]
_CHECKS = {StageKind.PAUSE: "pausing", StageKind.COMPARE: "watching", StageKind.BASELINE: "measuring what runs now"}


def masked(deployment: Deployment, mask: Mask) -> Deployment:
    """Return a deployment with the texts masked that its card may cut: a secret cut in half is not recognized."""
    reason, outcome = mask(deployment.reason), mask(deployment.outcome)
    return replace(deployment, reason=reason, outcome=outcome, plan=masked_plan(deployment.plan, mask))


def masked_plan(plan: Plan, mask: Mask) -> Plan:
    """Return a plan with the texts masked that a card may cut."""
    commits = tuple(replace(one, subject=mask(one.subject)) for one in plan.changes.commits)
    changes = replace(plan.changes, commits=commits, warnings=tuple(map(mask, plan.changes.warnings)))
    release = replace(plan.release, ref=mask(plan.release.ref), subject=mask(plan.release.subject))
    return replace(plan, changes=changes, release=release, warnings=tuple(map(mask, plan.warnings)))


def masked_request(request: Request | None, mask: Mask) -> Request | None:
    """Return a request with the texts masked that a card may cut."""
    return replace(request, note=mask(request.note), more=mask(request.more)) if request else None


def deployment_details(
    deployment: Deployment,
    steps: Sequence[StepRow],
    request: Request | None,
    *,
    shown: Sequence[Line] = (),
    long: Sequence[Line] = (),
) -> Iterator[Line]:
    """Yield all details of a deployment that are not among the lines `shown`. `long` holds texts that the card cuts."""
    plan, texts = deployment.plan, {one.text for one in shown}
    yield from long
    if deployment.not_before:
        yield Line("begins", f"not before {show_time(deployment.not_before)}")
    yield from _release(plan)
    yield from _rollout(plan)
    for part in plan.servers:
        done = [row for row in steps if row.server == part.server and row.phase is not Phase.CLEANUP]
        words = ", ".join(map(step_words, done)) if done and deployment.state.ended else _planned(plan, part)
        if words not in texts:
            yield Line(part.server, words)
        if effects_text(gravest_first(part.effects)) not in texts:
            yield from effects_lines(part)
    yield from _changes(plan.changes, request.compare if request else "")
    yield Line("plan", plan.digest[:12] or "none")


def plan_details(plan: Plan) -> Iterator[Line]:
    """Yield all details of what would happen."""
    yield from _release(plan)
    yield from _rollout(plan)
    for part in plan.servers:
        yield Line(part.server, _planned(plan, part))
        yield from effects_lines(part)
    yield from _changes(plan.changes, "")


def _release(plan: Plan) -> Iterator[Line]:
    """Yield the exact release: the full commit or else the id, images by digest, and where the commit comes from."""
    release = plan.release
    exact = release.code or release.id
    named = f"{release.ref}, " if release.ref and release.ref != exact else ""
    yield Line("release", f"{named}{exact}")
    if release.file_text:
        yield Line("artifact", release.file_text)
    if release.subject and release.code not in {one.sha for one in plan.changes.commits}:
        yield Line("subject", f"{release.subject} — {release.author}")
    if plan.origin is not None and str(plan.origin):
        yield Line("from", str(plan.origin))
    for pin in release.images:
        yield Line(f"image {pin.service}", f"{f'{pin.tag}, ' if pin.tag else ''}{pin.reference}")
    if release.images and plan.replaced:
        for service, was, now in image_changes(plan.replaced[0], release):
            yield Line(f"change of {service}", f"{was} → {now}")


def _rollout(plan: Plan) -> Iterator[Line]:
    if text := rollout_text(plan):
        yield Line("rollout", text)


def _planned(plan: Plan, part: ServerPlan) -> str:
    return f"{_before(plan, part)}: {steps_line(part)}"


def _before(plan: Plan, part: ServerPlan) -> str:
    if part.replaces is None:
        return first_words(part)
    stays = plan.kind in {Kind.RESTART, Kind.TASK}
    return f"{part.replaces} stays" if stays else f"replaces {part.replaces}"


def _changes(changes: Changes, compare: str) -> Iterator[Line]:
    for one in changes.commits[:COMMITS_SHOWN]:
        yield Line(one.sha[:10], f"{one.subject} — {one.author}")
    if changes.commits and changes.total > COMMITS_SHOWN:
        yield Line("commits", f"{changes.total - COMMITS_SHOWN} more")
    authors = tuple(dict.fromkeys(one.author for one in changes.commits))
    if len(changes.commits) > COMMITS_SHOWN:  # otherwise each commit names its author
        more = f" and {len(authors) - AUTHORS_SHOWN} more" if len(authors) > AUTHORS_SHOWN else ""
        yield Line("authors", ", ".join(authors[:AUTHORS_SHOWN]) + more)
    for image in changes.images:
        text = f"{image.old[:10]} → {image.new[:10]}, by the labels of its images"
        yield Line(f"commits of {image.service}", text, url=image.url)
    if compare:
        yield Line("compare", compare, url=compare)


def warnings_of(plan: Plan) -> list[str]:
    """Return every warning of a plan, the most serious first."""
    changes = plan.changes
    found = list(plan.warnings)
    if changes.removed:
        found.append(f"goes back {counted(changes.removed, 'commit')}")
    if changes.warnings:
        more = len(changes.warnings) - WARNINGS_SHOWN
        found.append(f"touches {', '.join(changes.warnings[:WARNINGS_SHOWN])}" + (f" and {more} more" * (more > 0)))
    return found


def counted(number: int, what: str) -> str:
    """Return `no commits`, `1 commit`, `2 commits`."""
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def steps_line(part: ServerPlan) -> str:
    """Return all steps on a server, its health gate, and the steps that restore the old release."""
    steps = [f"{step.name} (at most {show_duration(step.timeout)})" for step in part.steps]
    if part.gate is not None:
        steps.append(f"health: {part.gate.kind} {part.gate.target} within {show_duration(part.gate.within)}")
    if part.replaces is None or (part.gate is None and not part.restore):
        return " → ".join(steps)
    return f"{' → '.join(steps)}; if it fails: {', '.join(step.name for step in part.restore) or 'nothing'}"


def first_words(part: ServerPlan) -> str:
    """Return the text for a server without an earlier release of the bot."""
    return "takes over what runs there" if part.before else "the first release there"


def effects_lines(part: ServerPlan) -> Iterator[Line]:
    """Yield one line that says what happens to each service: `web recreated (image), db kept`."""
    if not part.effects:
        return
    yield Line(f"{part.server} services", effects_text(part.effects), effects_tone(part.effects))


def effects_text(effects: Sequence[Effect]) -> str:
    """Return `web recreated (image), db kept`; say so if nothing changes."""
    text = ", ".join(f"{one.service} {one.kind}" + (f" ({one.why})" if one.why else "") for one in effects)
    same = all(one.kind in {EffectKind.KEPT, EffectKind.LEFT} for one in effects)
    return f"nothing changes: {text}" if same else text


def gravest_first(effects: Sequence[Effect]) -> list[Effect]:
    """Return the effects sorted: services that are removed or changed come before those that stay."""
    order = [EffectKind.REMOVED, EffectKind.RECREATED, EffectKind.NEW, EffectKind.STARTED]
    return sorted(effects, key=lambda one: order.index(one.kind) if one.kind in order else len(order))


def effects_tone(effects: Sequence[Effect]) -> Tone:
    """Return a warning tone if a service is removed."""
    return Tone.WARN if any(one.kind is EffectKind.REMOVED for one in effects) else Tone.PLAIN


def step_words(row: StepRow) -> str:
    """Return `switch 0.4 s`, `switch failed (code 3) after 2 s`, or `switch …` while it runs."""
    back = "back: " if row.phase is Phase.RESTORE else ""
    if row.kind is not StageKind.RUN and row.state is StepState.STARTED:
        return f"{back}{_CHECKS.get(row.kind) or 'checking health'}"
    return f"{back}{row.name} {_ending(row)}"


def _ending(row: StepRow) -> str:
    took = show_duration(max(row.finished - row.started, 0.0))
    return {
        StepState.PENDING: f"… (may not have started: {row.detail}; retrying)" if row.detail else "…",
        StepState.STARTED: f"… (no contact: {row.detail}; retrying)" if row.detail else "…",
        StepState.DONE: took,
        StepState.FAILED: f"failed{f' (code {row.code})' if row.code >= 0 else ''} after {took}",
        StepState.CANCELLED: f"stopped after {took}",
        StepState.UNKNOWN: "unknown",
    }[row.state]


def latest(words: Sequence[str], most: int = SERVER_LONGEST) -> str:
    """Return the last steps, as many as `most` characters hold, and how many came before."""
    for at in range(len(words)):
        before = [f"{counted(at, 'step')} before"] if at else []
        text = ", ".join([*before, *words[at:]])
        if len(text) <= most or at == len(words) - 1:
            return text
    return ""
