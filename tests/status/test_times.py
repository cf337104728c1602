"""Reading when lines were written, and which of them are new enough."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deploybot.applogs.log_stamps import LOOKED_AT
from deploybot.applogs.log_times import CONTINUED, HELD, Entry, Stamps, Timer, key_of
from deploybot.applogs.time_zones import zone_of
from deploybot.domain import LocalTime
from tests.status.log_formats import FORMATS

KEY = b"2026-11-21T01:23:45.120000000"
NOW = 1_795_224_300.0  # 2026-11-21 01:25
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = (
    "UTC", "Europe/Berlin", "Europe/Dublin", "Europe/London", "America/New_York", "America/St_Johns",
    "America/Sao_Paulo", "Asia/Kathmandu", "Asia/Tokyo", "Africa/Casablanca", "Australia/Lord_Howe", "Pacific/Apia",
    "Pacific/Chatham",
)  # fmt: skip


def timer(
    stamps: Stamps = Stamps.FREE,
    *,
    zone: tzinfo | None = UTC,
    now: float = NOW,
    since: float = 0.0,
    waits: bool = True,
) -> Timer:
    return Timer(stamps, zone=zone, now=now, limit=2_000, since=since, waits=waits)


def at(text: str) -> float:
    """The moment of a time in ISO 8601, UTC where it names no zone."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def moments(reader: Timer, *lines: str) -> list[str]:
    """When lines were written, in UTC."""
    return [key.decode()[:19].replace("T", " ") for key, _ in reader.entries([line.encode() for line in lines])]


def texts(entries: list[Entry]) -> list[str]:
    return [text.decode() for _, text in entries]


@pytest.mark.parametrize(
    ("stamps", "line", "key", "text"),
    [
        (Stamps.DOCKER, b"2026-11-21T01:23:45.120000000Z hello", KEY, b"hello"),
        (Stamps.DOCKER, b"2026-11-21T02:23:45.12+01:00 hello", KEY, b"hello"),
        (Stamps.DOCKER, b"2026-11-20T19:53:45.12-05:30 hello", KEY, b"hello"),
        (Stamps.DOCKER, b"2026-11-21T01:23:45Z hello", b"2026-11-21T01:23:45.000000000", b"hello"),
        (Stamps.DOCKER, b"2026-11-21T01:23:45.120000000Z ", KEY, b""),
        (Stamps.DOCKER, b"the rest of a line", b"", b"the rest of a line"),
        (Stamps.JOURNAL, b"2026-11-21T01:23:45.120000+0000 web1 app[7]: hello", KEY, b"app[7]: hello"),
        (Stamps.FREE, b"2026-11-21 01:23:45,120 INFO hello", KEY, b"2026-11-21 01:23:45,120 INFO hello"),
        (Stamps.FREE, b"[2026-11-21T02:23:45.12+01:00] hello", KEY, b"[2026-11-21T02:23:45.12+01:00] hello"),
        (Stamps.FREE, b"2026-99-99 99:99:99 +02:00 hello", b"", b"2026-99-99 99:99:99 +02:00 hello"),
        (Stamps.FREE, b"0001-01-01 00:00:00 +02:00 hello", b"", b"0001-01-01 00:00:00 +02:00 hello"),
        (Stamps.FREE, b"2026-11-23 00:00:00 hello", b"", b"2026-11-23 00:00:00 hello"),
        (Stamps.FREE, b"10/11/2025 13:55:36 hello", b"", b"10/11/2025 13:55:36 hello"),
        (Stamps.FREE, b"no time", b"", b"no time"),
        (Stamps.FREE, b"", b"", b""),
        (Stamps.FREE, b"  2026-11-21 01:23:45 in a stack trace", b"", b"  2026-11-21 01:23:45 in a stack trace"),
        (Stamps.FREE, b"1234567890 rows", b"", b"1234567890 rows"),
        (Stamps.FREE, b'{"a": {"time": "2026-11-21T01:23:45Z"}}', b"", b'{"a": {"time": "2026-11-21T01:23:45Z"}}'),
        (Stamps.NONE, b"2026-11-21T01:23:45.120000000Z hello", b"", b"2026-11-21T01:23:45.120000000Z hello"),
    ],
)
def test_a_line_has_a_time_and_a_text(stamps: Stamps, line: bytes, key: bytes, text: bytes) -> None:
    assert timer(stamps).entries([line]) == [(key, text)]


SPRING, AUTUMN = at("2025-03-30 01:00"), at("2025-10-26 01:00")
"""When Berlin's clocks are changed, in UTC."""


