"""Image names in one canonical form, so that two names of the same image can be compared."""

from __future__ import annotations

DOCKER_HUB = "docker.io"
_HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})


def canonical_image(name: str) -> str:
    """Return an image repository with its registry: `nginx` becomes `docker.io/library/nginx`.

    `name` has no tag and no digest. The first part is a registry if it has a dot, a colon or a capital letter, or is
    `localhost` (distribution's reference package, `splitDockerDomain`). The case of the registry does not matter.
    """
    first, slash, rest = name.partition("/")
    if not slash or not (set(".:") & set(first) or first == "localhost" or first != first.lower()):
        first, rest = DOCKER_HUB, name
    host = first.lower()
    if host in _HUB_NAMES:
        host, rest = DOCKER_HUB, rest if "/" in rest else f"library/{rest}"
    return f"{host}/{rest}"
