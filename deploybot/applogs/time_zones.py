"""Which moment a written time means: the time zone of a log, daylight saving time, years that are left out.

A time without a zone is in the zone of bot.toml, or else in that of the log's server. Daylight saving time comes from
the tz database (zoneinfo), following PEP 495.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from deploybot.applogs.log_stamps import Epoch, Written
from deploybot.domain import LocalTime
from deploybot.errors import BadAnswer
from deploybot.ports import Clock, Servers

ASK_WITHIN = 5.0
"""Seconds for a server to report its time zone."""
REMEMBER = 600.0
"""Seconds for which a server's time zone is cached."""
AHEAD = timedelta(days=1)
"""How far in the future a time may be; a later one is not the time of a line."""
DISORDER = timedelta(minutes=5)
"""How far a line may be behind the line before it without having passed the end of daylight saving time."""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  all moments here are naive UTC
_YEARS_BACK = 8
_LEAP = 60
_FIXED = frozenset({b"Z", b"z", b"UTC", b"GMT", b"UCT"})
# Abbreviations that are ambiguous: only understood if they belong to the log's own zone.
_OTHERS = frozenset(
    b"ACDT ACST ADT AEDT AEST AKDT AKST ART AST AWST BRT BST CAT CDT CEST CET CST EAT EDT EEST EET EST GST HDT HKT HST "
    b"IDT IST JST KST MDT MEST MET MSK MST NDT NST NZDT NZST PDT PHT PKT PST SAST SGT SST WAT WEST WET WIB WIT".split()
)
_OFFSET = re.compile(rb"([+-])(\d\d?):?(\d\d)?")


def zone_of(local: LocalTime, now: float) -> tzinfo | None:
    """Return the zone of a server from what it reported; None if it reported nothing.

    A name counts only if this machine knows it and it matches the server's offset now. Otherwise the offset counts, for
    all times.
    """
    moment = datetime.fromtimestamp(now, UTC)
    zone = _named(local.zone) if local.zone else None
    offset = None if local.offset is None else timedelta(seconds=local.offset)
    if zone and offset in {None, moment.astimezone(zone).utcoffset()}:
        return zone
    return None if offset is None else timezone(offset, local.short or f"UTC{local.offset}")


class Zones:
    """The time zones of servers, each cached for a while."""

    def __init__(self, servers: Servers, clock: Clock) -> None:
        """Take the ports; ask nothing yet."""
        self._servers = servers
        self._clock = clock
        self._known: dict[str, tuple[float, tzinfo | None]] = {}

    def now(self) -> float:
        """Return the bot's time, in seconds since the epoch."""
        return self._clock.now()

    async def of(self, server: str) -> tzinfo | None:
        """Return a server's zone; None if it reports none that can be read. Raises Unreachable."""
        now = self._clock.now()
        at, zone = self._known.get(server, (0.0, None))
        if zone is not None and at <= now < at + REMEMBER:
            return zone
        try:
            facts = await self._servers.host(server).facts(timeout=ASK_WITHIN, docker=False)
        except BadAnswer:
            return None
        zone = await asyncio.to_thread(zone_of, facts.local_time, now)
        self._known[server] = now, zone
        return zone


def moment_of(found: Written | Epoch, zone: tzinfo | None, now: datetime, last: datetime | None) -> datetime | None:
    """Return when that was, in whole seconds of UTC without a tzinfo, like `now` and `last`.

    `last` is the moment of the line before, None if there is none. Returns None if the time cannot be known: without a
    zone, on a day that does not exist, before the epoch, or more than a day in the future.
    """
    try:
        if isinstance(found, Epoch):
            moment: datetime | None = _EPOCH + timedelta(seconds=found.seconds)
        elif found.year:
            moment = _in_year(found, found.year, zone, now, last)
        else:
            moment = _without_year(found, zone, now, last)
    except (ValueError, OverflowError):
        return None
    return moment if moment and _EPOCH <= moment <= now + AHEAD else None


def _without_year(found: Written, zone: tzinfo | None, now: datetime, last: datetime | None) -> datetime | None:
    """Return the newest such day that is not more than a day in the future, as RFC 3164 leaves out the year."""
    for year in range((now + AHEAD).year, now.year - _YEARS_BACK - 1, -1):
        try:
            moment = _in_year(found, year, zone, now, last)
        except ValueError:  # the 29th of February
            continue
        if moment is None or moment <= now + AHEAD:
            return moment
    return None


def _in_year(found: Written, year: int, zone: tzinfo | None, now: datetime, last: datetime | None) -> datetime | None:
    second = min(found.second, _LEAP - 1) if found.second <= _LEAP else found.second
    wall = datetime(year, found.month, found.day, found.hour, found.minute, second)  # noqa: DTZ001  a wall clock's
    if not found.zone:
        return _local(wall, zone, now, last)
    if found.zone in _FIXED:
        return wall
    if match := _OFFSET.fullmatch(found.zone):
        ahead = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        return wall + ahead if match[1] == b"-" else wall - ahead
    return _by_name(wall, found.zone.decode(), zone, now, last)


def _by_name(wall: datetime, name: str, zone: tzinfo | None, now: datetime, last: datetime | None) -> datetime | None:
    """Return the moment by the zone's name or abbreviation; any other word, such as INFO, belongs to the text."""
    if "/" in name:
        return _local(wall, _named(name), now, last)
    own = None if zone is None else _own(wall, name, zone)
    if own is not None:
        return wall - own
    return None if name.encode() in _OTHERS else _local(wall, zone, now, last)


def _own(wall: datetime, name: str, zone: tzinfo) -> timedelta | None:
    """Return the offset that an abbreviation has in a zone: at that time, or else in that year."""
    winter, summer = wall.replace(month=1, day=1), wall.replace(month=7, day=1)
    for moment in (wall.replace(fold=0), wall.replace(fold=1), winter, summer):
        there = moment.replace(tzinfo=zone)
        if there.tzname() == name:
            return there.utcoffset()
    return None


def _local(wall: datetime, zone: tzinfo | None, now: datetime, last: datetime | None) -> datetime | None:
    """Return the moment by a zone's clock. In the hour that a clock shows twice, the line before decides which."""
    if zone is None:
        return None
    first = wall.replace(tzinfo=zone, fold=0).utcoffset()
    second = wall.replace(tzinfo=zone, fold=1).utcoffset()
    if first is None or second is None:
        return None
    if first <= second:  # usual, or in the hour that a clock skips: as if it had not been set forward
        return wall - first
    early, late = wall - first, wall - second
    if late > now + DISORDER:
        return early
    # Without a line before, take the later one: a line too many is better than one too few.
    return late if last is None or early < last - DISORDER else early


def _named(name: str) -> tzinfo | None:
    """Return a zone of this machine's tz database; None for a name that does not exist there."""
    if name in {"UTC", "Etc/UTC"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
