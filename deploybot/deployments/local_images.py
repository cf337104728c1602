"""Find images that were built on a server: a registry may have a stranger's image of that name. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from deploybot.domain import Container, Image, canonical_image
from deploybot.errors import BuiltHere
from deploybot.ports import Site


def insist_on_registries(site: Site, names: Mapping[str, str]) -> None:
    """Raise BuiltHere if a service runs an image of the repository that its file names, and no registry had it.

    `names` are the images of services in the Compose files. bot.toml may name another one for a service.
    """
    observed = site.observed
    known = {image.id: image for image in observed.images} if observed else {}
    for service, containers in observed.services.items() if observed else ():
        own = site.app.images.get(service)
        name = own.image if own else names.get(service, "")
        if name and any(_is_local(one, known.get(one.image_id), site.images, _repository(name)) for one in containers):
            raise BuiltHere(
                f"{service} runs {_bare(name)} on {site.server}, which was built or loaded there: no registry had that "
                "image. One of the same name in a registry may be somebody else's.",
                hint="Push it to a registry, name it there in the Compose file, and start it once: docker compose pull "
                "&& docker compose up -d.",
            )


def _is_local(container: Container, image: Image | None, there: Iterable[Image], repository: str) -> bool:
    """Return whether a container runs an image under a repository's name for which it has no digest.

    An image without any name says nothing: Docker's containerd image store drops its names when the tag is pulled
    again. Then the image that has the tag by now says it.
    """
    if image is None or _repository(container.image) != repository:
        return False
    tag = canonical_image(container.image)
    named = [one for one in there if tag in {canonical_image(name) for name in one.tags}]
    found = [image] if image.tags or image.digests else named
    return bool(found) and all(_repository(digest) != repository for one in found for digest in one.digests)


def _bare(name: str) -> str:
    """Return an image name without tag and digest. A colon before the last slash belongs to a port."""
    name = name.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name


def _repository(name: str) -> str:
    return canonical_image(_bare(name))
