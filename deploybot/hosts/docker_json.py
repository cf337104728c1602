"""The Docker Engine's JSON, read into deploybot's words. No I/O. Raises Unreadable.

It is described in the Docker Engine API, versions 1.41 (Docker 20.10) to 1.45. What an answer must have is read by
`…_of`; what other versions and Podman leave out may be missing, and must be of the right type where it is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from deploybot.domain import Container, EngineEvent, Image, Usage
from deploybot.untrusted import (
    Unreadable,
    labels_of,
    number_of,
    object_of,
    text_of,
    text_or_empty,
    texts_of,
    whole_of,
)

PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_ENDS = frozenset({"die", "died"})
_ID = re.compile(r"[A-Za-z0-9][\w.:-]{0,127}", re.ASCII)
_CODE = re.compile(r"-?\d{1,10}", re.ASCII)
_NANO = 1e9

Json = Mapping[str, object]


def identity(value: object) -> str:
    """The id of a container or an image, which becomes part of a path."""
    text = text_of(value, "Id")
    if not _ID.fullmatch(text):
        raise Unreadable("Id is not an id")
    return text


def container(found: Json) -> Container:
    """A container as `GET /containers/ID/json` tells it."""
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
        oneoff=labels.get("com.docker.compose.oneoff", "") == "True",
        labels=pairs,
    )


def _time(text: str) -> float:
    """Seconds since the epoch; 0.0 for Go's zero time, which is the year 1."""
    with suppress(ValueError, OverflowError):
        return max(datetime.fromisoformat(text).timestamp(), 0.0)
    return 0.0


def image(found: Json) -> Image:
    """An image as `GET /images/json` lists it."""
    tags, digests = texts_of(found.get("RepoTags"), "RepoTags"), texts_of(found.get("RepoDigests"), "RepoDigests")
    return Image(
        id=identity(found.get("Id")),
        tags=tuple(tag for tag in tags if tag != "<none>:<none>"),
        digests=tuple(digest for digest in digests if not digest.startswith("<none>")),
        size=whole_of(found.get("Size"), "Size", default=-1),
        created=number_of(found.get("Created"), "Created", default=0.0),
        labels=labels_of(found.get("Labels")),
    )


def event(found: Json) -> EngineEvent:
    """An event as `GET /events` tells it."""
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


class Sample:
    """What a container had used at one moment: CPU in nanoseconds, memory in bytes; -1 is unknown."""

    def __init__(self, stats: Json) -> None:
        """Read what `GET /containers/ID/stats` tells."""
        self.at = _time(text_or_empty(stats.get("read"), "read"))
        cpu = object_of(object_of(stats.get("cpu_stats") or {}, "cpu_stats").get("cpu_usage") or {}, "cpu_usage")
        self.cpu = whole_of(cpu.get("total_usage"), "total_usage", default=0) or -1
        memory = object_of(stats.get("memory_stats") or {}, "memory_stats")
        details = object_of(memory.get("stats") or {}, "memory_stats.stats")
        # What `docker stats` shows: pages of files that are only cached do not count (cgroup 1, cgroup 2).
        cached = whole_of(details.get("total_inactive_file", details.get("inactive_file")), "inactive_file", default=0)
        used = whole_of(memory.get("usage"), "memory_stats.usage", default=-1)
        self.memory = used - cached if used >= 0 else -1
        self.limit = whole_of(memory.get("limit"), "memory_stats.limit", default=0) or -1

    def usage(self, before: Sample | None) -> Usage:
        """The usage, its CPU as the mean since `before`."""
        cpu = -1.0
        if before and 0 <= before.cpu <= self.cpu and before.at < self.at:
            cpu = (self.cpu - before.cpu) / (self.at - before.at) / 1e7
        return Usage(cpu=cpu, memory=self.memory, memory_limit=self.limit)
