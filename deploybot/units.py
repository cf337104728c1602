"""Read and show durations and sizes as people write them: `90`, `15m`, `1h30m`, `500 MB`."""

from __future__ import annotations

import re
import time
from datetime import datetime
from zoneinfo import ZoneInfo

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?i?b?)", re.ASCII | re.IGNORECASE)
_KILO = 1000
_MINUTE = 60


def duration(value: object) -> float:
    """Return seconds from a number or a text such as `90s`, `15m`, `1h30m`. Raise ValueError otherwise."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and _DURATION.fullmatch(value):
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(value))
    else:
        raise ValueError('should be a duration such as "90s", "15m" or "1h30m"')
    if not 0 <= seconds < 10 * 365 * 86400:
        raise ValueError("should be a duration from 0 to ten years")
    return seconds


def size(value: object) -> int:
    """Return bytes from a number or a text such as `500MB`, `2 GiB`. Raise ValueError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    unit = match[2].lower() if match else ""
    if match is None or (unit and unit not in _BYTES and unit + "b" not in _BYTES):
        raise ValueError('should be a size such as "500MB" or "2GiB"')
    return int(float(match[1]) * _BYTES.get(unit, _BYTES.get(unit + "b", 1)))


def show_duration(seconds: float) -> str:
    """Return seconds as text for people, in the two largest units: `0.4 s`, `12 s`, `3 min`, `2 h 5 min`, `4 d`."""
    if seconds < 9.95:  # noqa: PLR2004  below ten seconds a tenth still matters
        return f"{max(seconds, 0):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    if minutes < _MINUTE:
        return f"{minutes} min" + (f" {rest} s" if rest and minutes < 10 else "")  # noqa: PLR2004  from ten minutes on, seconds do not matter
    hours, minutes = divmod(minutes, 60)
    if hours < 24:  # noqa: PLR2004  hours of a day
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    days, hours = divmod(hours, 24)
    return f"{days} d" + (f" {hours} h" if hours and days < 7 else "")  # noqa: PLR2004  days of a week


def show_size(count: int) -> str:
    """Return bytes as `512 B`, `3.4 MB`, `12 GB` (powers of 1000); `unknown` for a negative number."""
    if count < 0:
        return "unknown"
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < _KILO - 0.5:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 10 else f"{number:.1f} {unit}"  # noqa: PLR2004  two digits are enough
        number /= _KILO
    return f"{number:.1f} TB"


def show_time(at: float) -> str:
    """Return seconds since the epoch as `2026-11-21 01:28 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def show_clock(at: float, *, seconds: bool = False) -> str:
    """Return seconds since the epoch as `01:28 UTC`, or as `01:28:05 UTC`."""
    return time.strftime("%H:%M:%S UTC" if seconds else "%H:%M UTC", time.gmtime(at))


def show_moment(at: float, zone: ZoneInfo) -> str:
    """Return seconds since the epoch as `2026-11-21 18:00 CET`."""
    return datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M %Z")
