"""Which images a release's services need, how each is made, and what each is called."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from deploybot.domain import Image, Release, canonical_image
from deploybot.errors import UserError
from deploybot.strategies.compose.model import ComposeConfig, ComposeService

_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:_|__|-+)[a-z0-9]+)*", re.ASCII)
_ID_SHOWN = 12
_WHERE_MISSING = frozenset({"never", "missing", "if_not_present"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesToMake:
    """How the images of a release are made: services to build and to pull, digests to pull, names for built images.

    `names` are for services that are built and whose Compose file names no image. `tags` gives every service's image a
    tag under which it is found afterwards: pairs of how it is called and the tag.
    """

    build: tuple[str, ...]
    pull: tuple[str, ...]
    pinned: tuple[str, ...]
    names: tuple[tuple[str, str], ...]
    tags: tuple[tuple[str, str], ...]


def images_to_make(
    config: ComposeConfig, release: Release, *, below: str, from_source: bool, present: Collection[Image]
) -> ImagesToMake:
    """Compute what has to be made. `below` is the project's repository, `present` what the Engine has already.

    `from_source`: images are built where they can be; otherwise all are pulled. Raises UserError for a service without
    an image, or an image of the release for which there is no service.
    """
    _check_pins(config, release)
    pins = {pin.service: pin.reference for pin in release.images}
    built = [one for one in config.services if from_source and one.is_built and one.name not in pins]
    names = {one.name: one.image or f"{repository(below, one.name)}:built" for one in built}
    made, here = {*map(_canonical, names.values())}, _names_of(present)
    pulled = [one for one in config.services if one.name not in pins and one.name not in names]
    return ImagesToMake(
        build=tuple(names),
        pull=tuple(
            one.name for one in pulled if _canonical(one.image) not in made and _is_pulled(one, from_source, here)
        ),
        pinned=tuple(dict.fromkeys(pins.values())),
        names=tuple((one.name, names[one.name]) for one in built if not one.image),
        tags=tuple(
            (pins.get(one.name) or names.get(one.name) or one.image, next_tag(below, one.name, at))
            for at, one in enumerate(config.services)
        ),
    )


def _check_pins(config: ComposeConfig, release: Release) -> None:
    for pin in release.images:
        if config.of(pin.service) is None:
            raise UserError(
                f"The release has an image for the service {pin.service}, which its Compose files do not run.",
                hint="Correct the name in apps.NAME.images, or activate the service's profile.",
            )


def _is_pulled(service: ComposeService, from_source: bool, here: Collection[str]) -> bool:  # noqa: FBT001
    if not service.image:
        raise UserError(
            f"Service {service.name} has no image to pull.",
            hint='Give it one in the Compose file, or set compose.source to "build".',
        )
    if not from_source and service.pull_policy not in _WHERE_MISSING:
        return True
    return _canonical(service.image) not in here


def _names_of(images: Collection[Image]) -> frozenset[str]:
    return frozenset(_canonical(name) for one in images for name in (*one.tags, *one.digests))


def _canonical(name: str) -> str:
    """`nginx` and `docker.io/library/nginx:latest` are the same."""
    bare, at, digest = name.partition("@")
    head, colon, tag = bare.rpartition(":")
    if not colon or "/" in tag:
        head, tag = bare, "latest"
    return f"{canonical_image(head)}@{digest}" if at else f"{canonical_image(head)}:{tag}"


def images_below(project: str) -> str:
    """Give the repository below which a project's images are tagged.

    Not every project's name may be part of one (distribution's reference grammar): those get a part of their hash,
    after a dot, which no project's name has.
    """
    if _REPOSITORY.fullmatch(project):
        return f"deploybot/{project}"
    plain = re.sub(r"[^a-z0-9]+", "-", project).strip("-") or "project"
    return f"deploybot/{plain}.{hashlib.sha256(project.encode()).hexdigest()[:12]}"


def repository(below: str, service: str) -> str:
    """Give the repository of a service's images."""
    return f"{below}/{re.sub(r'[^a-z0-9]+', '-', service.lower()).strip('-') or 'service'}"


def next_tag(below: str, service: str, position: int) -> str:
    """Give the tag of an image that was just made. Two services may share a repository, so the position counts."""
    return f"{repository(below, service)}:next-{position}"


def tag_of(below: str, service: str, image: str) -> str:
    """Give the tag that names an image by its id: equal content has an equal tag, so it is no change for Compose."""
    return f"{repository(below, service)}:{image.removeprefix('sha256:')[:_ID_SHOWN]}"


def next_tags(config: ComposeConfig, below: str) -> Iterator[tuple[str, str]]:
    """Give each service and the tag under which its image is found once it is made."""
    return ((one.name, next_tag(below, one.name, at)) for at, one in enumerate(config.services))
