"""Where the image of each service comes from: built on the server, pulled by name, or pulled by digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from deploybot.domain import Pin, canonical_image
from deploybot.errors import UserError
from deploybot.strategies.compose.compose_model import ComposeConfig, ComposeService
from deploybot.strategies.compose.compose_override import write_override

_IF_MISSING = frozenset({"never", "missing", "if_not_present"})
_ID = 12
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:_|__|-+)[a-z0-9]+)*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageWork:
    """The work needed to have all images of a release on a server.

    `build` are services for `compose build`, `pull` those for `compose pull`. `missing` are those for `compose pull` if
    the server still lacks the image after the build. `pinned` are images to pull by digest unless they are there.
    `names` has the resulting image name of each service. `invented` are those of `names` that no Compose file has.
    Compose gets them for the build through `naming`, and they are removed afterwards.
    """

    build: tuple[str, ...] = ()
    pull: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    pinned: tuple[Pin, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    invented: Mapping[str, str] = field(default_factory=dict)
    naming: str = ""


def work_of(config: ComposeConfig, *, source: str, pins: Sequence[Pin], below: str) -> ImageWork:
    """Return what to build and what to pull. `source` is bot.toml's `build` or `images`.

    `below` is the repository for deploybot's tags. Raises UserError if the release pins a service that does not run, or
    if a service has no image to pull.
    """
    services = [one for one in config.services if not one.provided]
    if not services:
        raise UserError("The Compose files have no service to run.", hint="Are their profiles active?")
    _check_pins(services, pins)
    pinned = {pin.service: pin.reference for pin in pins}
    free = [one for one in services if one.name not in pinned]
    built = [one for one in free if one.is_built and source == "build"]
    pulled = [one for one in free if one not in built]
    _check_pulled(pulled)
    repositories = repositories_of(below, [one.name for one in services])
    invented = {one.name: f"{repositories[one.name]}:build" for one in built if not one.image}
    always = [one.name for one in pulled if source == "images" and one.pull_policy not in _IF_MISSING]
    return ImageWork(
        build=tuple(one.name for one in built),
        pull=tuple(always),
        missing=tuple(one.name for one in pulled if one.name not in always),
        pinned=tuple(pins),
        names={one.name: one.image for one in services} | invented | pinned,
        invented=invented,
        naming=write_override({name: {"image": image} for name, image in invented.items()}, version=config.version)
        if invented
        else "",
    )


def _check_pins(services: Sequence[ComposeService], pins: Sequence[Pin]) -> None:
    names = {one.name for one in services}
    for pin in pins:
        if pin.service not in names:
            raise UserError(
                f"The release has an image for the service {pin.service}, "
                "which its Compose files do not have or do not run.",
                hint=f"Its services: {', '.join(sorted(names))}.",
            )


def _check_pulled(pulled: Sequence[ComposeService]) -> None:
    for one in pulled:
        if not one.image:
            raise UserError(
                f"Service {one.name} has no image to pull.", hint="Give it one, or set compose.source to build."
            )


def repositories_of(below: str, services: Collection[str]) -> dict[str, str]:
    """Return the repository for the tags of each service. Invalid or duplicate names get a part of their hash."""
    plain = {name: re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in services}
    taken = list(plain.values())
    return {
        name: f"{below}/{short}" if short and taken.count(short) == 1 else f"{below}/{short or 'service'}.{_hash(name)}"
        for name, short in plain.items()
    }


def images_below(project: str) -> str:
    """Return the repository below which a project's images are tagged.

    Some project names are not valid in one (distribution's reference grammar). Those get a part of their hash after a
    dot, which no project name contains.
    """
    if _REPOSITORY.fullmatch(project):
        return f"deploybot/{project}"
    plain = re.sub(r"[^a-z0-9]+", "-", project).strip("-") or "project"
    return f"deploybot/{plain}.{_hash(project)}"


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:_ID]


def tag_of(repository: str, image: str) -> str:
    """Return deploybot's tag for an image. It contains the id, so it always means the same image."""
    return f"{repository}:{image.removeprefix('sha256:')[:_ID]}"


def full_name(name: str) -> str:
    """Return an image name with registry and tag: `nginx` and `docker.io/library/nginx:latest` are the same."""
    repository, tag, digest = _parts(name)
    return f"{repository}@{digest}" if digest else f"{repository}:{tag or 'latest'}"


def repository_name(name: str) -> str:
    """Return an image name with its registry, without tag and digest."""
    return _parts(name)[0]


def _parts(name: str) -> tuple[str, str, str]:
    """Split a name into repository, tag and digest. A colon before the last slash belongs to a port."""
    bare, _, digest = name.partition("@")
    head, colon, tag = bare.rpartition(":")
    if not colon or "/" in tag:
        head, tag = bare, ""
    return canonical_image(head), tag, digest