@settings(max_examples=1500, deadline=None)
@given(
    name=st.sampled_from(sorted(FORMATS)),
    zone=st.sampled_from(ZONES),
    second=st.integers(int(at("2002-01-01")), int(at("2037-01-01"))),
    micros=st.integers(0, 999_999),
    age=st.integers(0, 360 * 86_400),
)
@example(name="Python", zone="Europe/Berlin", second=int(AUTUMN) - 1800, micros=0, age=0)
@example(name="Python", zone="Europe/Berlin", second=int(AUTUMN) + 1800, micros=0, age=0)
@example(name="syslog", zone="Europe/Berlin", second=int(at("2024-02-29")), micros=0, age=0)
def test_every_format_is_read_in_every_zone(name: str, zone: str, second: int, micros: int, age: int) -> None:
    form, there = FORMATS[name], ZoneInfo(zone)
    moment = datetime.fromtimestamp(second, UTC) + timedelta(microseconds=micros)
    written = form.write(moment.astimezone(there))
    # The line before tells which of two hours it is where a clock shows one twice.
    before = (moment - timedelta(minutes=1)).isoformat()
    reader = timer(zone=None if form.zoned else there, now=second + age)
    _, (key, _) = reader.entries([before.encode(), written.encode()])
    assert key == moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[: 20 + form.digits].ljust(29, "0").encode(), written


@settings(max_examples=300, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    change=st.sampled_from([AUTUMN, SPRING, at("2025-11-02 06:00"), at("2025-04-05 15:00")]),
    gaps=st.lists(st.integers(0, 240), min_size=1, max_size=200),
    back=st.integers(0, 6 * 3600),
)
def test_since_keeps_just_the_lines_that_are_new_enough(zone: str, change: float, gaps: list[int], back: int) -> None:
    """A log around a change of clocks, by a clock without a zone; it is read as soon as its last line is written."""
    there, moment, log = ZoneInfo(zone), change - 3 * 3600, list[tuple[float, str]]()
    for gap in gaps:
        moment += gap
        log.append((moment, f"{datetime.fromtimestamp(moment, there):%Y-%m-%d %H:%M:%S} line"))
        log.append((moment, "  more of it"))
    since = moment - back
    reader = timer(zone=there, now=moment, since=since)
    kept = reader.entries([line.encode() for _, line in log]) + reader.flush()
    assert texts(kept) == [line for written, line in log if written >= since]
    assert reader.doubt == ""


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.binary(max_size=60) | st.sampled_from(sorted(FORMATS)), max_size=20), st.sampled_from([0.0, NOW - 60])
)
def test_whatever_stands_in_lines_times_never_go_backwards_and_nothing_unknown_is_lost(
    parts: list[bytes | str], since: float
) -> None:
    lines = [
        FORMATS[part].write(datetime.fromtimestamp(NOW, BERLIN)).encode() if isinstance(part, str) else part
        for part in parts
    ]
    reader = timer(zone=BERLIN, since=since)
    entries = reader.entries(lines) + reader.flush()
    keys = [key for key, _ in entries]
    assert keys == sorted(keys)
    assert len(entries) == len(lines) or (since and any(keys))


@pytest.mark.parametrize(
    "line",
    [
        b"{" * LOOKED_AT,
        b'{"time' * 3_000,
        b"{" + rb"\"" * 8_000,
        b'{"a":"' + rb"\"" * 8_000,
        b'{,"time":' * 2_000,
        b'{"a":"x"' + b',"time" : "no time, I fear"' * 700,
        b"a=b " * 4_000,
        b'a="' * 5_000,
        rb'a="\"\"\"\"' * 2_000,
        b"a" * LOOKED_AT,
        b"=" * LOOKED_AT,
        b"[" * LOOKED_AT,
        b"[10/Oct/2025:13" * 1_000,
        b"Started GET " + b'"' * LOOKED_AT,
        b'Started GET "' + b'" for ' * 3_000,
        b"2026-11-21 01:23:45 " + b"A" * LOOKED_AT,
        b"2026-11-21 01:23:45." + b"1" * LOOKED_AT,
        b"Oct 10 13:55:36 A/" + b"a/" * 8_000,
        b"web-1" + b" " * LOOKED_AT,
        b"1" * LOOKED_AT,
        b"a" * 10_000_000,
    ],
)
def test_a_hostile_line_takes_no_time(line: bytes) -> None:
    reader = timer()
    began = time.process_time()
    reader.entries([line])
    assert time.process_time() - began < 0.1


def test_a_line_without_a_time_has_that_of_the_line_before() -> None:
    lines = [b"2026-11-21 01:23:45.12 error", b"  at line 1", b"  at line 2"]
    assert [key for key, _ in timer().entries(lines)] == [KEY] * 3


