"""Lines as programs write them, each with the time of a moment: what `deploybot.applogs.log_stamps` has to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  the wall clock of UTC


@dataclass(frozen=True)
class Format:
    """How a program writes a moment, of which it gets a zone's clock; `digits` are those of fractions."""

    write: Callable[[datetime], str]
    digits: int
    zoned: bool = False


def _clock(at: datetime, between: str = ".", digits: int = 0) -> str:
    return f"{at:%H:%M:%S}" + (between + f"{at.microsecond:06}"[:digits] if digits else "")


def _day(at: datetime, between: str = "-") -> str:
    return f"{at.year:04}{between}{at.month:02}{between}{at.day:02}"


def _offset(at: datetime, colon: str = "") -> str:
    ahead = at.utcoffset() or timedelta()
    minutes = round(abs(ahead).total_seconds() / 60)
    return f"{'-' if ahead < timedelta() else '+'}{minutes // 60:02}{colon}{minutes % 60:02}"


def _month(at: datetime) -> str:
    return _MONTHS[at.month - 1]


def _weekday(at: datetime) -> str:
    return _DAYS[at.weekday()]


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=None) - (at.utcoffset() or timedelta())


def _epoch(at: datetime, digits: int) -> str:
    micros = (_utc(at) - _EPOCH) // timedelta(microseconds=1)
    return str(micros * 1000 // 10 ** (9 - digits))


FORMATS: Mapping[str, Format] = {
    "RFC 3339": Format(lambda at: f"{_day(at)}T{_clock(at, '.', 6)}{_offset(at, ':')} hello", 6, zoned=True),
    "RFC 3339 in UTC": Format(lambda at: f"{_day(_utc(at))}T{_clock(_utc(at), '.', 3)}Z hello", 3, zoned=True),
    "ISO 8601, basic": Format(lambda at: f"{at:%Y%m%dT%H%M%S}{_offset(at)} hello", 0, zoned=True),
    "ISO 8601, lower case": Format(lambda at: f"{_day(_utc(at))}t{_clock(_utc(at))}z hello", 0, zoned=True),
    "a blank": Format(lambda at: f"{_day(at)} {_clock(at)} hello", 0),
    "Python": Format(lambda at: f"{_day(at)} {_clock(at, ',', 3)} - app - INFO - hello", 3),
    "Django": Format(lambda at: f"INFO {_day(at)} {_clock(at, ',', 3)} views 7 140 hello", 3),
    "Celery": Format(lambda at: f"[{_day(at)} {_clock(at, ',', 3)}: INFO/MainProcess] hello", 3),
    "Gunicorn": Format(lambda at: f"[{_day(at)} {_clock(at)} {_offset(at)}] [7] [INFO] hello", 0, zoned=True),
    "Werkzeug": Format(
        lambda at: f'127.0.0.1 - - [{at.day:02}/{_month(at)}/{at.year} {_clock(at)}] "GET / HTTP/1.1" 200 -', 0
    ),
    "log4j": Format(lambda at: f"{_day(at)} {_clock(at, ',', 3)} INFO  [main] org.acme.App - hello", 3),
    "log4j, level first": Format(lambda at: f"WARN  {_day(at)} {_clock(at, ',', 3)} [main] org.acme.App - hello", 3),
    "log4j, DATE": Format(lambda at: f"{at.day:02} {_month(at)} {at.year} {_clock(at, ',', 3)} INFO hello", 3),
    "Kafka": Format(lambda at: f"[{_day(at)} {_clock(at, ',', 3)}] INFO hello (kafka.server)", 3),
    "Elasticsearch": Format(lambda at: f"[{_day(at)}T{_clock(at, ',', 3)}][INFO ][o.e.n.Node] hello", 3),
    "Spring": Format(lambda at: f"{_day(at)}T{_clock(at, '.', 3)}{_offset(at, ':')}  INFO 1 --- hello", 3, zoned=True),
    "Tomcat": Format(lambda at: f"{at.day:02}-{_month(at)}-{at.year} {_clock(at, '.', 3)} INFO [main] hello", 3),
    "java.util.logging": Format(
        lambda at: f"{_month(at)} {at.day:02}, {at.year} {at.hour % 12 or 12}:{at:%M:%S} {'AP'[at.hour // 12]}M hello",
        0,
    ),
    "Go": Format(lambda at: f"{_day(at, '/')} {_clock(at, '.', 6)} main.go:7: hello", 6),
    "klog": Format(lambda at: f"I{at.month:02}{at.day:02} {_clock(at, '.', 6)}    1234 main.go:7] hello", 6),
    "slog": Format(
        lambda at: f"time={_day(at)}T{_clock(at, '.', 3)}{_offset(at, ':')} level=INFO msg=hello", 3, zoned=True
    ),
    "nginx, access": Format(
        lambda at: (
            f'10.0.0.1 - ana [{at.day:02}/{_month(at)}/{at.year}:{_clock(at)} {_offset(at)}] "GET / HTTP/1.1" 200 5'
        ),
        0,
        zoned=True,
    ),
    "nginx, error": Format(lambda at: f"{_day(at, '/')} {_clock(at)} [error] 7#7: *1 hello", 0),
    "HAProxy": Format(
        lambda at: f"10.0.0.1:5 [{at.day:02}/{_month(at)}/{at.year}:{_clock(at, '.', 3)}] web app/a 0", 3
    ),
    "Apache, error": Format(
        lambda at: (
            f"[{_weekday(at)} {_month(at)} {at.day:02} {_clock(at, '.', 6)} {at.year}] [core:error] [pid 7] hello"
        ),
        6,
    ),
    "uWSGI": Format(
        lambda at: (
            f"[pid: 7|app: 0|req: 1/1] 10.0.0.1 () {{28 vars}} "
            f"[{_weekday(at)} {_month(at)} {at.day:2} {_clock(at)} {at.year}] GET /"
        ),
        0,
    ),
    "ctime": Format(lambda at: f"{_weekday(at)} {_month(at)} {at.day:2} {_clock(at)} {at.year} hello", 0),
    "date": Format(
        lambda at: (
            f"{_weekday(_utc(at))} {_month(_utc(at))} {_utc(at).day:2} {_clock(_utc(at))} UTC {_utc(at).year}: hello"
        ),
        0,
        zoned=True,
    ),
    "JavaScript": Format(
        lambda at: f"{_weekday(at)} {_month(at)} {at.day:02} {at.year} {_clock(at)} GMT{_offset(at)} (here) hello",
        0,
        zoned=True,
    ),
    "RFC 2822": Format(
        lambda at: f"{_weekday(at)}, {at.day:02} {_month(at)} {at.year} {_clock(at)} {_offset(at)} hello", 0, zoned=True
    ),
    "PHP": Format(lambda at: f"[{at.day:02}-{_month(at)}-{at.year} {_clock(at)}] NOTICE: fpm is running", 0),
    "PHP, with a zone": Format(
        lambda at: f"[{_utc(at).day:02}-{_month(_utc(at))}-{_utc(at).year} {_clock(_utc(at))} UTC] PHP Warning:  hello",
        0,
        zoned=True,
    ),
    "Laravel": Format(lambda at: f"[{_day(at)} {_clock(at)}] production.ERROR: hello", 0),
    "Ruby": Format(lambda at: f"I, [{_day(at)}T{_clock(at, '.', 6)} #1234]  INFO -- : hello", 6),
    "Rails": Format(
        lambda at: f'Started GET "/a b" for 127.0.0.1 at {_day(at)} {_clock(at)} {_offset(at)}', 0, zoned=True
    ),
    "PostgreSQL": Format(lambda at: f"{_day(_utc(at))} {_clock(_utc(at), '.', 3)} UTC [7] LOG:  hello", 3, zoned=True),
    "MariaDB": Format(lambda at: f"{_day(at)} {_clock(at)} 0 [Note] mariadbd: ready", 0),
    "Redis": Format(lambda at: f"1:M {at.day:02} {_month(at)} {at.year} {_clock(at, '.', 3)} * Ready", 3),
    "ClickHouse": Format(lambda at: f"{_day(at, '.')} {_clock(at, '.', 6)} [ 1 ] {{}} <Information> hello", 6),
    "RFC 3164": Format(lambda at: f"<34>{_month(at)} {at.day:2} {_clock(at)} web1 app[7]: hello", 0),
    "syslog": Format(lambda at: f"{_month(at)} {at.day:2} {_clock(at)} WEB app[7]: hello", 0),
    "RFC 5424": Format(
        lambda at: f"<165>1 {_day(at)}T{_clock(at, '.', 6)}{_offset(at, ':')} web1 app 7 ID47 - hello", 6, zoned=True
    ),
    "logfmt": Format(lambda at: f'level=info msg="a time=1 b" ts="{_day(at)} {_clock(at, ".", 3)}" n=1', 3),
    "logfmt, seconds": Format(lambda at: f"ts={_epoch(at, 0)} level=info", 0, zoned=True),
    "JSON": Format(
        lambda at: f'{{"level":"info","time":"{_day(at)}T{_clock(at, ".", 3)}{_offset(at, ":")}"}}', 3, zoned=True
    ),
    "JSON, without a zone": Format(lambda at: f'{{"asctime": "{_day(at)} {_clock(at, ",", 3)}", "a": [1]}}', 3),
    "JSON, deep": Format(
        lambda at: (
            f'{{"a":{{"time":"1999-01-01T00:00:00Z"}},"b":"x, \\"time\\": 1",'
            f'"@timestamp":"{_day(_utc(at))}T{_clock(_utc(at))}Z"}}'
        ),
        0,
        zoned=True,
    ),
    "JSON, long": Format(
        lambda at: f'{{"msg":"{"x" * 9000}","timestamp":"{_day(_utc(at))}T{_clock(_utc(at))}Z"}}', 0, zoned=True
    ),
    "JSON, float": Format(
        lambda at: f'{{"level":"info","ts":{_epoch(at, 0)}.{at.microsecond:06},"msg":"hi"}}', 6, zoned=True
    ),
    "JSON, milliseconds": Format(lambda at: f'{{"level":30,"time":{_epoch(at, 3)},"msg":"hi"}}', 3, zoned=True),
    "JSON, microseconds": Format(lambda at: f'{{"ts": {_epoch(at, 6)} , "msg":"hi"}}', 6, zoned=True),
    "JSON, nanoseconds": Format(lambda at: f'{{"timestamp":{_epoch(at, 9)}}}', 6, zoned=True),
    "MongoDB": Format(
        lambda at: f'{{"t":{{"$date":"{_day(at)}T{_clock(at, ".", 3)}{_offset(at, ":")}"}},"s":"I"}}', 3, zoned=True
    ),
    "Squid": Format(lambda at: f"{_epoch(at, 0)}.{at.microsecond // 1000:03} 45 10.0.0.1 TCP", 3, zoned=True),
    "docker compose logs": Format(lambda at: f"web-1  | {_day(at)} {_clock(at)} INFO hello", 0),
}
"""By the program."""
