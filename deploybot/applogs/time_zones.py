"""Which moment a written time means: the time zone of a log, summer time, years that are left out.

A time without a zone is meant in the zone of bot.toml, or else in that of the server that the log is on. Summer time
comes from the tz database (zoneinfo), in the sense of PEP 495.
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
"""Seconds for a server to say its time zone."""
REMEMBER = 600.0
"""Seconds for which a server's time zone is taken as it was told."""
AHEAD = timedelta(days=1)
"""How far in the future a time may be; what is later is no time of a line."""
DISORDER = timedelta(minutes=5)
"""How far behind the line before it a line may be without having passed the end of summer time."""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  all moments here are naive UTC
_YEARS_BACK = 8
_LEAP = 60
_FIXED = frozenset({b"Z", b"z", b"UTC", b"GMT", b"UCT"})
# Abbreviations that mean different things in different places: known only where they are the log's own.
_OTHERS = frozenset(
    b"ACDT ACST ADT AEDT AEST AKDT AKST ART AST AWST BRT BST CAT CDT CEST CET CST EAT EDT EEST EET EST GST HDT HKT HST "
    b"IDT IST JST KST MDT MEST MET MSK MST NDT NST NZDT NZST PDT PHT PKT PST SAST SGT SST WAT WEST WET WIB WIT".split()
)
_OFFSET = re.compile(rb"([+-])(\d\d?):?(\d\d)?")


def zone_of(local: LocalTime, now: float) -> tzinfo | None:
    """The zone of a server by what it told; None where that is nothing.

    A name counts only where this machine knows it and it agrees with the offset that the server has now; else the
    offset counts, for all times.
    """
    moment = datetime.fromtimestamp(now, UTC)
    zone = _named(local.zone) if local.zone else None
    offset = None if local.offset is None else timedelta(seconds=local.offset)
    if zone and offset in {None, moment.astimezone(zone).utcoffset()}:
        return zone
    return None if offset is None else timezone(offset, local.short or f"UTC{local.offset}")


class Zones:
    """The time zones of servers, each asked for once in a while."""

    def __init__(self, servers: Servers, clock: Clock) -> None:
        """Ask nothing yet."""
        self._servers = servers
        self._clock = clock
        self._known: dict[str, tuple[float, tzinfo | None]] = {}

    async def of(self, server: str) -> tzinfo | None:
        """A server's zone; None where it tells none that can be read. Raises Unreachable."""
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
    """When that was, in whole seconds of UTC without a tzinfo, as `now` and `last` are.

    `last` is the moment of the line before, None where there is none. None where the time cannot be known: without a
    zone, on a day that there is not, before the epoch, or more than a day in the future.
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
    """The newest such day that is not more than a day in the future, as RFC 3164 leaves out the year."""
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
    """By the zone's name or abbreviation; a word that is neither belongs to the text, as INFO does."""
    if "/" in name:
        return _local(wall, _named(name), now, last)
    own = None if zone is None else _own(wall, name, zone)
    if own is not None:
        return wall - own
    return None if name.encode() in _OTHERS else _local(wall, zone, now, last)


def _own(wall: datetime, name: str, zone: tzinfo) -> timedelta | None:
    """The offset that an abbreviation has in a zone: at that time, or else in that year."""
    winter, summer = wall.replace(month=1, day=1), wall.replace(month=7, day=1)
    for moment in (wall.replace(fold=0), wall.replace(fold=1), winter, summer):
        there = moment.replace(tzinfo=zone)
        if there.tzname() == name:
            return there.utcoffset()
    return None


def _local(wall: datetime, zone: tzinfo | None, now: datetime, last: datetime | None) -> datetime | None:
    """By the clock of a zone. In the hour that a clock shows twice the lines before tell which one it is."""
    if zone is None:
        return None
    first = wall.replace(tzinfo=zone, fold=0).utcoffset()
    second = wall.replace(tzinfo=zone, fold=1).utcoffset()
    if first is None or second is None:
        return None
    if first <= second:  # usual, or in the hour that a clock leaves out: as if it had not been put forward
        return wall - first
    early, late = wall - first, wall - second
    if late > now + DISORDER:
        return early
    # Where no line before tells, the later one: rather a line too many than one too few.
    return late if last is None or early < last - DISORDER else early


def _named(name: str) -> tzinfo | None:
    """A zone of this machine's tz database; whoever wrote the name may have made it up."""
    if name in {"UTC", "Etc/UTC"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
