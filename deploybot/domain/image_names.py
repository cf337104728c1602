"""Image names in one canonical form, so that two names of the same image can be compared."""

from __future__ import annotations

from collections.abc import Iterable

DOCKER_HUB = "docker.io"
_HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})

_OURS = f"{DOCKER_HUB}/deploybot/"
_HUB_SLASHES = 2


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


def registry_digest(digests: Iterable[str], repository: str = "") -> str:
    """Return the `name@sha256:…` by which a registry has an image, best that of a `repository`; empty if there is none.

    `repository` is a name from `canonical_image`. Docker's containerd image store has a digest for each local name,
    too. The names that the bot gives have three parts: no image of Docker Hub has that many.
    """
    named = {digest: canonical_image(digest.partition("@")[0]) for digest in digests if digest}
    local = {digest for digest, name in named.items() if name.startswith(_OURS) and name.count("/") > _HUB_SLASHES}
    known = [digest for digest in named if digest not in local]
    return next((digest for digest in known if named[digest] == repository), known[0] if known else "")
