"""Whether everything stayed up: what changed between two observations of a release. Pure."""

from __future__ import annotations

from deploybot.deployments.release_shortfalls import missing, other_image, shortfalls
from deploybot.domain import Container, Manifest, Observed, ServiceImage, WatchBaseline
from deploybot.observed_state import has_stopped, not_up


def changes_between(first: WatchBaseline, now: Observed, manifest: Manifest) -> list[str]:
    """Return which containers did not stay up since the watch began."""
    before = {one.id: one for one in first.containers}
    found: list[str] = [*shortfalls(now, manifest)[0]]
    services = now.services
    for expected in manifest.services:
        there = services.get(expected.service, ())
        if len(there) < expected.replicas:
            found.append(missing(expected, len(there)))
        for container in there:
            old = before.get(container.id)
            if old is None:
                found.append(_replaced(expected))
            elif container.restarts > old.restarts or (container.started != old.started and old.started):
                found.append(f"{expected.service} restarted{_exit(container)}")
            elif has_stopped(container, expected):
                found.append(f"{expected.service} has stopped")
            elif words := not_up(container, now=now.at):
                found.append(f"{expected.service} {words}")
    return list(dict.fromkeys(found))


def others_than(first: WatchBaseline | None, now: Observed, manifest: Manifest) -> list[str]:
    """Return which containers run other images than the release, or are not those of `first`; up or not."""
    known = {one.id for one in first.containers} if first else None
    found: list[str] = []
    for expected in manifest.services:
        for container in now.services.get(expected.service, ()):
            if words := other_image(container, expected):
                found.append(words)
            elif known is not None and container.id not in known:
                found.append(_replaced(expected))
    return list(dict.fromkeys(found))


def _replaced(expected: ServiceImage) -> str:
    return f"{expected.service} was replaced by another container meanwhile"


def _exit(container: Container) -> str:
    return f" (exit code {container.exit_code})" if container.exit_code else ""