def test_times_never_go_backwards() -> None:
    lines = [b"2026-11-21T01:23:45.120000000Z a", b"2026-11-21T01:23:45.110000000Z b"]
    assert timer(Stamps.DOCKER).entries(lines) == [(KEY, b"a"), (KEY, b"b")]


def test_the_key_of_a_number() -> None:
    assert key_of(1795224225.12) == KEY


def test_a_time_without_a_zone_is_that_of_the_server() -> None:
    assert moments(timer(zone=BERLIN), "2026-07-21 01:23:45 summer", "2026-11-21 02:23:45 winter") == [
        "2026-07-20 23:23:45",
        "2026-11-21 01:23:45",
    ]
    assert moments(timer(zone=timezone(timedelta(hours=-3))), "2026-11-20 22:23:45 x") == ["2026-11-21 01:23:45"]
    assert moments(timer(zone=None), "2026-11-21 01:23:45 x", "2026-11-21 01:23:45Z y") == ["", "2026-11-21 01:23:45"]


def test_the_hour_that_a_clock_shows_twice() -> None:
    lines = ("2025-10-26 01:59:00 a", "2025-10-26 02:30:00 b", "2025-10-26 02:10:00 c", "2025-10-26 03:00:00 d")
    assert moments(timer(zone=BERLIN), *lines) == [
        "2025-10-25 23:59:00",
        "2025-10-26 00:30:00",
        "2025-10-26 01:10:00",
        "2025-10-26 02:00:00",
    ]
    # Lines that are a little out of order are no change of clocks.
    reader = timer(zone=BERLIN, now=at("2025-10-26 00:31"))
    assert moments(reader, "2025-10-26 02:30:01 a", "2025-10-26 02:30:00 b") == ["2025-10-26 00:30:01"] * 2


def test_a_log_that_begins_in_the_hour_shown_twice_is_taken_for_the_later_one_that_there_was() -> None:
    assert moments(timer(zone=BERLIN), "2025-10-26 02:30:00 a") == ["2025-10-26 01:30:00"]
    assert moments(timer(zone=BERLIN, now=at("2025-10-26 00:31")), "2025-10-26 02:30:00 a") == ["2025-10-26 00:30:00"]


def test_the_hour_that_a_clock_leaves_out_is_as_if_it_had_not_been_put_forward() -> None:
    assert moments(timer(zone=BERLIN), "2025-03-30 02:30:00 a", "2025-03-30 03:30:00 b") == ["2025-03-30 01:30:00"] * 2


@pytest.mark.parametrize(
    ("line", "zone", "expected"),
    [
        ("2025-10-26 02:30:00 CEST [7] LOG:  x", BERLIN, "2025-10-26 00:30:00"),
        ("2025-10-26 02:30:00 CET [7] LOG:  x", BERLIN, "2025-10-26 01:30:00"),
        ("2025-07-01 02:30:00 CET [7] LOG:  x", BERLIN, "2025-07-01 01:30:00"),
        ("2025-07-01 02:30:00 UTC [7] LOG:  x", BERLIN, "2025-07-01 02:30:00"),
        ("2025-07-01 02:30:00 GMT [7] LOG:  x", BERLIN, "2025-07-01 02:30:00"),
        ("2025-07-01 02:30:00 GMT+2 x", UTC, "2025-07-01 00:30:00"),
        ("2025-07-01 02:30:00.123+02 [7] LOG:  x", UTC, "2025-07-01 00:30:00"),
        ("2025-07-01 02:30:00 EST [7] LOG:  x", BERLIN, ""),
        ("2025-07-01 02:30:00 CST [7] LOG:  x", ZoneInfo("Asia/Shanghai"), "2025-06-30 18:30:00"),
        ("2025-01-01 02:30:00 CST [7] LOG:  x", ZoneInfo("America/Chicago"), "2025-01-01 08:30:00"),
        ("2025-07-01 02:30:00 INFO x", BERLIN, "2025-07-01 00:30:00"),
        ("[01-Jul-2025 02:30:00 America/New_York] PHP Notice: x", BERLIN, "2025-07-01 06:30:00"),
        ("[01-Jul-2025 02:30:00 Middle/Earth] PHP Notice: x", BERLIN, ""),
        ("Tue Jul  1 02:30:00 PM CEST 2025 x", BERLIN, "2025-07-01 12:30:00"),
        ("2025-07-01T02:30Z x", BERLIN, "2025-07-01 02:30:00"),
        ("2016-12-31T23:59:60Z a leap second", BERLIN, "2016-12-31 23:59:59"),
        ("2025-07-01 24:30:00 x", UTC, ""),
        ("2025-02-29 02:30:00 x", UTC, ""),
        ("9999-12-31T23:59:59-23:59 x", UTC, ""),
    ],
)
def test_names_of_zones_and_odd_times(line: str, zone: tzinfo, expected: str) -> None:
    assert moments(timer(zone=zone), line) == [expected]


