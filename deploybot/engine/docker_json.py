"""Parse the Docker Engine's JSON into deploybot's types. No I/O. Raises Unreadable.

The format is the Docker Engine API, versions 1.41 (Docker 20.10) to 1.44. `…_of` functions read required fields. Fields
that other versions or Podman omit are optional, but must have the right type if present.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime

from deploybot.domain import Container, EngineEvent, EngineFacts, Image, Mount, PublishedPort, Usage
from deploybot.untrusted_input import (
    Unreadable,
    labels_of,
    number_of,
    object_of,
    objects_of,
    text_of,
    text_or_empty,
    texts_of,
    whole_of,
)

PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_ONEOFF = "com.docker.compose.oneoff"
_ENDS = frozenset({"die", "died"})
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  the Engine's value, nothing is bound here
_ID = re.compile(r"[A-Za-z0-9][\w.:-]{0,127}", re.ASCII)
_CODE = re.compile(r"-?\d{1,10}", re.ASCII)
_PORT = re.compile(r"[1-9]\d{0,4}", re.ASCII)
_NO_NETWORKS = frozenset({"none", "host", "container", "ns", "pod", "private", "slirp4netns", "pasta"})
"""Modes of a container that is in no network of its Engine."""
_NANO = 1e9
_MOST_PORTS = 70_000
_MOST_MOUNTS = 10_000

Json = Mapping[str, object]


def identity(value: object) -> str:
    """Return the id of a container or an image after checking that it is safe in a path."""
    text = text_of(value, "Id")
    if not _ID.fullmatch(text):
        raise Unreadable("Id is not an id")
    return text


def container(found: Json) -> Container:
    """Parse a container from `GET /containers/ID/json`."""
    state, config = object_of(found.get("State"), "State"), object_of(found.get("Config"), "Config")
    pairs = labels_of(config.get("Labels"))
    labels = dict(pairs)
    checked = object_of(state.get("Health") or state.get("Healthcheck") or {}, "Health")
    health = text_or_empty(checked.get("Status"), "Health.Status")
    return Container(
        id=identity(found.get("Id")),
        name=text_of(found.get("Name"), "Name").lstrip("/"),
        service=labels.get(_SERVICE, ""),
        image=text_of(config.get("Image"), "Image"),
        state=text_of(state.get("Status"), "State.Status"),
        health="" if health == "none" else health,
        started=_time(text_or_empty(state.get("StartedAt"), "StartedAt")),
        restarts=whole_of(found.get("RestartCount"), "RestartCount", default=0),
        exit_code=whole_of(state.get("ExitCode"), "ExitCode"),
        oneoff=labels.get(_ONEOFF, "") == "True",
        labels=pairs,
        image_id=text_or_empty(found.get("Image"), "Image"),
        project=labels.get(PROJECT, ""),
        created=_time(text_or_empty(found.get("Created"), "Created")),
        ports=_ports(found),
        mounts=_mounts(found),
        host_network=_is_on_host_network(found),
        cut_off=_is_cut_off(found),
        network_of=_network_mode(found).partition("container:")[2],
    )


def listed(found: Json) -> Container:
    """Parse a container from `GET /containers/json`, which lacks the details of inspecting it."""
    pairs = labels_of(found.get("Labels"))
    labels = dict(pairs)
    names = [name.lstrip("/") for name in texts_of(found.get("Names"), "Names")]
    ports = objects_of(found.get("Ports") or [], "Ports", most=_MOST_PORTS)
    return Container(
        id=identity(found.get("Id")),
        # A legacy link gives a container a second name, below the other container's name.
        name=next((name for name in names if "/" not in name), ""),
        service=labels.get(_SERVICE, ""),
        image=text_or_empty(found.get("Image"), "Image"),
        state=text_or_empty(found.get("State"), "State"),
        oneoff=labels.get(_ONEOFF, "") == "True",
        labels=pairs,
        image_id=text_or_empty(found.get("ImageID"), "ImageID"),
        project=labels.get(PROJECT, ""),
        created=number_of(found.get("Created"), "Created", default=0.0),
        ports=_distinct(_port(one.get("PublicPort"), one.get("Type"), one.get("IP")) for one in ports),
        mounts=_mounts(found),
        host_network=_is_on_host_network(found),
    )


def _is_on_host_network(found: Json) -> bool:
    return _network_mode(found) == "host"


def _network_mode(found: Json) -> str:
    host = object_of(found.get("HostConfig") or {}, "HostConfig")
    return text_or_empty(host.get("NetworkMode"), "NetworkMode")


def _is_cut_off(found: Json) -> bool:
    """Return whether a container is in no network any more, though its mode needs one.

    If a start fails because a port is taken, Docker 29 may forget the container's networks. The next start succeeds,
    without network and ports: https://github.com/moby/moby/issues/51758. Missing ports alone prove nothing: an Engine
    publishes none in internal networks, macvlan and the modes of the server. Podman has such modes, too (`pasta`).
    """
    settings = object_of(found.get("NetworkSettings") or {}, "NetworkSettings")
    config, mode = object_of(found.get("Config"), "Config"), _network_mode(found)
    needs_one = bool(mode) and mode.partition(":")[0] not in _NO_NETWORKS and not config.get("NetworkDisabled")
    return needs_one and settings.get("Networks") == {}


def _ports(found: Json) -> tuple[PublishedPort, ...]:
    """Return the published ports. For a stopped container, return the ports that it will publish."""
    settings = object_of(found.get("NetworkSettings") or {}, "NetworkSettings")
    published = object_of(settings.get("Ports") or {}, "Ports")
    if not any(published.values()):
        host = object_of(found.get("HostConfig") or {}, "HostConfig")
        published = object_of(host.get("PortBindings") or {}, "PortBindings")
    return _distinct(
        _port(one.get("HostPort"), inner.partition("/")[2], one.get("HostIp"))
        for inner, ways in published.items()
        for one in objects_of(ways or [], "Ports", most=_MOST_PORTS)
    )


def _port(port: object, protocol: object, address: object) -> PublishedPort | None:
    """Parse a published port. Return None if the Engine has not chosen one yet, or gives a range."""
    number = str(port) if isinstance(port, int | str) else ""
    if not _PORT.fullmatch(number):
        return None
    where = text_or_empty(address, "IP")
    return PublishedPort(
        port=int(number),
        protocol=text_or_empty(protocol, "Type") or "tcp",
        address="" if where in _EVERYWHERE else where,
    )


def _distinct(ports: Iterable[PublishedPort | None]) -> tuple[PublishedPort, ...]:
    """Remove duplicate ports: the Engine lists IPv4 and IPv6 separately."""
    return tuple(dict.fromkeys(one for one in ports if one))


def _mounts(found: Json) -> tuple[Mount, ...]:
    """Return the mounts, sorted by target."""
    mounts = (
        Mount(
            kind=text_or_empty(one.get("Type"), "Type"),
            source=text_or_empty(one.get("Name" if one.get("Type") == "volume" else "Source"), "Source"),
            target=text_or_empty(one.get("Destination"), "Destination"),
        )
        for one in objects_of(found.get("Mounts") or [], "Mounts", most=_MOST_MOUNTS)
    )
    return tuple(sorted(mounts, key=lambda one: one.target))


def _time(text: str) -> float:
    """Return seconds since the epoch; 0.0 for Go's zero time, which is the year 1."""
    with suppress(ValueError, OverflowError):
        return max(datetime.fromisoformat(text).timestamp(), 0.0)
    return 0.0


