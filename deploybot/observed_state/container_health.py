"""What is unhealthy, container by container. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deploybot.domain import Container, Observed, ServiceImage

_DEPENDS_ON = "com.docker.compose.depends_on"
"""Compose writes `service:condition:restart` there, separated by commas."""
_STOPPED_BY_SIGNAL = frozenset({137, 143})
_LOOP_RESTARTS = 3
_LOOP_UPTIME = 60.0


class DifferenceKind(enum.StrEnum):
    """In what way something differs from the record, or is unhealthy."""

    IMAGE = "image"
    SETTINGS = "settings"
    MISSING = "missing"
    EXTRA = "extra"
    SWITCHING = "switching"
    LINK = "link"
    FOLDER = "folder"
    LOOP = "loop"
    STOPPED = "stopped"
    UNWELL = "unwell"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference, in words. `service` is empty if it has none; `mild` means that the rest may still serve."""

    kind: DifferenceKind
    text: str
    service: str = ""
    mild: bool = False


def ailments(observed: Observed) -> Iterator[Difference]:
    """Yield what is unhealthy, in the order of the services."""
    containers = [one for some in observed.services.values() for one in some]
    serves = any(one.state == "running" for one in containers)
    for one in containers:
        if found := ailment(one, containers, now=observed.at):
            kind, text = found
            mild = serves and kind is DifferenceKind.STOPPED and not one.exit_code
            yield Difference(kind, f"{name_of(one)} {text}", one.service, mild)


def ailment(one: Container, containers: Sequence[Container], *, now: float) -> tuple[DifferenceKind, str] | None:
    """Return what is wrong with a container among those of its project; None if it is healthy or ended as intended."""
    if _loops(one, now):
        return DifferenceKind.LOOP, f"keeps restarting: {one.restarts} restarts"
    if one.state == "running":
        words = _cut_off(one) or ("unhealthy" if one.health == "unhealthy" else "")
        return (DifferenceKind.UNWELL, words) if words else None
    if one.state != "exited":
        return DifferenceKind.UNWELL, f"is {one.state}"
    if one.exit_code in _STOPPED_BY_SIGNAL:
        return DifferenceKind.STOPPED, f"is stopped (exit code {one.exit_code})"
    if one.exit_code:
        return DifferenceKind.STOPPED, f"exited with {one.exit_code}"
    return None if _ended_well(one, containers) else (DifferenceKind.STOPPED, "is stopped")


def not_up(one: Container, *, now: float) -> str:
    """Return what keeps a container from being up; empty if it is healthy or ended with code 0."""
    code = f" (exit code {one.exit_code})" if one.exit_code else ""
    if _loops(one, now):
        return f"keeps restarting{code}"
    if one.state == "restarting":
        return f"is restarting{code}"
    if one.state == "running":
        return _cut_off(one) or ("" if one.health in {"", "healthy"} else f"is {one.health}")
    if one.state == "exited":
        return f"exited with code {one.exit_code}" if one.exit_code else ""
    return f"is {one.state}"


def is_hopeless(one: Container, *, now: float) -> bool:
    """Return whether a container will not come up, no matter how long one waits."""
    failed = one.state == "exited" and one.exit_code != 0
    return failed or one.health == "unhealthy" or one.state == "dead" or bool(_cut_off(one)) or _loops(one, now)


def has_ended(containers: Sequence[Container]) -> bool:
    """Return whether all containers of a service have ended with code 0, as those of a job do."""
    return bool(containers) and all(one.state == "exited" and one.exit_code == 0 for one in containers)


def has_stopped(one: Container, expected: ServiceImage) -> bool:
    """Return whether a container ended with code 0 though its service is not a job."""
    return one.state == "exited" and not one.exit_code and not expected.ends


def is_unwell(containers: Sequence[Container], *, now: float) -> bool:
    """Return whether a container of a service is unhealthy or paused, keeps restarting, or has failed."""
    return any(is_hopeless(one, now=now) or one.state == "paused" for one in containers)


def _cut_off(one: Container) -> str:
    """Return that a container runs without its network, whatever its health check inside says."""
    return "runs without its network" if one.state == "running" and one.cut_off else ""


def _loops(one: Container, now: float) -> bool:
    """Return whether a container keeps restarting now, and not only some time ago."""
    young = one.state == "running" and one.started > 0 and one.up_for(now) < _LOOP_UPTIME
    return one.restarts >= _LOOP_RESTARTS and (one.state == "restarting" or young)


def _ended_well(one: Container, containers: Sequence[Container]) -> bool:
    """Return whether a container ended with code 0 and another one was meant to start after that."""
    awaited = f"{one.service}:service_completed_successfully"
    waiting = (other.label(_DEPENDS_ON) for other in containers)
    return not one.exit_code and any(part.startswith(awaited) for text in waiting for part in text.split(","))


def name_of(one: Container) -> str:
    """Return the name that people use for a container: its service."""
    return one.service or one.name
