"""Types that a command's parameters may have, beside those of bot.toml and the domain."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import NewType
from zoneinfo import ZoneInfo

from deploybot.errors import UserError

Duration = NewType("Duration", float)
"""A parameter of this type accepts `90s`, `15m` or `1h30m`. Its value is in seconds."""
Task = NewType("Task", str)
"""A parameter of this type accepts the name of a task that bot.toml defines for the app."""


class Code(str):
    """A parameter of this type accepts a one-time code of six digits. The audit does not store it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Follow:
    """A log that is being followed. `name` is shown on its card (`log-3`)."""

    name: str
    app: str
    environment: str


@dataclass(frozen=True, slots=True)
class Day:
    """A parameter of this type accepts `Mon`, `today`, `tomorrow` or `2026-12-24`.

    It has a `date`, or else a `weekday` (0 is Monday), or is so many days `ahead`.
    """

    date: dt.date | None = None
    weekday: int | None = None
    ahead: int = 0

    def moment(self, at: dt.time, zone: ZoneInfo, now: float) -> float:
        """Return when it is that day and time in a zone (Unix time). A weekday is the next one after `now`."""
        today = dt.datetime.fromtimestamp(now, zone).date()
        day = self.date or today + dt.timedelta(days=self.ahead)
        if self.weekday is not None:
            day = today + dt.timedelta(days=(self.weekday - today.weekday()) % 7)
            if dt.datetime.combine(day, at, zone).timestamp() <= now:
                day += dt.timedelta(days=7)
        return dt.datetime.combine(day, at, zone).timestamp()


StartTime = dt.time | float | tuple[Day, dt.time]
"""When something starts: at a time of day, after some seconds, or at a time of a day."""


def start_time(when: Day | dt.time | None, time: dt.time | None, delay: float) -> StartTime | None:
    """Return when to start, from the values of `[--at <when>] [<time>] [--in <delay>]`; None for at once.

    Raises UserError if they say no time, or two.
    """
    if when is not None and delay:
        raise UserError("Use `--at` or `--in`, not both.")
    if isinstance(when, Day):
        if time is None:
            raise UserError("A day needs a time.", hint="For example: `--at Mon 08:00`.")
        return when, time
    if time is not None:
        raise UserError("Write the time after `--at`.", hint="For example: `--at 18:00` or `--at Mon 08:00`.")
    return when or delay or None