def http_time(text: str) -> float:
    """Return an HTTP date (RFC 9110) as seconds since the epoch; 0.0 if it is none."""
    with suppress(ValueError, TypeError, OverflowError):
        found = parsedate_to_datetime(text)
        return max(found.timestamp(), 0.0) if found.tzinfo else 0.0
    return 0.0


def image(found: Json) -> Image:
    """Parse an image from `GET /images/json`."""
    tags, digests = texts_of(found.get("RepoTags"), "RepoTags"), texts_of(found.get("RepoDigests"), "RepoDigests")
    return Image(
        id=identity(found.get("Id")),
        tags=tuple(tag for tag in tags if tag != "<none>:<none>"),
        digests=tuple(digest for digest in digests if not digest.startswith("<none>")),
        size=whole_of(found.get("Size"), "Size", default=-1),
        created=number_of(found.get("Created"), "Created", default=0.0),
        labels=labels_of(found.get("Labels")),
    )


def inspected_image(found: Json) -> Image:
    """Parse an image from `GET /images/NAME/json`."""
    created = _time(text_or_empty(found.get("Created"), "Created"))
    config = object_of(found.get("Config") or {}, "Config")
    known = image({**found, "Created": created, "Labels": config.get("Labels")})
    return replace(known, has_container_config=found.get("ContainerConfig") is not None)


