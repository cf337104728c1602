"""What one value of bot.toml may look like: names, paths, addresses, URLs, keys.

Each type is its values' check; a ValueError's sentence reads on after the key: `apps.shop.repo: should be …`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import difflib
import ipaddress
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BeforeValidator, PlainValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from deploybot.addresses import IpAddress, is_metadata, is_metadata_name
from deploybot.domain import Place
from deploybot.units import duration, size

_SSH = re.compile(r"([a-z_A-Z][\w.-]*\$?)@(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9_.-]*)(?::(\d{1,5}))?", re.ASCII)
_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?", re.ASCII)
_SCP = re.compile(r"[A-Za-z_][\w.-]*@[A-Za-z0-9][\w.-]*:[^\s:-][^\s]*", re.ASCII)
_NUMERIC = re.compile(r"(?:0[xX][0-9A-Fa-f]*|\d+)", re.ASCII)
_KEY_FIELDS = {
    "ssh-ed25519": 2,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "ssh-rsa": 3,
}
_PORTS = 65535


def _refuse(sentence: str) -> PydanticCustomError:
    """An error whose message does not repeat the value, which may hold a secret."""
    return PydanticCustomError("plain", "{sentence}", {"sentence": sentence})


def _matching(pattern: str, sentence: str) -> AfterValidator:
    """Check for text that matches a pattern as a whole."""
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


def _anchored(path: Path, info: ValidationInfo) -> Path:
    """A path as seen from the folder of bot.toml, which the config gives as the validation's context."""
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
    """A file in the release, or anywhere on the server."""
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


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _PORTS:
        raise ValueError("should have a port from 1 to 65535")
    return int(text)


def ssh_target(text: str) -> tuple[str, str, int]:
    """User, host and port of `user@host`, `user@host:port`, `user@[IPv6]:port`; ValueError otherwise."""
    match = _SSH.fullmatch(text)
    if match is None:
        _, _, host = text.rpartition("@")
        if host.count(":") > 1 and "[" not in host:
            raise ValueError('should have its IPv6 address in brackets, such as "deploy@[2001:db8::1]:22"')
        raise ValueError('should be "user@host" or "user@host:port"')
    host = match[2].strip("[]")
    if match[2].startswith("["):
        _address(match[2])
    return match[1], host, _port(match[3] or "22")


def _ssh(text: str) -> str:
    ssh_target(text)
    return text


def _address(host: str) -> IpAddress | None:
    """The address that a URL's host is, None for a name.

    A host whose last label is a number is an address to every HTTP client (WHATWG URL, host parsing),
    also as 0x7f.1 or 2130706433: only the usual four decimal numbers are taken.
    """
    if host.startswith("["):
        try:
            return ipaddress.IPv6Address(host.strip("[]"))
        except ValueError:
            raise ValueError("should have a valid IPv6 address in its brackets") from None
    if _NUMERIC.fullmatch(host.rstrip(".").rpartition(".")[2]):
        try:
            return ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError("should have its address as four decimal numbers, such as 127.0.0.1") from None
    return None


def _reachable(host: str) -> None:
    """Refuse what leads to a cloud's metadata service: whoever reads that owns the machine."""
    if not _HOST.fullmatch(host):
        raise ValueError("should have a host name or address")
    address = _address(host)
    if is_metadata_name(host) or (address and is_metadata(address)):
        raise ValueError("should not be a link-local or metadata address")


def leads_astray(host: str) -> bool:
    """Whether a host, a name or an address, is none or leads to a link-local or metadata address."""
    try:
        _reachable(f"[{host}]" if ":" in host else host)
    except ValueError:
        return True
    return False


def _split(url: str) -> SplitResult:
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("should be a URL of printable ASCII without spaces")
    try:
        return urlsplit(url)
    except ValueError:
        raise ValueError("should be a URL") from None


def _health_url(url: str) -> str:
    parts = _split(url)
    if "@" in parts.netloc:
        raise _refuse("should be a URL without user and password")
    if parts.scheme not in {"http", "https"} or parts.fragment:
        raise ValueError('should be an http or https URL, such as "http://127.0.0.1:8000/healthz"')
    _host_port(parts.netloc, default="80")
    return url


def _host_port(text: str, default: str = "") -> str:
    host, port = (text, "") if text.endswith("]") else (text.rpartition(":")[::2] if ":" in text else (text, ""))
    _reachable(host)
    if not (port or default):
        raise ValueError('should be "host:port"')
    _port(port or default)
    return text


def _docker(text: str) -> str:
    if text.startswith("tcp://"):
        _host_port(text.removeprefix("tcp://"))
    elif not text.removeprefix("unix://").startswith("/") or not text.isprintable():
        raise ValueError('should be "/path" (a socket on the server), "unix:///path" (one here) or "tcp://host:port"')
    return text


def _host_key(text: str) -> str:
    """A public key as OpenSSH writes it (sshd(8), AUTHORIZED_KEYS; RFC 4253, 6.6): type, base64, comment."""
    kind, _, rest = text.strip().partition(" ")
    if kind not in _KEY_FIELDS:
        raise _refuse('should be an OpenSSH public key line, such as "ssh-ed25519 AAAA…"; `deploybot trust` writes it')
    coded = rest.split()[0] if rest.split() else ""
    try:
        fields = [*_fields(base64.b64decode(coded, validate=True))]
    except (binascii.Error, struct.error):
        fields = []
    if len(fields) != _KEY_FIELDS[kind] or fields[0] != kind.encode() or not all(fields):
        raise _refuse(f"should be a whole `{kind}` public key; this one is cut or has been changed")
    return f"{kind} {coded}"


