"""The Docker Engine's JSON, read into deploybot's words. No I/O.

It is described in the Docker Engine API, versions 1.41 (Docker 20.10) to 1.45.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from deploybot.domain import Container, EngineEvent, Image, Usage

PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_ENDS = frozenset({"die", "died"})

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
        oneoff=labels.get("com.docker.compose.oneoff", "") == "True",
        labels=tuple(sorted(labels.items())),
    )


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