def engine_facts(found: Json) -> EngineFacts:
    """Parse an Engine's facts from `GET /info`."""
    return EngineFacts(
        id=text_or_empty(found.get("ID"), "ID"),
        version=text_or_empty(found.get("ServerVersion"), "ServerVersion"),
        root=text_or_empty(found.get("DockerRootDir"), "DockerRootDir"),
    )


def names(found: Iterable[Json]) -> tuple[str, ...]:
    """Return the names of networks or volumes, sorted."""
    return tuple(sorted(text_of(one.get("Name"), "Name") for one in found))


def event(found: Json) -> EngineEvent:
    """Parse an event from `GET /events`."""
    actor = object_of(found.get("Actor") or {}, "Actor")
    attributes = dict(labels_of(actor.get("Attributes"), "Attributes"))
    nano = whole_of(found.get("timeNano"), "timeNano", default=0)
    action = text_or_empty(found.get("Action"), "Action")
    code = attributes.get("exitCode") or attributes.get("containerExitCode", "") if action in _ENDS else ""
    return EngineEvent(
        at=nano / _NANO if nano else number_of(found.get("time"), "time", default=0.0),
        kind=text_or_empty(found.get("Type"), "Type"),
        action=action,
        id=text_or_empty(actor.get("ID"), "ID"),
        name=attributes.get("name", ""),
        image=attributes.get("image", ""),
        project=attributes.get(PROJECT, ""),
        service=attributes.get(_SERVICE, ""),
        exit_code=int(code) if _CODE.fullmatch(code) else -1,
    )


class UsageSample:
    """A container's usage at one moment: CPU in nanoseconds, memory in bytes; -1 is unknown."""

    def __init__(self, stats: Json) -> None:
        """Parse the answer of `GET /containers/ID/stats`."""
        self.at = _time(text_or_empty(stats.get("read"), "read"))
        cpu = object_of(object_of(stats.get("cpu_stats") or {}, "cpu_stats").get("cpu_usage") or {}, "cpu_usage")
        self.cpu = whole_of(cpu.get("total_usage"), "total_usage", default=0) or -1
        memory = object_of(stats.get("memory_stats") or {}, "memory_stats")
        details = object_of(memory.get("stats") or {}, "memory_stats.stats")
        # Like `docker stats`, do not count file pages that are only cached (cgroup 1, cgroup 2).
        cached = whole_of(details.get("total_inactive_file", details.get("inactive_file")), "inactive_file", default=0)
        used = whole_of(memory.get("usage"), "memory_stats.usage", default=-1)
        self.memory = used - cached if used >= 0 else -1
        self.limit = whole_of(memory.get("limit"), "memory_stats.limit", default=0) or -1

    def usage(self, before: UsageSample | None) -> Usage:
        """Return the usage, with CPU as the average since `before`."""
        cpu = -1.0
        if before and 0 <= before.cpu <= self.cpu and before.at < self.at:
            cpu = (self.cpu - before.cpu) / (self.at - before.at) / 1e7
        return Usage(cpu=cpu, memory=self.memory, memory_limit=self.limit)
