"""Containers that a failed `up` left half-made: which to remove, and which to keep for their data."""

from __future__ import annotations

from collections.abc import Iterator

from deploybot.domain import Container, Observed
from deploybot.observed_state import has_ended

_NOT_STARTED = frozenset({"created", "dead"})
_NUMBER = "com.docker.compose.container-number"


def useless(observed: Observed) -> Iterator[str]:
    """Yield the half-made containers to remove: no data is lost with them."""
    held = holders(observed)
    return (one.id for one in _half_made(observed) if one not in held)


def holders(observed: Observed) -> tuple[Container, ...]:
    """Return half-made containers that alone refer to anonymous volumes. Compose recreates them with these volumes.

    While Compose replaces a container there are two with the same number. The older one has the data.
    """
    half = _half_made(observed)
    first: dict[tuple[str, str], Container] = {}
    for one in sorted(observed.containers, key=lambda one: (one in half, one.created)):
        if not one.oneoff:
            first.setdefault((one.service, one.label(_NUMBER)), one)
    return tuple(one for one in first.values() if one in half and any(mount.is_anonymous for mount in one.mounts))


def _half_made(observed: Observed) -> tuple[Container, ...]:
    """Return containers that a failed `up` left: never started, so they block names; or stopped, without a network.

    What ended with code 0 may be a job, which needs no network any more. A person's `docker compose run` stays, too.
    """
    never = (one for one in observed.containers if one.state in _NOT_STARTED and not one.started)
    cut_off = (one for one in observed.containers if one.cut_off and not one.oneoff and not _is_up_or_done(one))
    return tuple(dict.fromkeys((*never, *cut_off)))


def _is_up_or_done(one: Container) -> bool:
    return one.state == "running" or has_ended([one])
