"""What a service claims on a server, and which containers hold it: ports and container names."""

from __future__ import annotations

from collections.abc import Collection

from deploybot.domain import Container, PublishedPort
from deploybot.strategies.compose.compose_model import ComposeService, ServicePort


def names_of(service: ComposeService, project: str, major: int) -> Collection[str]:
    """Return the names of a service's containers. `major` is Compose's major version."""
    if service.container_name:
        return [service.container_name]
    dash = "_" if major == 1 else "-"
    return [dash.join((project, service.name, str(number))) for number in range(1, service.replicas + 1)]


def holds(held: PublishedPort, number: int, port: ServicePort) -> bool:
    """Return whether a port in use is the same as port `number` of what a service publishes."""
    is_same = held.port == number and held.protocol == port.protocol
    return is_same and overlap(held.address, port.address)


def overlap(one: str, other: str) -> bool:
    """Return whether two addresses cannot both be listened on."""
    everywhere = {"", "0.0.0.0", "::"}  # noqa: S104 - nothing is bound here
    return one == other or one in everywhere or other in everywhere


def blocks(
    container: Container, service: ComposeService, project: str, major: int, listening: Collection[PublishedPort]
) -> bool:
    """Return whether a service cannot start while a container exists: it holds its name or one of its ports.

    `listening` are the ports in use on the server: it is not known which of them belong to a container on the host's
    network, so each counts as its own.
    """
    if container.name in names_of(service, project, major):
        return True
    held = (*container.ports, *(listening if container.host_network else ()))
    return any(
        port.first and port.first <= one.port <= port.last and holds(one, one.port, port)
        for port in service.ports
        for one in held
    )
