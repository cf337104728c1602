"""The state of a request from its rows: whether it is open, and how it ended. Use inside a transaction."""

from __future__ import annotations

from dataclasses import dataclass

from deploybot.domain import Deployment, Request, State
from deploybot.errors import UserError
from deploybot.ports import Tables
from deploybot.units import show_duration, show_time

NOTHING_DONE = "Nothing was deployed."


@dataclass(frozen=True, slots=True)
class ApprovalCount:
    """How many approvals count now, of how many, and whether that has changed; `refused` is why one was not accepted.

    `missing` is how many are still needed; `why` explains it if the number alone does not.
    """

    there: int = 0
    wanted: int = 0
    missing: int = 0
    why: str = ""
    refused: str = ""
    changed: bool = False


def waiting(tables: Tables, number: int) -> tuple[Deployment, Request]:
    """Return a request whose deployment has not begun; raise UserError for everything else."""
    deployment, request = tables.deployments.get(number), tables.requests.get(number)
    if deployment is None:
        raise UserError(f"There is no deployment #{number}.", hint="See them with: history APP")
    if request is None:
        ended = f"It has ended: {deployment.word}." if deployment.state.ended else f"It is {deployment.word}."
        raise UserError(f"#{number} needs no approval.", hint=ended)
    if deployment.state.ended:
        raise UserError(f"#{number} has already ended: {deployment.word}.", hint=deployment.outcome)
    if deployment.state is not State.WAITING:
        raise UserError(f"#{number} has already started.", hint=f"`cancel #{number}` stops it.")
    if deployment.cancel_by:
        raise UserError(f"{deployment.cancel_by} already cancelled #{number}.")
    return deployment, request


def wanting(tables: Tables, number: int, now: float) -> tuple[Deployment, Request]:
    """Return a request that still needs approvals; raise UserError for everything else."""
    deployment, request = waiting(tables, number)
    if not deployment.awaits_approval:
        by = ", ".join(one.name for one in request.approvals if one.counts)
        raise UserError(f"#{number} is already approved, by {by}.")
    if now >= request.expires:
        raise UserError(f"#{number} expired at {show_time(request.expires)}.")
    return deployment, request


def expired_text(deployment: Deployment, request: Request) -> str:
    """Return the outcome of a request that did not get its approvals in time."""
    there = sum(one.counts for one in request.approvals)
    had = f"{there or 'none'} of the {request.needs} approvals it needs"
    if deployment.not_before:
        return f"It was scheduled for {show_time(deployment.not_before)} and had {had} by then. {NOTHING_DONE}"
    within = show_duration(request.expires - deployment.created)
    return f"It expired after {within} with {had}. {NOTHING_DONE}"