@pytest.mark.parametrize(
    ("now", "line", "expected"),
    [
        ("2026-01-01 00:10", "Dec 31 23:59:00 x", "2025-12-31 23:59:00"),
        ("2025-12-31 23:50", "Jan  1 00:10:00 its clock is fast", "2026-01-01 00:10:00"),
        ("2025-12-30 23:50", "Jan  1 00:10:00 x", "2025-01-01 00:10:00"),
        ("2026-11-21 01:25", "Nov 21 02:00:00 x", "2026-11-21 02:00:00"),
        ("2026-11-21 01:25", "Nov 23 02:00:00 x", "2025-11-23 02:00:00"),
        ("2026-11-21 01:25", "Feb 29 02:00:00 x", "2024-02-29 02:00:00"),
    ],
)
def test_a_year_that_is_left_out_is_the_newest_that_is_not_in_the_future(now: str, line: str, expected: str) -> None:
    assert moments(timer(now=at(now)), line) == [expected]


def test_a_time_from_the_future_does_not_make_old_lines_new() -> None:
    reader = timer(since=NOW - 60)
    lines = [b"2026-11-21 01:00:00 old", b"2099-01-01 00:00:00 odd", b"2026-11-21 01:00:01 old"]
    assert reader.entries(lines) + reader.flush() == []


def test_lines_before_the_first_time_are_as_old_as_the_line_before_them_may_be() -> None:
    lines = [b"the rest of a trace", b"2026-11-21 01:00:00 old"]
    reader = timer(since=NOW - 60)
    assert reader.entries(lines[:1]) == []
    assert reader.entries(lines[1:]) + reader.flush() == []
    reader = timer(since=NOW - 60)
    assert texts(reader.entries([b"the rest of a trace", b"2026-11-21 01:24:50 new"])) == [
        "the rest of a trace",
        "2026-11-21 01:24:50 new",
    ]
    assert not reader.doubt


def test_a_log_without_times_is_given_and_said_to_be_so() -> None:
    reader = timer(since=NOW - 60)
    assert reader.entries([b"one", b"two"]) == []
    assert texts(reader.flush()) == ["one", "two"]
    assert "no readable time" in reader.doubt
    reader = timer(since=NOW - 60)
    assert len(reader.entries([b"x"] * (HELD + 1))) == HELD + 1


def test_what_is_followed_is_never_kept_back() -> None:
    reader = timer(since=NOW - 60, waits=False)
    assert texts(reader.entries([b"one"])) == ["one"]


def test_many_lines_behind_an_old_one_may_be_new() -> None:
    reader = timer(since=NOW - 60)
    entries = reader.entries([b"2026-11-21 01:00:00 [7] Booting worker", *[b"a print"] * (CONTINUED + 2)])
    assert texts(entries) == ["a print"] * 2
    assert "some of its lines" in reader.doubt


def test_a_log_whose_zone_is_unknown_says_what_to_do() -> None:
    reader = timer(zone=None, since=NOW - 60)
    assert reader.entries([b"2026-11-21 01:00:00 x"]) + reader.flush() == [(b"", b"2026-11-21 01:00:00 x")]
    assert "`timezone`" in reader.doubt


@pytest.mark.parametrize(
    ("local", "zone"),
    [
        (LocalTime(zone="Europe/Berlin", offset=3600, short="CET"), BERLIN),
        (LocalTime(zone="Europe/Berlin"), BERLIN),
        (LocalTime(zone="UTC", offset=0), UTC),
        (LocalTime(zone="Etc/UTC", offset=0), UTC),
        # A name that does not fit the clock, is unknown here, or is none.
        (LocalTime(zone="Europe/Berlin", offset=-18_000, short="EST"), timezone(timedelta(hours=-5), "EST")),
        (LocalTime(zone="Middle/Earth", offset=7200, short="MET"), timezone(timedelta(hours=2), "MET")),
        (LocalTime(zone="zone.tab", offset=7200, short="X"), timezone(timedelta(hours=2), "X")),
        (LocalTime(zone="Europe", offset=7200, short="X"), timezone(timedelta(hours=2), "X")),
        (LocalTime(offset=7200, short="X"), timezone(timedelta(hours=2), "X")),
        (LocalTime(zone="Middle/Earth"), None),
        (LocalTime(), None),
    ],
)
def test_the_zone_of_a_server(local: LocalTime, zone: tzinfo | None) -> None:
    assert zone_of(local, NOW) == zone
