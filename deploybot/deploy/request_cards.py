"""What the card of a request for approvals shows beside any deployment's, and its reminder; pure."""

from __future__ import annotations

from collections.abc import Iterator

from deploybot.card import Button, Card, Line, Tone
from deploybot.domain import Deployment, EffectKind, Kind, Request, ServerPlan, State, Verdict
from deploybot.policy import ONLY_AUTHORS
from deploybot.units import show_duration, show_time

AUTHORS_SHOWN = 10
_WORDS = {Verdict.REJECTED: "rejected", Verdict.VOID: "void", Verdict.EXPIRED: "expired"}


def reminder_key(number: int) -> str:
    """The key of a reminder's card."""
    return f"reminder:{number}"


def ask_again(deployment: Deployment, request: Request) -> str:
    """The command that asks for the same anew: the ref as it was typed, or the very release where none was."""
    plan, ref = deployment.plan, request.binding.ref
    named = release_ref(deployment) if ref is None else ref
    servers = ",".join(part.server for part in plan.servers)
    match plan.kind:
        case Kind.TASK:
            text = f"run {plan.app} {plan.task} {plan.environment}"
        case Kind.ROLLBACK:
            text = f"rollback {plan.app} from {plan.environment} to {named}"
        case _:
            text = f"deploy {plan.app}{f'@{named}' if named else ''} to {plan.environment}/{servers}"
    return f"{text} because {deployment.reason}" if deployment.reason else text


def release_ref(deployment: Deployment) -> str:
    """What to type for the very release of a deployment: its commit; its number where images belong to it."""
    release = deployment.plan.release
    return f"#{deployment.number}" if release.images else release.commit


def wanted_text(request: Request) -> str:
    """`2 by @ana or @ben`, `1 by an approver`."""
    named = [one if one.startswith("@") else f"an {one}" for one in request.approvers]
    *first, last = named
    return f"{request.wanted} by {', '.join(first)} or {last}" if first else f"{request.wanted} by {last}"


def word(deployment: Deployment, request: Request) -> str:
    """What a request's title says of it; empty where it says what any deployment's does."""
    if deployment.replaced_by:
        return f"replaced by #{deployment.replaced_by}"
    if deployment.awaits_approval and not deployment.cancel_by:
        return f"wants {request.lacks} approval{'' if request.lacks == 1 else 's'}"
    return _WORDS.get(request.verdict, "")


def request_lines(deployment: Deployment, request: Request) -> Iterator[Line]:
    """All that an approver has to know: who, what exactly, in place of what, by which steps, and what is missing."""
    plan = deployment.plan
    named = f"{plan.release.ref}, " if plan.release.ref and plan.release.ref != plan.release.commit else ""
    yield Line("asked by", deployment.requester_name)
    yield Line("release", f"{named}{plan.release.commit}")
    for pin in plan.release.images:
        yield Line(f"image {pin.service}", f"{f'{pin.tag}, ' if pin.tag else ''}{pin.reference}")
    if deployment.not_before:
        yield Line("begins", f"not before {show_time(deployment.not_before)}")
    for part in plan.servers:
        before = f"replaces {part.replaces}" if part.replaces else first_words(part)
        stays = f"{part.replaces} stays" if plan.kind is Kind.TASK else before
        yield Line(part.server, f"{stays}: {steps_line(part)}")
        yield from effects_lines(part)
    if authors := tuple(dict.fromkeys(one.author for one in plan.changes.commits)):
        more = f" and {len(authors) - AUTHORS_SHOWN} more" if len(authors) > AUTHORS_SHOWN else ""
        yield Line("authors", ", ".join(authors[:AUTHORS_SHOWN]) + more)
    if request.compare:
        yield Line("compare", request.compare)
    yield from _state(request)


def steps_line(part: ServerPlan) -> str:
    """All steps on a server, its health gate, and the way back."""
    steps = [f"{step.name} (at most {show_duration(step.timeout)})" for step in part.steps]
    if part.gate is not None:
        steps.append(f"health: {part.gate.kind} {part.gate.target} within {show_duration(part.gate.within)}")
    if part.replaces is None or (part.gate is None and not part.restore):
        return " → ".join(steps)
    return f"{' → '.join(steps)}; if it fails: {', '.join(step.name for step in part.restore) or 'nothing'}"


def first_words(part: ServerPlan) -> str:
    """Say that there is no release of the bot's to replace."""
    return "takes over what runs there" if part.before else "the first release there"


def effects_lines(part: ServerPlan) -> Iterator[Line]:
    """Say in one line what becomes of each service: `web recreated (image), db kept`."""
    if not part.effects:
        return
    words = [f"{one.service} {one.kind}" + (f" ({one.why})" if one.why else "") for one in part.effects]
    goes = any(one.kind is EffectKind.REMOVED for one in part.effects)
    text = ", ".join(words)
    if all(one.kind in {EffectKind.KEPT, EffectKind.LEFT} for one in part.effects):
        text = f"nothing changes: {text}"
    yield Line(f"{part.server} services", text, Tone.WARN if goes else Tone.PLAIN)


def _state(request: Request) -> Iterator[Line]:
    code = ", with a one-time code" if request.code else ""
    yield Line("wants", f"{wanted_text(request)}, other than who asked{code}")
    if request.more:
        yield Line("one more", f"{request.more}, so it takes {request.needs} approvals", Tone.WARN)
    yield approved_line(request)
    if request.lacks and len(_counting(request)) >= request.needs:
        yield Line("still needed", ONLY_AUTHORS, Tone.WARN)
    for one in request.approvals:
        if not one.counts:
            yield Line("approved", f"{one.name}'s does not count any more", Tone.WARN)
    if request.note:
        yield Line("note", request.note, Tone.WARN)
    yield Line("expires", show_time(request.expires))


def approved_line(request: Request) -> Line:
    """Who has approved, of how many."""
    there = _counting(request)
    return Line("approved", f"{len(there)} of {request.needs}" + (f": {', '.join(there)}" if there else ""))


def _counting(request: Request) -> tuple[str, ...]:
    """The names of those whose approval counts."""
    return tuple(one.name for one in request.approvals if one.counts)


def request_buttons(deployment: Deployment, request: Request) -> tuple[Button, ...]:
    """Approve and reject while that is open; afterwards, where it ended without a decision, asking anew."""
    number = deployment.number
    if deployment.state is State.WAITING and not deployment.cancel_by:
        reject = Button("Reject", f"reject #{number}", danger=True, asks="Why?")
        return (_approve(number, request), reject) if deployment.awaits_approval else (reject,)
    if request.verdict in {Verdict.VOID, Verdict.EXPIRED}:
        return (Button("Ask anew", ask_again(deployment, request)),)
    return ()


def _approve(number: int, request: Request) -> Button:
    asks = "Your one-time code?" if request.code else ""
    return Button("Approve", f"approve #{number}", asks=asks, asks_code=request.code)


def reminder_card(deployment: Deployment, request: Request, title: str) -> Card:
    """The message that reminds people of a request, and says what became of it; `title` tells what was asked."""
    waits = deployment.awaits_approval and not deployment.cancel_by
    done = word(deployment, request) or ("cancelled" if not deployment.approved else "approved")
    expires = f"Asked by {deployment.requester_name}; it expires at {show_time(request.expires)}."
    return Card(
        key=reminder_key(deployment.number),
        title=f"#{deployment.number} {title} {f'still {done}' if waits else f'— {done}'}",
        text=expires if waits else "",
        tone=Tone.WARN if waits else Tone.PLAIN,
        buttons=request_buttons(deployment, request) if waits else (),
        final=not waits,
    )
