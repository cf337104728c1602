"""Freezes of bot.toml: hours of the day, of the week, or dates in which nothing new is deployed."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from zoneinfo import ZoneInfo

from deploybot.domain.time_windows import Window

_DAY = r"(\d{4}-\d{2}-\d{2})"
_TIME = r"(?:[ T]+([01]?\d|2[0-3]):([0-5]\d))?"
_DATES = re.compile(rf"{_DAY}{_TIME}(?:\s+-\s+{_DAY}{_TIME})?", re.ASCII)
_MOST_ROUNDS = 100
_ONE_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class FreezeWindow:
    """When nothing new is deployed. `text` is what bot.toml says.

    Its `hours` come again each day or week. Without them it is `once`, from one time up to another on the clock of the
    bot's zone; these two have no zone of their own.
    """

    text: str
    hours: Window | None = None
    once: tuple[tuple[dt.datetime, dt.datetime], ...] = ()

    @staticmethod
    def read(text: object) -> FreezeWindow:
        """Parse `22:00 - 07:00`, `Fri 16:00 - Mon 08:00`, `2026-12-20 - 2027-01-02` or `2026-12-24`.

        A date may have a time of day, as in `2026-12-23 18:00 - 2027-01-02`. Without one, the whole day counts, the
        last one, too. Raises ValueError for anything else.
        """
        if isinstance(text, FreezeWindow):
            return text
        plain = " ".join(text.split()) if isinstance(text, str) else ""
        if match := _DATES.fullmatch(plain):
            return _dates(plain, match)
        try:
            return FreezeWindow(plain, hours=Window.read(plain))
        except ValueError as problem:
            if "different" in str(problem):
                raise
            raise ValueError(
                'should be hours or dates such as "Fri 16:00 - Mon 08:00", "22:00 - 07:00" or "2026-12-20 - 2027-01-02"'
            ) from None

    def periods(self, day: dt.date) -> Iterator[tuple[dt.datetime, dt.datetime]]:
        """Yield the times on the clock, without a zone, from and up to which it lasts; those near a day."""
        if self.hours is None:
            yield from self.once
            return
        length = 7 if self.hours.weekly else 1
        monday_or_day = day - dt.timedelta(days=day.weekday()) if self.hours.weekly else day
        minutes = (self.hours.end - self.hours.start) % (length * 24 * 60)
        for turn in (-1, 0, 1):
            base = dt.datetime.combine(monday_or_day + turn * length * _ONE_DAY, dt.time())
            first = base + dt.timedelta(minutes=self.hours.start)
            yield first, first + dt.timedelta(minutes=minutes)


def frozen_until(windows: Iterable[FreezeWindow], now: float, zone: ZoneInfo) -> tuple[float, str]:
    """Return until when (Unix time) a target is frozen, and by which windows; 0.0 and an empty text if it is not.

    Windows that overlap or follow each other are one freeze. It is `inf` if a hundred of them follow each other.
    """
    every, until, names = tuple(windows), now, dict[str, None]()
    for _ in range(_MOST_ROUNDS):
        ends = [(end, one.text) for one in every if (end := _end_of(one, until, zone))]
        if not ends:
            return (until, ", ".join(names)) if names else (0.0, "")
        until, text = max(ends)
        names[text] = None
    return inf, ", ".join(names)


def _end_of(window: FreezeWindow, now: float, zone: ZoneInfo) -> float:
    """Return when the period of a window ends that lasts now, 0.0 if none does."""
    day = dt.datetime.fromtimestamp(now, zone).date()
    ends = (
        _moment(last, zone, later=True)
        for first, last in window.periods(day)
        if _moment(first, zone, later=False) <= now < _moment(last, zone, later=True)
    )
    return max(ends, default=0.0)


def _moment(clock: dt.datetime, zone: ZoneInfo, *, later: bool) -> float:
    """Return the first moment from which the clock of a zone shows a time or more; or the last such moment (`later`).

    They differ if the clock is set back from a later time to an earlier one. If it never shows the time, because it is
    set forward then, the moment counts at which it is set.
    """
    first, second = (clock.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    if first <= second:
        was_before = dt.datetime.fromtimestamp(second - 1, zone).replace(tzinfo=None) < clock
        return second if later and was_before else first
    # In a gap, the first is after the change and the second before it.
    early, late = second, first
    before = dt.datetime.fromtimestamp(early, zone).utcoffset()
    while late - early > 1:
        middle = (early + late) // 2
        if dt.datetime.fromtimestamp(middle, zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late


def _dates(text: str, match: re.Match[str]) -> FreezeWindow:
    day, hour, minute, last_day, last_hour, last_minute = match.groups()
    try:
        first = _clock(day, hour, minute)
        last = _clock(last_day or day, last_hour, last_minute)
        if last_hour is None:
            last += _ONE_DAY
    except (ValueError, OverflowError):
        raise ValueError("should have dates of the calendar, such as 2026-12-20") from None
    if last_day is None and hour is not None:
        raise ValueError(f'should have an end, such as "{text} - {day} 23:00"')
    if first >= last:
        raise ValueError("should end after it begins")
    return FreezeWindow(text, once=((first, last),))


def _clock(day: str, hour: str | None, minute: str | None) -> dt.datetime:
    return dt.datetime.combine(dt.date.fromisoformat(day), dt.time(int(hour or 0), int(minute or 0)))
