"""Deployments that are scheduled for a time: when that is, whether it is still early, and when it is too late."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from deploybot.command_parameters import StartTime
from deploybot.domain import Deployment, State
from deploybot.errors import UserError
from deploybot.units import show_moment

MOST_AHEAD = 31 * 86400.0
"""Seconds before a start in which it can be scheduled."""
LATE = 600.0
"""Seconds after its scheduled time in which a deployment still starts, for example after a restart of the bot."""


def next_time(at: time, zone: ZoneInfo, now: float) -> float:
    """Return when it is next that time of day, after `now`; both in seconds since the epoch."""
    today = datetime.fromtimestamp(now, zone).date()
    moments = (datetime.combine(today + timedelta(days=days), at, zone).timestamp() for days in (0, 1, 2))
    return next(moment for moment in moments if moment > now)


def start_of(at: StartTime | None, zone: ZoneInfo, now: float) -> float:
    """Return when a deployment starts (Unix time) that is requested for a time or in some seconds; 0.0 for at once.

    Raises UserError for a time that is over, or more than MOST_AHEAD away.
    """
    if at is None:
        return 0.0
    if isinstance(at, tuple):
        day, clock = at
        start = day.moment(clock, zone, now)
    else:
        start = next_time(at, zone, now) if isinstance(at, time) else now + at
    if start < now:
        raise UserError("That time is over.", hint="Choose a later time.")
    if start > now + MOST_AHEAD:
        raise UserError("That is more than 31 days away.", hint="Choose an earlier time.")
    return start


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
