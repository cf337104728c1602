"""Names of images in one form, so that two who name the same image are known to do so."""

from __future__ import annotations

DOCKER_HUB = "docker.io"
_HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})


def canonical_image(name: str) -> str:
    """A repository of images with its registry: `nginx` is `library/nginx` at Docker Hub.

    `name` is without tag and digest. The first part is a registry where it holds a dot, a colon or a capital letter
    or is `localhost` (distribution's reference package, `splitDockerDomain`); its case does not matter.
    """
    first, slash, rest = name.partition("/")
    if not slash or not (set(".:") & set(first) or first == "localhost" or first != first.lower()):
        first, rest = DOCKER_HUB, name
    host = first.lower()
    if host in _HUB_NAMES:
        host, rest = DOCKER_HUB, rest if "/" in rest else f"library/{rest}"
    return f"{host}/{rest}"
