"""What keeps a release from running as it is recorded. Pure."""

from __future__ import annotations

from deploybot.domain import Container, Manifest, Observed, ServiceImage
from deploybot.observed_state import has_stopped, is_hopeless, not_up


def shortfalls(observed: Observed, manifest: Manifest) -> tuple[list[str], list[str]]:
    """Return what keeps a release from running as recorded: what cannot recover, and what may still come up."""
    hopeless: list[str] = []
    waiting: list[str] = []
    services = observed.services
    for expected in manifest.services:
        there = services.get(expected.service, ())
        if len(there) < expected.replicas:
            waiting.append(missing(expected, len(there)))
        for container in there:
            if words := other_image(container, expected):
                hopeless.append(words)
            elif has_stopped(container, expected):
                waiting.append(f"{expected.service} has stopped")
            elif words := not_up(container, now=observed.at):
                (hopeless if is_hopeless(container, now=observed.at) else waiting).append(f"{expected.service} {words}")
    return hopeless, waiting


def other_image(container: Container, expected: ServiceImage) -> str:
    """Return that a container runs another image than the release; empty if it does not."""
    if not container.image_id or container.image_id == expected.image:
        return ""
    return f"{expected.service} runs image {_short(container.image_id)} instead of {_short(expected.image)}"


def missing(expected: ServiceImage, count: int) -> str:
    """Return that a service has no container, or not all of its containers."""
    if expected.replicas == 1:
        return f"{expected.service} has no container"
    return f"{expected.service} has {count} of {expected.replicas} containers"


def _short(image: str) -> str:
    return image.removeprefix("sha256:")[:12]
