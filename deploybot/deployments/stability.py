"""Whether everything stayed up: what changed between two observations of a release. Pure."""

from __future__ import annotations

from deploybot.deployments.release_shortfalls import missing, shortfalls
from deploybot.domain import Container, Manifest, Observed, WatchBaseline
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
                found.append(f"{expected.service} was replaced by another container meanwhile")
            elif container.restarts > old.restarts or (container.started != old.started and old.started):
                found.append(f"{expected.service} restarted{_exit(container)}")
            elif has_stopped(container, expected):
                found.append(f"{expected.service} has stopped")
            elif words := not_up(container, now=now.at):
                found.append(f"{expected.service} {words}")
    return list(dict.fromkeys(found))


def _exit(container: Container) -> str:
    return f" (exit code {container.exit_code})" if container.exit_code else ""
