"""Find the images that the other services of an app keep while one gets another image: those that run. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from deploybot.domain import Container, Image, Pin, Release, canonical_image, registry_digest
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.settings import App, Environment
from deploybot.wording import listed

_Known = Sequence[Pin] | None
"""The names by which registries have the image of a service; None if its containers run several images."""


class RunningImages(NamedTuple):
    """What a server runs: the bot's release, if it is one of the bot's, and what was observed."""

    site: Site
    release: Release | None


def kept_images(
    app: App,
    environment: Environment,
    there: Mapping[str, RunningImages],
    *,
    replaced: Collection[str],
    services: Collection[str] | None,
) -> dict[str, Pin]:
    """Return the image that each service keeps, by service: what runs on the servers (`there`), by its digest.

    Services in `replaced` get another one; only those in `services` count, if they are known. A service that runs
    nowhere is left out. Raises UserError if servers run different images of a service, or one that no registry has.
    """
    found: dict[str, dict[str, _Known]] = {}
    for server, one in there.items():
        for service, pins in _of_server(one).items():
            if service not in replaced and (services is None or service in services):
                found.setdefault(service, {})[server] = pins
    return {service: _common(app, environment, service, each) for service, each in sorted(found.items())}


def _of_server(one: RunningImages) -> dict[str, _Known]:
    """Return the images of each service: that of the release, or those by which registries have what runs."""
    observed = one.site.observed
    digests = {image.id: image for image in observed.images} if observed else {}
    services = observed.services if observed else {}
    seen: dict[str, _Known] = {service: _pins(service, ones, digests) for service, ones in services.items()}
    recorded = one.release.images if one.release else ()
    return {**seen, **{pin.service: [pin] for pin in recorded}}


def _pins(service: str, containers: Iterable[Container], images: Mapping[str, Image]) -> _Known:
    """Return the names by which registries have the image of a service; None if its containers run several images."""
    ones = {container.image_id: container for container in containers}
    if len(ones) != 1:
        return None
    ((image_id, container),) = ones.items()
    name = container.image.partition("@")[0]
    bare, colon, tag = name.rpartition(":")
    bare, tag = (bare, tag) if colon and "/" not in tag else (name, "")
    known = images[image_id].digests if image_id in images else ()
    wanted = canonical_image(bare)
    same = [one for one in known if canonical_image(one.partition("@")[0]) == wanted]
    if registry_digest(known, wanted) in same:
        return [Pin(service, bare, tag, one.partition("@")[2]) for one in same]
    other = registry_digest(known)
    return [Pin(service, other.partition("@")[0], "", other.partition("@")[2])] if other else []


def _common(app: App, environment: Environment, service: str, each: Mapping[str, _Known]) -> Pin:
    """Return the image of a service that all servers run. Raises UserError if there is none."""
    hint = f"Deploy what the Compose files name first: deploy {app.name} to {environment.name}."
    if several := [server for server, pins in each.items() if pins is None]:
        raise UserError(
            f"The containers of {service} of {app.name}/{environment.name} run different images on {listed(several)}, "
            "so it is unclear which one it keeps.",
            hint=hint,
        )
    if unknown := [server for server, pins in each.items() if not pins]:
        raise UserError(
            f"{service} of {app.name}/{environment.name} runs an image on {listed(unknown)} that no registry is known "
            "to have, so it is unclear what it keeps.",
            hint=hint,
        )
    first, *others = [pins or () for pins in each.values()]
    digests = [{pin.digest for pin in pins} for pins in others]
    common = [pin for pin in first if all(pin.digest in ones for ones in digests)]
    if not common:
        names = ", ".join(f"{server} {pins[0]}" for server, pins in each.items() if pins)
        raise UserError(
            f"The servers of {app.name}/{environment.name} run different images of {service} ({names}), so it is "
            "unclear which one it keeps.",
            hint=hint,
        )
    return common[0]