def _fields(blob: bytes) -> Iterator[bytes]:
    """The strings of a key (RFC 4251, 5): each has its length before it; struct.error where one is cut."""
    while blob:
        (length,) = struct.unpack_from(">I", blob)
        yield struct.unpack_from(f"{length}s", blob, 4)[0]
        blob = blob[4 + length :]


def _repository(url: str, info: ValidationInfo) -> str:
    parts = _split(url)
    if parts.scheme and (parts.password or (parts.username and parts.scheme != "ssh")):
        raise _refuse("should not hold a user or password: give the token as repo_token")
    if url.startswith(("./", "../")):
        base = info.context.get("base") if isinstance(info.context, dict) else None
        return str(Path(base, url).resolve()) if base else url
    known = (
        {"ssh", "https", "http"}
        if _HOST.match(parts.netloc.rpartition("@")[2])
        else {"file"}
        if parts.path.startswith("/")
        else set()
    )
    if parts.scheme in known or url.startswith("/") or (not parts.netloc and _SCP.fullmatch(url)):
        return url
    raise ValueError('should be a git URL, such as "git@github.com:acme/shop.git" or "https://…", or a path')


def _branch(name: str) -> str:
    """A branch by an allowlist narrower than git-check-ref-format(1)."""
    parts = name.split("/")
    if not re.fullmatch(r"[\w./+@-]+", name, re.ASCII) or any(
        not part or part.startswith((".", "-")) or part.endswith((".lock", ".")) or ".." in part for part in parts
    ):
        raise ValueError('should be a branch name, such as "main"')
    return name


def _time_zone(name: object) -> ZoneInfo:
    """A zone of the tz database; the file is looked up, so its name is checked first."""
    if isinstance(name, ZoneInfo):
        return name
    if isinstance(name, str) and re.fullmatch(r"[A-Za-z][\w+-]*(/[A-Za-z][\w+-]*)*", name, re.ASCII):
        with contextlib.suppress(ZoneInfoNotFoundError, OSError):
            return ZoneInfo(name)
    near = difflib.get_close_matches(str(name), available_timezones(), n=1) or ["Europe/Berlin"]
    raise ValueError(f'should be a time zone such as "{near[0]}"')


def _slack_channel(text: str) -> str:
    if not re.fullmatch(r"[CGD][A-Z0-9]{5,30}", text, re.ASCII):
        raise ValueError(
            'should be the id of a Slack channel, such as "C0123456789" (at the end of the channel\'s details)'
        )
    return text


def _web_url(url: str) -> str:
    """An address of ours, or of an API: https, or http where it does not leave the machine or the network."""
    parts = _split(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or "@" in url:
        raise ValueError('should be an address such as "https://bot.example.com"')
    return url.rstrip("/")


def _call_url(url: str) -> str:
    """An address that the bot calls by itself; whoever answers there is told things, so some are refused."""
    found = _web_url(url)
    _host_port(urlsplit(found).netloc, default="443")
    return found


def _place(value: object) -> Place:
    """A channel of any chat: Slack's id, or Telegram's number, with `/TOPIC` behind it where one is meant."""
    if isinstance(value, Place):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        if match := re.fullmatch(r"(-?[1-9][0-9]{3,15})(?:/([1-9][0-9]{0,9}))?", value, re.ASCII):
            return Place("telegram", match[1], match[2] or "")
        with contextlib.suppress(ValueError):
            return Place("slack", _slack_channel(value))
    raise ValueError(
        'should be a channel: Slack\'s id such as "C0123456789", or a Telegram chat such as -1001234567890'
    )


def _approvers(value: object) -> tuple[str, ...]:
    """The role `approver` or `admin`, or names of persons, each with an @ before it."""
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    if list(given) in [["approver"], ["admin"]]:
        return given
    if not given or not all(isinstance(one, str) and re.fullmatch(r"@[a-z0-9][a-z0-9._-]{0,39}", one) for one in given):
        raise ValueError('should be "approver", "admin", or names such as ["@ana", "@ben"]')
    return tuple(dict.fromkeys(map(str, given)))


def one_or_many_of_any(value: object) -> object:
    """A text or number alone as a list of one."""
    return [value] if isinstance(value, str | int) else value


def one_or_many(value: object) -> object:
    """A text alone as a list of one."""
    return [value] if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(_some_time)]
Bytes = Annotated[int, BeforeValidator(size)]
Name = Annotated[
    str,
    _matching(
        r"[a-z0-9][a-z0-9_-]{0,39}", "should be a name: up to 40 of a-z, 0-9, - and _, beginning with a-z or 0-9"
    ),
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
SshTarget = Annotated[str, AfterValidator(_ssh)]
HealthUrl = Annotated[str, AfterValidator(_health_url)]
HostPort = Annotated[str, AfterValidator(_host_port)]
DockerAddress = Annotated[str, AfterValidator(_docker)]
HostKey = Annotated[str, AfterValidator(_host_key)]
Repository = Annotated[str, AfterValidator(_repository)]
BranchName = Annotated[str, AfterValidator(_branch)]
SlackChannel = Annotated[str, AfterValidator(_slack_channel)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
CallUrl = Annotated[str, AfterValidator(_call_url)]
Channels = Annotated[tuple[Annotated[Place, PlainValidator(_place)], ...], BeforeValidator(one_or_many_of_any)]
Approvers = Annotated[tuple[str, ...], BeforeValidator(_approvers)]
TimeZone = Annotated[ZoneInfo, PlainValidator(_time_zone)]
