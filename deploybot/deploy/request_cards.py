"""What the card of a request for approvals shows beside any deployment's, and its reminder; pure."""

from __future__ import annotations

from collections.abc import Iterator

from deploybot.card import Button, Card, Line, Tone
from deploybot.deploy.binding import steps_text
from deploybot.domain import Deployment, Kind, Plan, Request, State, Verdict
from deploybot.units import show_time

WORDS = {
    Verdict.REJECTED: "rejected",
    Verdict.VOID: "void, nothing was deployed",
    Verdict.EXPIRED: "expired",
}


def reminder_key(number: int) -> str:
    """The key of a reminder's card."""
    return f"reminder:{number}"


def ask_again(plan: Plan, ref: str | None) -> str:
    """The command that asks for the same anew; `ref` as it was typed, or None for the very commit."""
    named = plan.release.commit if ref is None else ref
    servers = ",".join(part.server for part in plan.servers)
    match plan.kind:
        case Kind.TASK:
            return f"run {plan.app} {plan.task} {plan.environment}"
        case Kind.RESTART:
            return f"restart {plan.app} {plan.environment}"
        case Kind.ROLLBACK:
            return f"rollback {plan.app} from {plan.environment} to {named}"
        case _:
            return f"deploy {plan.app}{f'@{named}' if named else ''} to {plan.environment}/{servers}"


def approved_by(request: Request) -> str:
    """The names of those whose approval counts."""
    return ", ".join(one.name for one in request.approvals if one.counts)


def wanted_text(request: Request) -> str:
    """`2 by @ana or @ben`, `1 by an approver`."""
    named = [one if one.startswith("@") else f"an {one}" for one in request.approvers]
    *first, last = named
    return f"{request.wanted} by {', '.join(first)} or {last}" if first else f"{request.wanted} by {last}"


def request_lines(deployment: Deployment, request: Request) -> Iterator[Line]:
    """All that an approver has to know: what exactly, where, in place of what, by which steps, and what is missing."""
    plan = deployment.plan
    named = f"{plan.release.ref}, " if plan.release.ref and plan.release.ref != plan.release.commit else ""
    yield Line("asked by", deployment.requester_name)
    if deployment.reason:
        yield Line("because", deployment.reason)
    yield Line("release", f"{named}{plan.release.commit}")
    for part in plan.servers:
        stays = plan.kind is Kind.TASK
        before = f"replaces {part.replaces}" if part.replaces else "the first release there"
        yield Line(part.server, f"{f'{part.replaces} stays' if stays else before}: {steps_text(plan, part)}")
    if request.compare:
        yield Line("compare", request.compare)
    yield from (Line("look at", path, Tone.WARN) for path in plan.changes.warnings)
    yield from _state(request)


def _state(request: Request) -> Iterator[Line]:
    there = approved_by(request)
    count = sum(one.counts for one in request.approvals)
    code = ", with a one-time code" if request.code else ""
    yield Line("wants", f"{wanted_text(request)}, other than who asked{code}")
    yield Line("approved", f"{count} of {request.wanted}" + (f": {there}" if there else ""))
    for one in request.approvals:
        if not one.counts:
            yield Line("approved", f"{one.name}'s does not count any more", Tone.WARN)
    if request.note:
        yield Line("tried", request.note, Tone.WARN)
    yield Line("expires", show_time(request.expires))


def request_buttons(deployment: Deployment, request: Request) -> tuple[Button, ...]:
    """Approve and reject while that is open; afterwards, where it ended without a decision, asking anew."""
    number = deployment.number
    reject = Button("Reject", f"reject #{number}", danger=True, asks="Why?")
    if deployment.awaits_approval and not deployment.cancel_by:
        code = {"asks": "Your one-time code?", "asks_code": True} if request.code else {}
        return (Button("Approve", f"approve #{number}", **code), reject)  # type: ignore[arg-type]
    if deployment.state is State.WAITING and not deployment.cancel_by:
        return (reject,)
    if request.verdict in {Verdict.VOID, Verdict.EXPIRED}:
        return (Button("Ask anew", ask_again(deployment.plan, request.binding.ref)),)
    return ()


def reminder_card(deployment: Deployment, request: Request, title: str) -> Card:
    """The message that reminds people of a request, and says what became of it; `title` tells what was asked."""
    waits = deployment.awaits_approval
    missing = request.wanted - sum(one.counts for one in request.approvals)
    wants = f"still wants {missing} approval{'' if missing == 1 else 's'}"
    expires = f"Asked by {deployment.requester_name}; it expires at {show_time(request.expires)}."
    done = WORDS.get(request.verdict) or ("cancelled" if deployment.state is State.CANCELLED else "approved")
    return Card(
        key=reminder_key(deployment.number),
        title=f"#{deployment.number} {title} {wants if waits else f'— {done}'}",
        text=expires if waits else "",
        tone=Tone.WARN if waits else Tone.PLAIN,
        buttons=request_buttons(deployment, request) if waits else (),
        final=not waits,
    )
