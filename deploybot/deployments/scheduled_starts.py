"""Deployments that are scheduled for a time: when that is, whether it is still early, and when it is too late."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from deploybot.domain import Deployment, State
from deploybot.units import show_moment

LATE = 600.0
"""Seconds after its scheduled time in which a deployment still starts, for example after a restart of the bot."""


def next_time(at: time, zone: ZoneInfo, now: float) -> float:
    """Return when it is next that time of day, after `now`; both in seconds since the epoch."""
    today = datetime.fromtimestamp(now, zone).date()
    moments = (datetime.combine(today + timedelta(days=days), at, zone).timestamp() for days in (0, 1, 2))
    return next(moment for moment in moments if moment > now)


def start_of(at: time | float | None, zone: ZoneInfo, now: float) -> float:
    """Return when a deployment starts (Unix time) that is requested for a time or in some seconds; 0.0 for at once."""
    if isinstance(at, time):
        return next_time(at, zone, now)
    return now + at if at else 0.0


def earliest(deployment: Deployment) -> float:
    """Return when a deployment may start: not before its scheduled time, nor in the freeze that stopped it."""
    return max(deployment.not_before, deployment.frozen_until)


def is_early(deployment: Deployment, now: float) -> bool:
    """Return whether a deployment waits for its scheduled time, or for the end of a freeze."""
    return deployment.state is State.WAITING and earliest(deployment) > now


def waits_until(deployment: Deployment, zone: ZoneInfo) -> str:
    """Return in words what a deployment waits for that is early."""
    moment = show_moment(earliest(deployment), zone)
    return f"the end of the freeze, {moment}" if deployment.frozen_until >= deployment.not_before else moment


def is_too_late(deployment: Deployment, now: float) -> bool:
    """Return whether a deployment still waits long after its scheduled time, because the bot was not running.

    One that a freeze stopped starts when that ends, however late.
    """
    was_frozen = deployment.frozen_until > deployment.not_before
    return deployment.state is State.WAITING and 0 < deployment.not_before < now - LATE and not was_frozen


def late_words(deployment: Deployment, now: float, zone: ZoneInfo) -> str:
    """Return the outcome of a deployment that is too late."""
    due, late = (show_moment(at, zone) for at in (deployment.not_before, now))
    return f"Too late to start automatically: it was scheduled for {due}, and it is {late} now. Nothing was done."
