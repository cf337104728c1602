"""Types for single values of bot.toml: names, paths, times, channels. Addresses are in `address_values`.

Each type checks its values. A ValueError's text continues after the key: `apps.shop.directory: should be …`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import difflib
import re
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BeforeValidator, PlainValidator, ValidationInfo

from deploybot.domain import Channel, FreezeWindow, RefRule
from deploybot.units import duration, size

_REF_TABLES = [{"branch"}, {"tag"}, {"tag", "on"}]


def _matching(pattern: str, sentence: str) -> AfterValidator:
    """Return a check that the whole text matches a pattern."""
    compiled = re.compile(pattern, re.ASCII)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(sentence)
        return text

    return AfterValidator(check)


def _some_time(value: object) -> float:
    seconds = duration(value)
    if seconds <= 0:
        raise ValueError("should be more than 0 seconds")
    return seconds


def _time_or_off(value: object) -> float:
    """Return seconds; 0 turns it off."""
    return duration(value)


def _anchored(path: Path, info: ValidationInfo) -> Path:
    """Return a path relative to the folder of bot.toml, which the config passes in the validation context."""
    base = info.context.get("base") if isinstance(info.context, dict) else None
    if not str(path).isprintable():
        raise ValueError("should be a path")
    return Path(base, path.expanduser()) if base else path


def _inside(path: str) -> str:
    if not path or path.startswith(("/", "-")) or ".." in path.split("/") or not path.isprintable():
        raise ValueError("should be a relative path without `..`")
    return path


def _absolute(path: str) -> str:
    if not path.startswith("/") or {"..", "."} & set(path.split("/")) or not path.isprintable():
        raise ValueError("should be an absolute path without `..`")
    if not path.strip("/"):
        raise ValueError("should be a path below `/`")
    return "/" + "/".join(filter(None, path.split("/")))


def _file_there(path: str) -> str:
    """Return a path in the release, or an absolute path on the server."""
    return _absolute(path) if path.startswith("/") else _inside(path)


def _glob(pattern: str) -> str:
    if not pattern or pattern.startswith(("/", "!", "-")) or ".." in pattern.split("/") or not pattern.isprintable():
        raise ValueError('should be a pattern such as "migrations/**", relative to the repository')
    return pattern


def _shell_text(text: str) -> str:
    if not text.strip():
        raise ValueError("should be a command, not empty")
    if "\0" in text:
        raise ValueError("should be a command without NUL bytes")
    return text


def _branch(name: str) -> str:
    """Return a branch name, by an allowlist narrower than git-check-ref-format(1)."""
    parts = name.split("/")
    if not re.fullmatch(r"[\w./+@-]+", name, re.ASCII) or any(
        not part or part.startswith((".", "-")) or part.endswith((".lock", ".")) or ".." in part for part in parts
    ):
        raise ValueError('should be a branch name, such as "main"')
    return name


def _time_zone(name: object) -> ZoneInfo:
    """Return a zone of the tz database. The name is checked first, because it is looked up as a file."""
    if isinstance(name, ZoneInfo):
        return name
    if isinstance(name, str) and re.fullmatch(r"[A-Za-z][\w+-]*(/[A-Za-z][\w+-]*)*", name, re.ASCII):
        with contextlib.suppress(ZoneInfoNotFoundError, OSError):
            return ZoneInfo(name)
    near = difflib.get_close_matches(str(name), available_timezones(), n=1) or ["Europe/Berlin"]
    raise ValueError(f'should be a time zone such as "{near[0]}"')


def _channel(value: object) -> Channel:
    """Parse a channel of any chat. The config checks whether the chat exists and has such ids."""
    if isinstance(value, Channel):
        return value
    with contextlib.suppress(ValueError):
        if isinstance(value, str):
            return Channel.read(value)
    raise ValueError('should be a channel with its chat, such as "slack:C0123456789" or "telegram:-1001234567890"')


def _approvers(value: object) -> tuple[str, ...]:
    """Parse the role `approver` or `admin`, or names of people, each with a leading @."""
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    if list(given) in [["approver"], ["admin"]]:
        return given
    if not given or not all(isinstance(one, str) and re.fullmatch(r"@[a-z0-9][a-z0-9._-]{0,39}", one) for one in given):
        raise ValueError('should be "approver", "admin", or names such as ["@ana", "@ben"]')
    return tuple(dict.fromkeys(map(str, given)))


def _ref_rule(value: object) -> RefRule:
    """Parse a pattern for branches and tags, or a table for one of the two."""
    if isinstance(value, RefRule):
        return value
    if isinstance(value, str):
        return RefRule(branch=_glob(value), tag=_glob(value))
    keys = {*value} if isinstance(value, dict) else set()
    if isinstance(value, dict) and keys in _REF_TABLES and all(isinstance(one, str) for one in value.values()):
        return RefRule(**{key: _glob(one) for key, one in value.items()})
    raise ValueError('should be a pattern such as "main", { branch = "main" } or { tag = "v*", on = "main" }')


def _day(value: object) -> dt.date:
    """Return a local TOML date, a day in UTC."""
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    raise ValueError("should be a date without quotes, such as 2027-01-31")


def _batch(value: object) -> int | str:
    """Return a number of servers, or a share of them such as `25%`."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]?%|100%", value):
        return value
    raise ValueError('should be a number of servers, such as 4, or a share of them, such as "25%"')


