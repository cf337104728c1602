"""Whose turn it is: one deployment at a time for a target, none before its scheduled time, and none long after it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from deploybot.domain import Deployment, Plan, State

LATE = 600.0
"""Seconds after its scheduled time in which a deployment still starts, for example after a restart of the bot."""


def target_of(plan: Plan) -> tuple[str, str]:
    """Return the target, where only one deployment runs at a time."""
    return plan.app, plan.environment


def next_time(at: time, zone: ZoneInfo, now: float) -> float:
    """Return when it is next that time of day, after `now`; both in seconds since the epoch."""
    today = datetime.fromtimestamp(now, zone).date()
    moments = (datetime.combine(today + timedelta(days=days), at, zone).timestamp() for days in (0, 1, 2))
    return next(moment for moment in moments if moment > now)


def show_moment(at: float, zone: ZoneInfo) -> str:
    """Return seconds since the epoch as `2026-11-21 18:00 CET`."""
    return datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M %Z")


def begins(deployment: Deployment) -> float:
    """Return since when a deployment may begin; the queue is sorted by it."""
    return deployment.not_before or deployment.approved or deployment.created


def is_early(deployment: Deployment, now: float) -> bool:
    """Return whether a deployment waits for its scheduled time."""
    return deployment.state is State.WAITING and deployment.not_before > now


def is_too_late(deployment: Deployment, now: float) -> bool:
    """Return whether a deployment still waits long after its scheduled time, because the bot was not running."""
    return deployment.state is State.WAITING and 0 < deployment.not_before < now - LATE


def late_words(deployment: Deployment, now: float, zone: ZoneInfo) -> str:
    """Return the outcome of a deployment that is too late."""
    due, late = (show_moment(at, zone) for at in (deployment.not_before, now))
    return f"Too late to start automatically: it was scheduled for {due}, and it is {late} now. Nothing was done."


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
