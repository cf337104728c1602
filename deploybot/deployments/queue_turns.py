"""Whose turn it is: one deployment at a time for a target."""

from __future__ import annotations

from collections.abc import Iterable

from deploybot.deployments.scheduled_starts import is_early
from deploybot.domain import Deployment, Plan, State


def target_of(plan: Plan) -> tuple[str, str]:
    """Return the target, where only one deployment runs at a time."""
    return plan.app, plan.environment


def begins(deployment: Deployment) -> float:
    """Return since when a deployment may begin; the queue is sorted by it."""
    return deployment.not_before or deployment.approved or deployment.created


def is_in_the_way(deployment: Deployment, now: float) -> bool:
    """Return whether others must wait for a deployment: not if it waits for its time or for approvals."""
    return not is_early(deployment, now) and not deployment.awaits_approval


def last_before(deployment: Deployment, others: Iterable[Deployment], now: float) -> Deployment | None:
    """Return the unfinished deployment that comes right before this one; None if this one is next."""
    target, key = target_of(deployment.plan), _order(deployment)
    before = [one for one in others if target_of(one.plan) == target and _order(one) < key and is_in_the_way(one, now)]
    return max(before, key=_order, default=None)


def _order(deployment: Deployment) -> tuple[bool, float, int]:
    return deployment.state is State.WAITING, begins(deployment), deployment.number
