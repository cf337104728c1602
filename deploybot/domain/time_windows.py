"""Recurring hours: daily, or from one time of the week to another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = 24 * 60
_WEEK = 7 * _DAY
_TIME = r"([01]?\d|2[0-3]):([0-5]\d)"
_DAILY = re.compile(rf"{_TIME}\s*-\s*{_TIME}", re.ASCII)
_WEEKLY = re.compile(rf"([a-z]{{3}})\s+{_TIME}\s*-\s*([a-z]{{3}})\s+{_TIME}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` up to `end`, in minutes of the day, or of the week (from Monday on) if it is `weekly`."""

    start: int
    end: int
    weekly: bool = False

    @staticmethod
    def read(text: object) -> Window:
        """Parse `22:00 - 07:00` or `Fri 16:00 - Mon 08:00`. Raises ValueError for anything else."""
        if isinstance(text, Window):
            return text
        if isinstance(text, str):
            if match := _DAILY.fullmatch(text.strip()):
                hour, minute, hour_end, minute_end = map(int, match.groups())
                return _some(Window(hour * 60 + minute, hour_end * 60 + minute_end))
            if (match := _WEEKLY.fullmatch(text.strip())) and {match[1].lower(), match[4].lower()} <= {*_DAYS}:
                first = _DAYS.index(match[1].lower()) * _DAY + int(match[2]) * 60 + int(match[3])
                last = _DAYS.index(match[4].lower()) * _DAY + int(match[5]) * 60 + int(match[6])
                return _some(Window(first, last, weekly=True))
        raise ValueError('should be hours such as "22:00 - 07:00" or "Fri 16:00 - Mon 08:00"')

    def left(self, at: datetime) -> float:
        """Return how many seconds of it are left at a local time; 0.0 outside it.

        Its end is a time on the clock, so it counts an hour more or less if the clock is set meanwhile.
        """
        length = _WEEK if self.weekly else _DAY
        day = at.weekday() * _DAY if self.weekly else 0
        now = day + at.hour * 60 + at.minute + (at.second + at.microsecond / 1e6) / 60
        inside = (now - self.start) % length
        left = max((self.end - self.start) % length - inside, 0.0)
        # A sum of an aware time and minutes is a time on the clock.
        return (at + timedelta(minutes=left)).timestamp() - at.timestamp() if left else 0.0


def _some(window: Window) -> Window:
    if window.start == window.end:
        raise ValueError("should begin and end at different times")
    return window
