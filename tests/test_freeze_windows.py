"""Freezes of bot.toml, compared with a model that looks at the clock every five minutes."""

from __future__ import annotations

import datetime as dt
import os
import random
from collections.abc import Callable, Iterator
from math import inf
from zoneinfo import ZoneInfo

import pytest

from deploybot.domain.freeze_windows import FreezeWindow, frozen_until

N = int(os.environ.get("N", "1000"))
SEED = int(os.environ.get("SEED", "1"))
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = (
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
)
STEP = 300
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def at(text: str, zone: ZoneInfo = BERLIN, *, fold: int = 0) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def until(text: str, *windows: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> str:
    """Until when the windows freeze at a time on the clock, on the clock; empty if they do not."""
    end, _ = frozen_until(map(FreezeWindow.read, windows), at(text, zone, fold=fold), zone)
    return dt.datetime.fromtimestamp(end, zone).isoformat(" ", "minutes") if end else ""


@pytest.mark.parametrize(
    ("now", "window", "end"),
    [
        ("2026-11-27 15:59", "Fri 16:00 - Mon 08:00", ""),
        ("2026-11-27 16:00", "Fri 16:00 - Mon 08:00", "2026-11-30 08:00+01:00"),
        ("2026-11-30 07:59", "fri 16:00-mon 8:00", "2026-11-30 08:00+01:00"),
        ("2026-11-30 08:00", "Fri 16:00 - Mon 08:00", ""),
        ("2026-11-27 23:00", "22:00 - 07:00", "2026-11-28 07:00+01:00"),
        ("2026-11-27 21:59", "22:00 - 07:00", ""),
        ("2026-12-20 00:00", "2026-12-20 - 2027-01-02", "2027-01-03 00:00+01:00"),
        ("2027-01-02 23:59", "2026-12-20 - 2027-01-02", "2027-01-03 00:00+01:00"),
        ("2026-12-19 23:59", "2026-12-20 - 2027-01-02", ""),
        ("2026-12-24 12:00", "2026-12-24", "2026-12-25 00:00+01:00"),
        ("2026-12-23 17:59", "2026-12-23 18:00 - 2027-01-02 08:00", ""),
        ("2026-12-23 18:00", "2026-12-23 18:00 - 2027-01-02 08:00", "2027-01-02 08:00+01:00"),
        ("2026-12-23 18:00", "2026-12-23T18:00  -  2026-12-24", "2026-12-25 00:00+01:00"),
    ],
)
def test_a_window_lasts_from_its_first_minute_to_its_last(now: str, window: str, end: str) -> None:
    assert until(now, window) == end


def test_windows_that_follow_each_other_are_one_freeze() -> None:
    windows = "2026-12-20 - 2027-01-02", "Fri 16:00 - Mon 08:00", "22:00 - 07:00"
    assert until("2026-12-18 16:00", *windows) == "2027-01-04 08:00+01:00"
    _, names = frozen_until(map(FreezeWindow.read, windows), at("2026-12-18 16:00"), BERLIN)
    assert names == "Fri 16:00 - Mon 08:00, 2026-12-20 - 2027-01-02"


def test_dates_may_be_far_apart() -> None:
    assert until("2027-02-01 09:00", "2027-01-01 - 2028-06-30") == "2028-07-01 00:00+02:00"


def test_windows_without_a_gap_never_end() -> None:
    windows = map(FreezeWindow.read, ("00:00 - 12:00", "12:00 - 00:00"))
    assert frozen_until(windows, at("2026-11-27 09:00"), BERLIN) == (inf, "00:00 - 12:00, 12:00 - 00:00")


@pytest.mark.parametrize(
    ("now", "fold", "window", "end"),
    [
        # On 2026-10-25 the clock is set back from 03:00 to 02:00.
        ("2026-10-25 02:10", 0, "01:00 - 02:30", "2026-10-25 02:30+01:00"),
        ("2026-10-25 02:40", 0, "01:00 - 02:30", "2026-10-25 02:30+01:00"),
        ("2026-10-25 02:29", 1, "01:00 - 02:30", "2026-10-25 02:30+01:00"),
        ("2026-10-25 02:30", 1, "01:00 - 02:30", ""),
        ("2026-10-25 02:10", 0, "01:00 - 02:00", ""),
        ("2026-10-25 02:10", 1, "02:30 - 04:00", "2026-10-25 04:00+01:00"),
        ("2026-10-25 02:10", 0, "02:30 - 04:00", ""),
        # On 2026-03-29 it is set forward from 02:00 to 03:00.
        ("2026-03-29 03:00", 0, "02:30 - 04:00", "2026-03-29 04:00+02:00"),
        ("2026-03-29 01:59", 0, "02:30 - 04:00", ""),
        ("2026-03-29 01:59", 0, "01:00 - 02:30", "2026-03-29 03:00+02:00"),
        ("2026-03-29 03:00", 0, "01:00 - 02:30", ""),
        ("2026-03-28 18:00", 0, "Sat 16:00 - Sun 08:00", "2026-03-29 08:00+02:00"),
    ],
)
def test_when_the_clock_is_set_it_is_still_the_clock_that_counts(now: str, fold: int, window: str, end: str) -> None:
    assert until(now, window, fold=fold) == end


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "should be hours or dates"),
        ("Friday evening", "should be hours or dates"),
        ("25:00 - 07:00", "should be hours or dates"),
        ("Fri - Mon", "should be hours or dates"),
        ("2026-12-20 -", "should be hours or dates"),
        ("12-20 - 12-24", "should be hours or dates"),
        (5, "should be hours or dates"),
        ("2026-02-30 - 2026-03-02", "should have dates of the calendar"),
        ("9999-12-31", "should have dates of the calendar"),
        ("2026-12-20 18:00", "should have an end"),
        ("2026-12-24 - 2026-12-20", "should end after it begins"),
        ("2026-12-24 18:00 - 2026-12-24 18:00", "should end after it begins"),
        ("08:00 - 08:00", "different times"),
    ],
)
def test_what_is_no_window_is_refused(text: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        FreezeWindow.read(text)


def _shows(moment: float, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.fromtimestamp(moment, zone).replace(tzinfo=None)


def _look(around: dt.datetime, zone: ZoneInfo) -> Iterator[float]:
    """Moments around a time on the clock, five minutes apart. Apia left out a whole day once."""
    middle = around.replace(tzinfo=dt.UTC).timestamp()
    offset = dt.datetime.fromtimestamp(middle, zone).utcoffset() or dt.timedelta()
    reach = 30 * 3600 if zone.key == "Pacific/Apia" else 4 * 3600
    begin = int(middle - offset.total_seconds()) - reach
    return iter(range(begin - begin % STEP, begin + 2 * reach, STEP))


def _model(periods: list[tuple[dt.datetime, dt.datetime]], now: float, zone: ZoneInfo) -> float:
    """A period begins when the clock first shows its start or more, and ends after it last showed less than its end."""
    spans = []
    for first, last in periods:
        begins = next(moment for moment in _look(first, zone) if _shows(moment, zone) >= first)
        ends = max(moment for moment in _look(last, zone) if _shows(moment, zone) < last) + STEP
        if begins < ends:
            spans.append((begins, ends))
    end = now
    for _ in spans:
        end = max([ends for begins, ends in spans if begins <= end < ends], default=end)
    return end if end > now else 0.0


def _drawn(dice: random.Random, near: dt.datetime) -> tuple[str, list[tuple[dt.datetime, dt.datetime]]]:
    """A window as text, and its periods around a day, by the calendar."""

    def clock() -> dt.timedelta:
        return dt.timedelta(minutes=5 * dice.randrange(24 * 12))

    def text(moment: dt.timedelta) -> str:
        return f"{moment.seconds // 3600:02}:{moment.seconds // 60 % 60:02}"

    midnight = near.replace(hour=0, minute=0)
    start, end = clock(), clock()
    if start == end:
        end = (end + dt.timedelta(minutes=5)) % dt.timedelta(days=1)
    kind = dice.choice(("daily", "weekly", "dates"))
    if kind == "daily":
        length = (end - start) % dt.timedelta(days=1)
        firsts = [midnight + dt.timedelta(days=days) + start for days in range(-3, 4)]
        return f"{text(start)} - {text(end)}", [(first, first + length) for first in firsts]
    if kind == "weekly":
        day, last_day = dice.sample(range(7), 2)
        monday = midnight - dt.timedelta(days=midnight.weekday())
        length = (dt.timedelta(days=last_day - day) + end - start) % dt.timedelta(days=7)
        firsts = [monday + dt.timedelta(days=7 * week + day) + start for week in (-2, -1, 0, 1, 2)]
        words = f"{DAYS[day]} {text(start)} - {DAYS[last_day]} {text(end)}"
        return words, [(first, first + length) for first in firsts]
    first = midnight + dt.timedelta(days=dice.randrange(-3, 3)) + start
    last = first.replace(hour=0, minute=0) + dt.timedelta(days=dice.randrange(1, 4)) + end
    return f"{first:%Y-%m-%d %H:%M} - {last:%Y-%m-%d %H:%M}", [(first, last)]


def test_no_schedule_is_wrong(figure: Callable[[str], None]) -> None:
    dice, wrong, changes = random.Random(SEED), [], 0
    for _ in range(N):
        zone = ZoneInfo(dice.choice(ZONES))
        days = ("2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05", "2011-12-30", "2026-06-10")
        near = dt.datetime.fromisoformat(dice.choice(days)) + dt.timedelta(hours=dice.uniform(-10, 14))
        near = near.replace(minute=near.minute // 5 * 5, second=0, microsecond=0)
        now = near.replace(tzinfo=zone, fold=dice.randrange(2)).timestamp()
        drawn = [_drawn(dice, near) for _ in range(dice.choice((1, 1, 2)))]
        found, _ = frozen_until([FreezeWindow.read(text) for text, _ in drawn], now, zone)
        wanted = _model([one for _, periods in drawn for one in periods], now, zone)
        changes += (
            dt.datetime.fromtimestamp(now, zone).utcoffset()
            != dt.datetime.fromtimestamp(wanted or now + 86400, zone).utcoffset()
        )
        if found != wanted and min(found, wanted) < now + 2 * 86400:
            wrong.append((zone.key, near, [text for text, _ in drawn], found - now, wanted - now))
    figure(f"{len(wrong)} of {N} schedules were wrong, {changes} over a change of the clock, seed={SEED}")
    assert not wrong, wrong[:3]
