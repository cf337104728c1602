"""The card of everything that has not ended: requests, waiting deployments, running ones; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deploybot.card import Button, Card, Line, Tone
from deploybot.deployments.approval_card import request_buttons, request_times, short_time
from deploybot.deployments.approval_card import word as request_word
from deploybot.deployments.card_titles import headline
from deploybot.domain import Deployment, Request, State

DECIDED_HERE = 5
"""The most requests whose buttons the card has. Others are decided on their own cards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDeployment:
    """A deployment that has not ended, and what it waits for. `decides` is whether the reader may approve it."""

    deployment: Deployment
    request: Request | None = None
    waits_for: str = ""
    decides: bool = False

    @property
    def asks(self) -> bool:
        """Return whether it waits for approvals."""
        one = self.deployment
        return self.request is not None and one.awaits_approval and not one.cancel_by


def queue_card(rows: Sequence[OpenDeployment]) -> Card:
    """Return a line for each deployment, those that wait for approvals first, with buttons for who may decide."""
    ordered = sorted(rows, key=lambda one: not one.asks)
    buttons = [_buttons(one) for one in ordered if one.asks and one.decides]
    times = [
        moment for one in ordered if one.asks and one.request for moment in request_times(one.deployment, one.request)
    ]
    return Card(
        title=_title(ordered),
        tone=Tone.ASK if buttons else Tone.PLAIN,
        lines=tuple(map(_line, ordered)),
        buttons=tuple(button for pair in buttons[:DECIDED_HERE] for button in pair),
        times=tuple(times),
        hint="" if ordered else "`history APP` shows what was deployed.",
    )


def _title(rows: Sequence[OpenDeployment]) -> str:
    asks = sum(one.asks for one in rows)
    runs = sum(one.deployment.state is not State.WAITING for one in rows)
    waits = len(rows) - asks - runs
    parts = [
        f"{asks} wait{'s' * (asks == 1)} for approval" if asks else "",
        f"{runs} run{'s' * (runs == 1)}" if runs else "",
        f"{waits} wait{'s' * (waits == 1)} for something else" if waits else "",
    ]
    return ", ".join(filter(None, parts)) or "Nothing waits, and nothing runs."


def _line(one: OpenDeployment) -> Line:
    """Return `#7 shop/production  v1 → v2 · waiting for 1 approval · by ana, expires 14:05 UTC`."""
    deployment, request = one.deployment, one.request
    target, _, what = headline(deployment.plan).partition(": ")
    word = (request and request_word(deployment, request)) or deployment.word
    end = f", expires {short_time(request.expires, deployment.created)}" if request and one.asks else ""
    waits = f" · waits for {one.waits_for}" if one.waits_for else ""
    text = f"{what} · {word} · by {deployment.requester_name}{end}{waits}"
    return Line(f"#{deployment.number} {target}", text, Tone.ASK if one.asks else Tone.BUSY)


def _buttons(one: OpenDeployment) -> list[Button]:
    """Return Approve and Reject, with the number: the card has those of several requests."""
    made = request_buttons(one.deployment, one.request) if one.request else ()
    return [replace(button, label=f"{button.label} #{one.deployment.number}") for button in made]
