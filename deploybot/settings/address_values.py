"""Types for addresses in bot.toml: servers, Engines, repositories, URLs, and public keys.

Types and error sentences work as in `value_shapes`.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from deploybot.net.address_guard import UNSPECIFIED, is_loopback, refusal

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
_TOKEN_KEY_FIELDS = {"sk-ssh-ed25519@openssh.com": 3, "sk-ecdsa-sha2-nistp256@openssh.com": 4}
_PORTS = 65535
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
_UNSPECIFIED = re.compile(r"\A(?:0\.0\.0\.0|\[::\])(?=:|\Z)")


def _refuse(sentence: str) -> PydanticCustomError:
    """Return an error whose message does not repeat the value, which may contain a secret."""
    return PydanticCustomError("plain", "{sentence}", {"sentence": sentence})


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _PORTS:
        raise ValueError("should have a port from 1 to 65535")
    return int(text)


def ssh_target(text: str) -> tuple[str, str, int]:
    """Return user, host and port of `user@host`, `user@host:port`, `user@[IPv6]:port`. Raises ValueError otherwise."""
    match = _SSH.fullmatch(text)
    if match is None:
        _, _, host = text.rpartition("@")
        if host.count(":") > 1 and "[" not in host:
            raise ValueError('should have its IPv6 address in brackets, such as "deploy@[2001:db8::1]:22"')
        raise ValueError('should be "user@host" or "user@host:port"')
    host = match[2].strip("[]")
    if match[2].startswith("["):
        _check_form(match[2])
    return match[1], host, _port(match[3] or "22")


def _ssh(text: str) -> str:
    ssh_target(text)
    return text


def _check_form(host: str) -> None:
    """Raise ValueError for an address that is not written in the usual form.

    Every HTTP client takes a host whose last label is a number for an address (WHATWG URL, host parsing), such as
    0x7f.1 or 2130706433. Only the usual four decimal numbers are accepted.
    """
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host.strip("[]"))
        except ValueError:
            raise ValueError("should have a valid IPv6 address in its brackets") from None
    elif _NUMERIC.fullmatch(host.rstrip(".").rpartition(".")[2]):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError("should have its address as four decimal numbers, such as 127.0.0.1") from None


def _check_host(host: str) -> None:
    if not _HOST.fullmatch(host):
        raise ValueError("should have a host name or address")
    _check_form(host)


def _reachable(host: str) -> None:
    """Raise ValueError for a host that is invalid, or that the bot never calls."""
    _check_host(host)
    if why := refusal(host.strip("[]")):
        raise ValueError(f"should not be {why}{': use 127.0.0.1 or [::1]' if why == UNSPECIFIED else ''}")


def leads_astray(host: str) -> bool:
    """Return whether a host is invalid, or one that the bot never calls (name or address)."""
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
    parts = parts._replace(netloc=_on_server(parts.netloc))
    if parts.scheme not in {"http", "https"} or parts.fragment:
        raise ValueError('should be an http or https URL, such as "http://127.0.0.1:8000/healthz"')
    _host_port(parts.netloc, default="80")
    return parts.geturl() if parts.netloc not in url else url


def _on_server(netloc: str) -> str:
    """Return `0.0.0.0` and `[::]` as the loopback addresses: a connection to them reaches the machine itself."""
    return _UNSPECIFIED.sub(lambda match: "[::1]" if match[0].startswith("[") else "127.0.0.1", netloc)


def _health_port(text: str) -> str:
    return _host_port(_on_server(text))


def _host_port(text: str, default: str = "") -> str:
    _reachable(_with_port(text, default))
    return text


def _listen(text: str) -> str:
    """Check an address of this machine: `0.0.0.0` and `[::]` are all of its addresses."""
    _check_host(_with_port(text, ""))
    return text


def _with_port(text: str, default: str) -> str:
    """Return the host of `host:port`. Raises ValueError for a port that is invalid, or missing without a default."""
    host, port = (text, "") if text.endswith("]") else (text.rpartition(":")[::2] if ":" in text else (text, ""))
    _check_host(host)
    if not (port or default):
        raise ValueError('should be "host:port"')
    _port(port or default)
    return host


def _docker(text: str) -> str:
    if text.startswith("tcp://"):
        _host_port(text.removeprefix("tcp://"))
    elif not text.removeprefix("unix://").startswith("/") or not text.isprintable():
        raise ValueError('should be "/path" (a socket on the server), "unix:///path" (one here) or "tcp://host:port"')
    return text


_SYSLOG_PORT = "514"


def syslog_target(text: str) -> tuple[str, str, int]:
    """Return `udp` or `tcp` with host and port (default 514), or `unix` with a path and 0; else raise ValueError."""
    kind, _, rest = text.partition("://")
    if text == "local":
        return "unix", "/dev/log", 0
    if kind == "unix" and rest.startswith("/") and rest.isprintable():
        return "unix", rest, 0
    if kind not in {"udp", "tcp"}:
        raise ValueError('should be "local", "unix:///path", "udp://host:514" or "tcp://host:514"')
    _host_port(rest, default=_SYSLOG_PORT)
    host, port = (rest, "") if rest.endswith("]") or ":" not in rest else rest.rsplit(":", 1)
    return kind, host.strip("[]"), int(port or _SYSLOG_PORT)


def _syslog(text: str) -> str:
    syslog_target(text)
    return text


def _host_key(text: str) -> str:
    return _public_key(text, _KEY_FIELDS, "; `deploybot trust` writes it")


def _signing_key(text: str) -> str:
    """Return a commit signing key. Unlike a server's key, it may be on a security token."""
    return _public_key(text, _KEY_FIELDS | _TOKEN_KEY_FIELDS, "; `cat ~/.ssh/id_ed25519.pub` shows one")


