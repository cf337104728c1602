"""The Docker Engine's JSON, read into deploybot's words. No I/O.

It is described in the Docker Engine API, versions 1.41 (Docker 20.10) to 1.45.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from deploybot.domain import Container, EngineEvent, EngineFacts, Image, Mount, PublishedPort, Usage

PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_ONEOFF = "com.docker.compose.oneoff"
_ENDS = frozenset({"die", "died"})
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  what the Engine says, nothing is bound here

Json = Mapping[str, Any]


def container(found: Json) -> Container:
    """A container as `GET /containers/ID/json` tells it."""
    state, config = found["State"], found["Config"]
    labels = {str(key): str(value) for key, value in (config.get("Labels") or {}).items()}
    health = (state.get("Health") or state.get("Healthcheck") or {}).get("Status") or ""
    return Container(
        id=found["Id"],
        name=found["Name"].lstrip("/"),
        service=labels.get(_SERVICE, ""),
        image=config["Image"],
        state=state["Status"],
        health="" if health == "none" else health,
        started=_time(state["StartedAt"]),
        restarts=int(found.get("RestartCount") or 0),
        exit_code=int(state["ExitCode"]),
        oneoff=labels.get(_ONEOFF, "") == "True",
        labels=tuple(sorted(labels.items())),
        image_id=str(found.get("Image") or ""),
        project=labels.get(PROJECT, ""),
        created=_time(found.get("Created") or ""),
        ports=_ports(found),
        mounts=_mounts(found),
    )


def listed(found: Json) -> Container:
    """A container as `GET /containers/json` lists it, without what only a look at it alone tells."""
    labels = {str(key): str(value) for key, value in (found.get("Labels") or {}).items()}
    names = [str(name).lstrip("/") for name in found.get("Names") or ()]
    ports = (_port(one.get("PublicPort"), one.get("Type"), one.get("IP")) for one in found.get("Ports") or ())
    return Container(
        id=found["Id"],
        # A legacy link gives a container one more name, below the name of the other.
        name=next((name for name in names if "/" not in name), ""),
        service=labels.get(_SERVICE, ""),
        image=str(found.get("Image") or ""),
        state=str(found.get("State") or ""),
        oneoff=labels.get(_ONEOFF, "") == "True",
        labels=tuple(sorted(labels.items())),
        image_id=str(found.get("ImageID") or ""),
        project=labels.get(PROJECT, ""),
        created=float(found.get("Created") or 0),
        ports=_distinct(ports),
        mounts=_mounts(found),
    )


def _ports(found: Json) -> tuple[PublishedPort, ...]:
    """What is published; of a container that does not run, what it publishes when it does."""
    published = (found.get("NetworkSettings") or {}).get("Ports") or {}
    if not any(published.values()):
        published = (found.get("HostConfig") or {}).get("PortBindings") or {}
    return _distinct(
        _port(one.get("HostPort"), str(inner).partition("/")[2], one.get("HostIp"))
        for inner, ways in published.items()
        for one in ways or ()
    )


def _port(port: object, protocol: object, address: object) -> PublishedPort | None:
    """A published port; None where the Engine names none yet, or a range."""
    number = str(port or "")
    if not (number.isascii() and number.isdecimal() and int(number)):
        return None
    where = str(address or "")
    return PublishedPort(
        port=int(number), protocol=str(protocol or "tcp"), address="" if where in _EVERYWHERE else where
    )


def _distinct(ports: Iterable[PublishedPort | None]) -> tuple[PublishedPort, ...]:
    """Each once: the Engine names IPv4 and IPv6 apart."""
    return tuple(dict.fromkeys(one for one in ports if one))


def _mounts(found: Json) -> tuple[Mount, ...]:
    """What is mounted, by target."""
    mounts = (
        Mount(
            kind=str(one.get("Type") or ""),
            source=str((one.get("Name") if one.get("Type") == "volume" else one.get("Source")) or ""),
            target=str(one.get("Destination") or ""),
        )
        for one in found.get("Mounts") or ()
    )
    return tuple(sorted(mounts, key=lambda one: one.target))


def _time(text: str) -> float:
    """Seconds since the epoch; 0.0 for Go's zero time, which is the year 1."""
    with suppress(ValueError):
        return max(datetime.fromisoformat(text).timestamp(), 0.0)
    return 0.0


def image(found: Json) -> Image:
    """An image as `GET /images/json` lists it."""
    return Image(
        id=found["Id"],
        tags=tuple(tag for tag in found.get("RepoTags") or () if tag != "<none>:<none>"),
        digests=tuple(digest for digest in found.get("RepoDigests") or () if not digest.startswith("<none>")),
        size=int(found.get("Size", -1)),
        created=float(found.get("Created") or 0),
        labels=tuple(sorted((found.get("Labels") or {}).items())),
    )


def inspected_image(found: Json) -> Image:
    """An image as `GET /images/NAME/json` tells it."""
    created = _time(found.get("Created") or "")
    return image({**found, "Created": created, "Labels": (found.get("Config") or {}).get("Labels")})


def facts(found: Json) -> EngineFacts:
    """An Engine as `GET /info` tells of it."""
    return EngineFacts(
        id=str(found.get("ID") or ""),
        version=str(found.get("ServerVersion") or ""),
        root=str(found.get("DockerRootDir") or ""),
    )


def names(found: Iterable[Json]) -> tuple[str, ...]:
    """The names of networks or volumes, sorted."""
    return tuple(sorted(str(one["Name"]) for one in found))


def event(found: Json) -> EngineEvent:
    """An event as `GET /events` tells it."""
    actor = found.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    nano = found.get("timeNano") or 0
    action = found.get("Action", "")
    code = str(attributes.get("exitCode") or attributes.get("containerExitCode", "")) if action in _ENDS else ""
    return EngineEvent(
        at=nano / 1e9 if nano else float(found.get("time") or 0),
        kind=found.get("Type", ""),
        action=action,
        id=actor.get("ID", ""),
        name=attributes.get("name", ""),
        image=attributes.get("image", ""),
        project=attributes.get(PROJECT, ""),
        service=attributes.get(_SERVICE, ""),
        exit_code=int(code) if code.lstrip("-").isdecimal() else -1,
    )


class Sample:
    """What a container had used at one moment: CPU in nanoseconds, memory in bytes; -1 is unknown."""

    def __init__(self, stats: Json) -> None:
        """Read what `GET /containers/ID/stats` tells."""
        self.at = _time(stats.get("read", ""))
        self.cpu = int(((stats.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage") or -1)
        memory = stats.get("memory_stats") or {}
        details = memory.get("stats") or {}
        # What `docker stats` shows: pages of files that are only cached do not count (cgroup 1, cgroup 2).
        cached = details.get("total_inactive_file", details.get("inactive_file", 0))
        self.memory = int(memory["usage"]) - int(cached) if "usage" in memory else -1
        self.limit = int(memory.get("limit") or -1)

    def usage(self, before: Sample | None) -> Usage:
        """The usage, its CPU as the mean since `before`."""
        cpu = -1.0
        if before and 0 <= before.cpu <= self.cpu and before.at < self.at:
            cpu = (self.cpu - before.cpu) / (self.at - before.at) / 1e7
        return Usage(cpu=cpu, memory=self.memory, memory_limit=self.limit)
