"""Parse the output of `probe.sh` into `ServerFacts`. Pure. Raises Unreadable."""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from dataclasses import dataclass, replace

from deploybot.domain import RELEASE_ID, LocalTime, PublishedPort, ServerFacts
from deploybot.untrusted_input import Unreadable, digits_of

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*[\w.+~-]*)", re.ASCII)
_LOCAL = re.compile(r"^((?:[0-9A-F]{8}|[0-9A-F]{32})):([0-9A-F]{4})$", re.ASCII | re.MULTILINE)
# TZ may also be a rule (POSIX: `CET-1CEST`), which is not a zone name. The offset is used then.
_TIME_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,31}(?:/[A-Za-z][A-Za-z0-9_+-]{0,31}){0,2}", re.ASCII)
_TIME_OFFSET = re.compile(r"([+-])([01]\d|2[0-3])([0-5]\d)(?: ([A-Z]{3,5}))?(?: .*)?", re.ASCII)
_KIB = 1024
_LONGEST = 8_192
_MOST_RECORDS = 20_000


@dataclass(frozen=True, slots=True)
class DockerFacts:
    """Docker facts about a server, kept from earlier probes over the same connection."""

    docker: str = ""
    compose: tuple[str, ...] = ()
    compose_version: str = ""
    root: str = ""

    @property
    def wanted(self) -> str:
        """Return what the next probe asks Docker for: what is still missing, since it may have been installed later."""
        return "yes" if not self.compose else "engine" if not self.docker else "no"

    def learn(self, facts: ServerFacts) -> DockerFacts:
        """Return these facts updated with the results of a new probe."""
        return DockerFacts(
            facts.docker or self.docker,
            facts.compose or self.compose,
            facts.compose_version or self.compose_version,
            facts.docker_root or self.root,
        )

    def fill(self, facts: ServerFacts) -> ServerFacts:
        """Return `facts` with the Docker facts filled in."""
        versions = replace(facts, docker=self.docker, compose=self.compose, compose_version=self.compose_version)
        return replace(versions, docker_root=self.root)


def parse(output: bytes, *, server: str, directory: str) -> ServerFacts | None:
    """Return the facts in a probe's output, or None if it is incomplete."""
    records = _records(output)
    if "end" not in records:
        return None
    if "command" in records:
        raise Unreadable(
            "its login shell does not run the bot's commands: is there an exec in its .bashrc or .profile?"
        )
    return ServerFacts(
        home=_one(records, "home") or "/",
        server=server,
        user=_one(records, "user"),
        uid=_number(records, "uid"),
        system=_one(records, "system"),
        boot_id=_one(records, "boot_id"),
        disk_free=_bytes(records, "disk_free_kib"),
        disk_total=_bytes(records, "disk_total_kib"),
        memory_available=_bytes(records, "memory_available_kib"),
        git=_one(records, "git") == "yes",
        tools_missing=tuple(records["tool_missing"]),
        docker=_version(_one(records, "docker")),
        compose=tuple(_one(records, "compose").split()),
        compose_version=_version(_one(records, "compose_version")),
        writable=_one(records, "writable") == "yes",
        directory=directory,
        current=_release(_one(records, "current").rstrip("/").rpartition("/")[2]),
        switching=_release(_one(records, "switching")),
        releases=_all(RELEASE_ID, records["release"]),
        have=_all(_COMMIT, records["have"]),
        docker_host=_one(records, "docker_host"),
        docker_root=_one(records, "docker_root"),
        docker_free=_bytes(records, "docker_free_kib"),
        docker_inodes=_number(records, "docker_inodes"),
        current_is_folder=_one(records, "current_is_folder") == "yes",
        listening=(*_listening(records, "tcp"), *_listening(records, "udp")),
        files_changed=_one(records, "files_changed") == "yes",
        legacy=_all(RELEASE_ID, records["legacy"]),
        legacy_switching=_release(_one(records, "legacy_switching")),
        local_time=_local_time(_one(records, "time_zone"), _one(records, "time_offset")),
    )


def _records(output: bytes) -> defaultdict[str, list[str]]:
    """Return the values by name. Anything before the first NUL was printed by the login shell."""
    if output.count(b"\0") > _MOST_RECORDS:
        raise Unreadable(f"it reports more than {_MOST_RECORDS:,} facts")
    records = defaultdict[str, list[str]](list)
    for record in output.split(b"\0")[1:-1]:
        name, _, value = record[:_LONGEST].decode("utf-8", "replace").partition("=")
        records[name].append(value)
    return records


def _one(records: defaultdict[str, list[str]], name: str) -> str:
    return records[name][0].strip() if records[name] else ""


def _number(records: defaultdict[str, list[str]], name: str) -> int:
    """Return a number, or -1 if it is missing. Raises Unreadable for a number that is too long."""
    text = _one(records, name)
    return digits_of(text, name) if text.isascii() and text.isdigit() else -1


def _bytes(records: defaultdict[str, list[str]], name: str) -> int:
    kib = _number(records, name)
    return kib * _KIB if kib >= 0 else -1


def _local_time(zone: str, offset: str) -> LocalTime:
    """Parse a zone name and the output of `date '+%z %Z'`, such as `+0100 CET`. Ignore invalid values."""
    name = zone if _TIME_ZONE.fullmatch(zone) else ""
    match = _TIME_OFFSET.fullmatch(offset)
    if match is None:
        return LocalTime(zone=name)
    seconds = int(match[2]) * 3600 + int(match[3]) * 60
    return LocalTime(zone=name, offset=-seconds if match[1] == "-" else seconds, short=match[4] or "")


def _listening(records: defaultdict[str, list[str]], protocol: str) -> tuple[PublishedPort, ...]:
    """Read local addresses of proc_net_tcp(5), such as `0100007F:0050`. Ignore one that is cut off at the end."""
    found = (
        PublishedPort(port=int(port, 16), protocol=protocol, address=_address(address))
        for address, port in _LOCAL.findall(_one(records, protocol))
    )
    return tuple(dict.fromkeys(found))


def _address(digits: str) -> str:
    """Read a hexadecimal IP address with the last byte first in each 32 bits. Return empty for all addresses."""
    raw = bytes.fromhex(digits)
    found = ipaddress.ip_address(b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4)))
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return "" if found.is_unspecified else str(found)


def _version(text: str) -> str:
    match = _VERSION.match(text)
    return match[1] if match else ""


def _release(text: str) -> str:
    return text if RELEASE_ID.fullmatch(text) else ""


def _all(form: re.Pattern[str], texts: list[str]) -> tuple[str, ...]:
    return tuple(sorted({text for text in texts if form.fullmatch(text)}))