def _public_key(text: str, kinds: Mapping[str, int], where: str) -> str:
    """Return a public key in OpenSSH's format (sshd(8), AUTHORIZED_KEYS; RFC 4253, 6.6): type, base64, comment."""
    kind, _, rest = text.strip().partition(" ")
    if kind not in kinds:
        raise _refuse(f'should be an OpenSSH public key line, such as "ssh-ed25519 AAAA…"{where}')
    coded = rest.split()[0] if rest.split() else ""
    try:
        fields = [*_fields(base64.b64decode(coded, validate=True))]
    except (binascii.Error, struct.error):
        fields = []
    if len(fields) != kinds[kind] or fields[0] != kind.encode() or not all(fields):
        raise _refuse(f"should be a complete `{kind}` public key; this one is cut off or damaged")
    return f"{kind} {coded}"


def _fields(blob: bytes) -> Iterator[bytes]:
    """Yield the length-prefixed strings of a key (RFC 4251, 5). Raises struct.error if one is cut off."""
    while blob:
        (length,) = struct.unpack_from(">I", blob)
        yield struct.unpack_from(f"{length}s", blob, 4)[0]
        blob = blob[4 + length :]


def _repository(url: str, info: ValidationInfo) -> str:
    parts = _split(url)
    if parts.scheme and (parts.password or (parts.username and parts.scheme != "ssh")):
        raise _refuse("should not contain a user or password: put the token in repo_token")
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


def _web_url(url: str) -> str:
    """Return a valid address of the bot or of an API: http or https, without user, query and fragment."""
    parts = _split(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or "@" in url:
        raise ValueError('should be an address such as "https://bot.example.com"')
    return url.rstrip("/")


def _call_url(url: str) -> str:
    """Return an address that the bot calls. Some hosts are refused, because data is sent there."""
    found = _web_url(url)
    _host_port(urlsplit(found).netloc, default="443")
    return found


def _artifact_url(text: str) -> str:
    """Return an address of artifacts, with `{ref}` and `{sha}` in its path or query; http only on this machine."""
    plain = text.replace("{ref}", "ref").replace("{sha}", "sha")
    parts = _split(plain)
    if "{" in plain or "}" in plain:
        raise ValueError("should have no braces but those of {ref} and {sha}")
    if "@" in parts.netloc:
        raise _refuse("should be a URL without user and password: put the token in `token`")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment or parts.netloc not in text:
        raise ValueError('should be a URL such as "https://builds.example.com/site-{ref}.tar.gz"')
    _host_port(parts.netloc, default="443")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("should begin with https://: without TLS, anybody on the way can replace the file")
    return text


def _artifact_checksum(text: str) -> str:
    return text.lower() if _SHA256.fullmatch(text) else _artifact_url(text)


SshTarget = Annotated[str, AfterValidator(_ssh)]
HealthUrl = Annotated[str, AfterValidator(_health_url)]
HealthPort = Annotated[str, AfterValidator(_health_port)]
ListenAddress = Annotated[str, AfterValidator(_listen)]
DockerAddress = Annotated[str, AfterValidator(_docker)]
SyslogAddress = Annotated[str, AfterValidator(_syslog)]
HostKey = Annotated[str, AfterValidator(_host_key)]
SigningKey = Annotated[str, AfterValidator(_signing_key)]
Repository = Annotated[str, AfterValidator(_repository)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
CallUrl = Annotated[str, AfterValidator(_call_url)]
ArtifactUrl = Annotated[str, AfterValidator(_artifact_url)]
ArtifactChecksum = Annotated[str, AfterValidator(_artifact_checksum)]
