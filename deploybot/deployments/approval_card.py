"""The parts of a deployment's card that show its approvals, and the reminder card; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploybot.card import Button, Card, Mention, Moment, Tone
from deploybot.domain import Deployment, Kind, Request, RequestVerdict, State
from deploybot.parsing import LONGEST
from deploybot.policy import ONLY_AUTHORS
from deploybot.units import show_time

_MENTIONED = 20
"""How many people a chat mentions in one message."""
_RESERVED = 5
"""How many of these places the people behind replaced deployments have, however many people can approve."""


def reminder_key(number: int) -> str:
    """Return the key of a reminder's card."""
    return f"reminder:{number}"


def ask_again(deployment: Deployment, request: Request) -> str:
    """Return the command that makes the same request again: with the ref as typed, else with the exact release.

    A promotion takes what runs healthy then. A reason that makes it too long to be read is cut.
    """
    plan, ref = deployment.plan, request.binding.ref
    named = release_ref(deployment) if ref is None else ref
    servers = ",".join(part.server for part in plan.servers)
    match plan.kind:
        case Kind.TASK:
            text = f"run {plan.app} {plan.task} {plan.environment}"
        case Kind.ROLLBACK:
            text = f"rollback {plan.app} from {plan.environment} to {named}"
        case _ if plan.promoted_from:
            text = f"promote {plan.app} to {plan.environment}"
        case _:
            text = f"deploy {plan.app}{f'@{named}' if named else ''} to {plan.environment}/{servers}"
    return f"{text} because {deployment.reason}"[:LONGEST] if deployment.reason else text


def release_ref(deployment: Deployment) -> str:
    """Return the ref of a deployment's exact release: its commit, or its number if the commit alone is not all."""
    return deployment.plan.release.exact_ref or f"#{deployment.number}"


def word(deployment: Deployment, request: Request) -> str:
    """Return a request's state for its title, as `waiting for 2 approvals`; empty if the deployment's own word fits."""
    if deployment.awaits_approval and not deployment.cancel_by:
        return f"waiting for {request.lacks} approval{'' if request.lacks == 1 else 's'}"
    return ""


def request_warnings(request: Request) -> Iterator[str]:
    """Yield what an approver must know about the request itself."""
    if request.more:
        yield f"one more: {request.more}, so it needs {request.needs} approvals"
    if request.lacks and len(_counting(request)) >= request.needs:
        yield ONLY_AUTHORS
    for one in request.approvals:
        if not one.counts:
            yield f"{one.name}'s approval no longer counts"
    if request.note:
        yield request.note


def state_line(deployment: Deployment, request: Request, *, named: bool) -> str:
    """Return in one line how many approvals there are and when the request expires; if `named`, also who may approve.

    Leave `named` off for a message that mentions the approvers.
    """
    roles = [one if one.startswith("@") else f"an {one}" for one in request.approvers]
    who = f" · {' or '.join(filter(None, (', '.join(roles[:-1]), roles[-1])))} other than {deployment.requester_name}"
    code = ", with a one-time code" if request.code else ""
    expires = f"expires {short_time(request.expires, deployment.created)}"
    return f"{approved_text(request)} · {expires}{who if named else ''}{code}"


def approved_text(request: Request) -> str:
    """Return who has approved and how many approvals are needed: `approved 1 of 2: ben`."""
    there = _counting(request)
    return f"approved {len(there)} of {request.needs}" + (f": {', '.join(there)}" if there else "")


def _counting(request: Request) -> tuple[str, ...]:
    """Return the names of the people whose approval counts."""
    return tuple(one.name for one in request.approvals if one.counts)


def short_time(at: float, now: float) -> str:
    """Return `14:05 UTC` for a time on the same day, else `2026-11-21 14:05 UTC`."""
    day, clock = show_time(at).split(" ", 1)
    return clock if show_time(now).startswith(day) else f"{day} {clock}"


def request_times(deployment: Deployment, request: Request) -> tuple[Moment, ...]:
    """Return the times in the texts of a request."""
    ends = {short_time(request.expires, deployment.created), show_time(request.expires)}
    return tuple(Moment(text, request.expires) for text in sorted(ends))


def request_buttons(deployment: Deployment, request: Request) -> tuple[Button, ...]:
    """Return Approve and Reject while the request is open; Ask again if it ended without a decision."""
    number = deployment.number
    if deployment.state is State.WAITING and not deployment.cancel_by:
        reject = Button("Reject", f"reject #{number}", danger=True, asks="Why?")
        return (_approve(number, request), reject) if deployment.awaits_approval else (reject,)
    if request.verdict in {RequestVerdict.VOID, RequestVerdict.EXPIRED}:
        return (Button("Ask again", ask_again(deployment, request)),)
    return ()


def _approve(number: int, request: Request) -> Button:
    asks = "Your one-time code?" if request.code else ""
    return Button("Approve", f"approve #{number}", primary=True, asks=asks, asks_code=request.code)


def approvers_and_concerned(approvers: Sequence[Mention], concerned: Sequence[Mention]) -> tuple[Mention, ...]:
    """Return whom a card mentions, each once, approvers first. Some places are for the others."""
    first = [*dict.fromkeys(approvers)]
    others = [one for one in dict.fromkeys(concerned) if one not in first]
    room = _MENTIONED - min(len(others), _RESERVED)
    return (*first[:room], *others, *first[room:])


def reminder_card(deployment: Deployment, request: Request, title: str, wakes: tuple[Mention, ...] = ()) -> Card:
    """Return the message that reminds people of a request and shows how it ended.

    `title` names what was requested; `wakes` are the approvers.
    """
    waits = deployment.awaits_approval and not deployment.cancel_by
    done = deployment.word if deployment.state.ended or not deployment.approved else "approved"
    state = f"still {word(deployment, request)}" if waits else done
    expires = f"Asked by {deployment.requester_name}; it expires at {show_time(request.expires)}."
    return Card(
        key=reminder_key(deployment.number),
        title=f"#{deployment.number} {title} · {state}",
        text=expires if waits else "",
        tone=Tone.ASK if waits else Tone.PLAIN,
        buttons=request_buttons(deployment, request) if waits else (),
        wakes=wakes if waits else (),
        final=not waits,
        times=request_times(deployment, request) if waits else (),
    )