def _canary(value: object) -> int | tuple[str, ...]:
    """Return how many servers come first, or their names."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    names = tuple(value) if isinstance(value, list | tuple) else (value,)
    if names and all(isinstance(one, str) and one for one in names):
        return tuple(dict.fromkeys(map(str, names)))
    raise ValueError('should be a number of servers, such as 1, or names of servers, such as "web1"')


def one_or_many_of_any(value: object) -> object:
    """Return a single text or number as a list of one."""
    return [value] if isinstance(value, str | int) else value


def one_or_many_or_table(value: object) -> object:
    """Return a single text or table as a list of one."""
    return [value] if isinstance(value, str | dict) else value


def one_or_many(value: object) -> object:
    """Return a single text as a list of one."""
    return [value] if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(_some_time)]
SecondsOrOff = Annotated[float, BeforeValidator(_time_or_off)]
Bytes = Annotated[int, BeforeValidator(size)]
Name = Annotated[
    str,
    _matching(r"[a-z0-9][a-z0-9_-]{0,39}", "should be a name: up to 40 of a-z, 0-9, - and _, starting with a-z or 0-9"),
]
EnvName = Annotated[
    str, _matching(r"[A-Za-z_][A-Za-z0-9_]*", "should be the name of an environment variable, such as DATABASE_URL")
]
ServiceName = Annotated[str, _matching(r"[A-Za-z0-9][A-Za-z0-9._-]*", "should be the name of a Compose service")]
ServiceOrAll = Annotated[
    str, _matching(r"\*|[A-Za-z0-9][A-Za-z0-9._-]*", 'should be the name of a Compose service, or "*" for all')
]
JournalUnit = Annotated[str, _matching(r"[A-Za-z0-9@_.:][A-Za-z0-9@_.:-]*", "should be a systemd unit")]
RelativePath = Annotated[str, AfterValidator(_inside)]
AbsolutePath = Annotated[str, AfterValidator(_absolute)]
ServerPath = Annotated[str, AfterValidator(_file_there)]
LocalPath = Annotated[Path, AfterValidator(_anchored)]
Glob = Annotated[str, AfterValidator(_glob)]
ShellText = Annotated[str, AfterValidator(_shell_text)]
BranchName = Annotated[str, AfterValidator(_branch)]
ConfiguredChannel = Annotated[Channel, PlainValidator(_channel)]
Channels = Annotated[tuple[ConfiguredChannel, ...], BeforeValidator(one_or_many_of_any)]
Approvers = Annotated[tuple[str, ...], BeforeValidator(_approvers)]
RefRules = Annotated[tuple[Annotated[RefRule, PlainValidator(_ref_rule)], ...], BeforeValidator(one_or_many_or_table)]
Freezes = Annotated[
    tuple[Annotated[FreezeWindow, PlainValidator(FreezeWindow.read)], ...], BeforeValidator(one_or_many)
]
BatchSize = Annotated[int | str, PlainValidator(_batch)]
Canary = Annotated[int | tuple[str, ...], PlainValidator(_canary)]
Day = Annotated[dt.date, PlainValidator(_day)]
TimeZone = Annotated[ZoneInfo, PlainValidator(_time_zone)]
