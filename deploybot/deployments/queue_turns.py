"""Whose turn it is: one deployment at a time for an app's environment, and none before its time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from deploybot.domain import Deployment, Plan, State


def place_of(plan: Plan) -> tuple[str, str]:
    """Where only one deployment runs at a time."""
    return plan.app, plan.environment


def next_time(at: time, zone: ZoneInfo, now: float) -> float:
    """When it is that time of day next, after `now`; both in seconds since the epoch."""
    today = datetime.fromtimestamp(now, zone).date()
    moments = (datetime.combine(today + timedelta(days=days), at, zone).timestamp() for days in (0, 1, 2))
    return next(moment for moment in moments if moment > now)


def show_moment(at: float, zone: ZoneInfo) -> str:
    """Seconds since the epoch as `2026-11-21 18:00 CET`."""
    return datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M %Z")


def begins(deployment: Deployment) -> float:
    """Since when it may begin: what it is queued by."""
    return deployment.not_before or deployment.approved or deployment.created


def is_early(deployment: Deployment, now: float) -> bool:
    """Whether it waits for its time."""
    return deployment.state is State.WAITING and deployment.not_before > now


def is_in_the_way(deployment: Deployment, now: float) -> bool:
    """Whether others have to wait for it: not what waits for its time, or for approvals."""
    return not is_early(deployment, now) and not deployment.awaits_approval


def last_before(deployment: Deployment, others: Iterable[Deployment], now: float) -> Deployment | None:
    """The one of those that have not ended which this one comes right after; None where it is the next."""
    place, key = place_of(deployment.plan), _order(deployment)
    before = [one for one in others if place_of(one.plan) == place and _order(one) < key and is_in_the_way(one, now)]
    return max(before, key=_order, default=None)


def _order(deployment: Deployment) -> tuple[bool, float, int]:
    return deployment.state is State.WAITING, begins(deployment), deployment.number
