"""Compare what runs with what was recorded. Pure."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from deploybot.domain import Container, Manifest, Observed, Running, ServiceImage, short_id
from deploybot.observed_state.container_health import Difference, DifferenceKind, ailments, name_of

RELEASE_LABEL = "deploybot.release"
IMAGE_LABEL = "deploybot.image"
SETTINGS_LABEL = "deploybot.settings"


class Serving(enum.StrEnum):
    """What runs, in one word.

    NOTHING: no container, or no release in use. RECORDED: what the bot recorded, though perhaps unhealthy. PARTLY: a
    switch stopped half-way. FOREIGN: something that the bot did not record.
    """

    NOTHING = "nothing"
    RECORDED = "recorded"
    PARTLY = "partly"
    FOREIGN = "foreign"


_HEALTH = frozenset({DifferenceKind.LOOP, DifferenceKind.STOPPED, DifferenceKind.UNWELL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What runs on a server, compared with what the bot recorded.

    `release` is the id of the release that runs, empty if none does or it is unknown. `exact` means that every service
    runs the recorded image and that folder and link match; whether it is healthy is separate.
    """

    serving: Serving
    release: str = ""
    exact: bool = False
    differences: tuple[Difference, ...] = ()

    def of(self, *kinds: DifferenceKind) -> tuple[Difference, ...]:
        """Return the differences of some kinds."""
        return tuple(one for one in self.differences if one.kind in kinds)

    @property
    def ailments(self) -> tuple[Difference, ...]:
        """Return what is unhealthy."""
        return self.of(*_HEALTH)


def judge(observed: Observed, running: Running | None, manifest: Manifest | None) -> Judgement:
    """Compare what a server runs with the record of it; pure.

    `running` is what the bot last put there. `manifest` holds the images that it saw then, None if none were recorded.
    """
    health = tuple(ailments(observed))
    if running is None:
        return _unrecorded(observed, health)
    images = tuple(_images(observed, running, manifest))
    recorded = _asked(observed) and (manifest is not None or bool(running.release.images))
    serving = _serving(observed, running, images, recorded=recorded)
    containers = tuple(_containers_differ(observed, running, recorded=recorded and serving is Serving.RECORDED))
    known = not _asked(observed) or manifest is not None
    return Judgement(
        serving=serving,
        release=running.release.id if serving in {Serving.RECORDED, Serving.PARTLY} else _linked(observed),
        exact=known and serving is Serving.RECORDED and not images and not containers,
        differences=(*images, *containers, *health),
    )


def runs(observed: Observed, records: Collection[tuple[str, Manifest]]) -> tuple[str, Manifest | None]:
    """Return which of the recorded releases runs now, with the record that it fits; `("", None)` if none does.

    The images of all services decide. If several records have the same images, settings and then the link decide; then
    the first in `records`: the newest verified ones come first. A release may have several records. An app without
    containers runs what the link points to.
    """
    current = observed.facts.current
    services = observed.services
    if _asked(observed):
        foreign = _foreign(services, [manifest for _, manifest in records])
        fitting = list(_fitting(services, records, foreign))
    else:
        fitting = [pair for pair in records if pair[0] == current]
    if not fitting:
        return "", None
    return max(fitting, key=lambda pair: (*_closeness(services, pair[1]), pair[0] == current))


def _foreign(services: Mapping[str, Sequence[Container]], manifests: Collection[Manifest]) -> frozenset[str]:
    """Return the services of which a container runs an image that no record has for it."""
    known = {(one.service, one.image) for manifest in manifests for one in manifest.services}
    return frozenset(name for name, ones in services.items() if any((name, one.image_id) not in known for one in ones))


def _fitting(
    services: Mapping[str, Sequence[Container]],
    records: Collection[tuple[str, Manifest]],
    foreign: Collection[str],
) -> Iterator[tuple[str, Manifest]]:
    """Yield the records that fit.

    An older record that lacks a service does not fit if a person replaced that service: a newer one has it. What a
    release left behind, with an image of the bot's, may exist beside any record.
    """
    newer: set[str] = set()
    for release, manifest in records:
        names = {one.service for one in manifest.services}
        if _fits(services, manifest) and not (newer - names) & {*foreign}:
            yield release, manifest
        newer |= names


def _fits(services: Mapping[str, Sequence[Container]], manifest: Manifest) -> bool:
    """Return whether some services of a manifest exist, and all that exist run its images."""
    there = [(one, services[one.service]) for one in manifest.services if one.service in services]
    return bool(there) and all(each.image_id == one.image for one, containers in there for each in containers)


def _closeness(services: Mapping[str, Sequence[Container]], manifest: Manifest) -> tuple[int, int]:
    """Return how well a fitting manifest describes what exists: the services that differ, and equal settings."""
    wanted = {one.service for one in manifest.services if one.replicas}
    equal = sum(
        each.label(SETTINGS_LABEL) == one.settings
        for one in manifest.services
        for each in services.get(one.service, ())
    )
    return -len(wanted ^ services.keys()), equal


def _unrecorded(observed: Observed, health: tuple[Difference, ...]) -> Judgement:
    """Return what runs where the bot recorded nothing."""
    current, asked = observed.facts.current, _asked(observed)
    serving = Serving.FOREIGN if observed.services or (current and not asked) else Serving.NOTHING
    differences = [*_half_switched(observed), *health]
    if current and asked and not observed.services:
        text = f"`current` points to {short_id(current)}, which has no containers"
        differences.insert(0, Difference(DifferenceKind.LINK, text))
    return Judgement(serving=serving, release=_linked(observed), differences=tuple(differences))


def _asked(observed: Observed) -> bool:
    """Return whether the Engine was asked for the containers."""
    return observed.engine is not None and bool(observed.project)


def _linked(observed: Observed) -> str:
    """Return the release that the link points to, if only the link shows what runs."""
    return "" if _asked(observed) else observed.facts.current


def _serving(observed: Observed, running: Running, images: Sequence[Difference], *, recorded: bool) -> Serving:
    """Return what runs, in one word; the images decide if there is a record of them (`recorded`), else the link."""
    current, half = observed.facts.current, observed.facts.switching
    if (_asked(observed) and not observed.services) or not (recorded or current):
        return Serving.NOTHING
    if half and half != current:
        return Serving.PARTLY
    changed = any(one.kind is DifferenceKind.IMAGE for one in images)
    moved = not recorded and current != running.release.id
    return Serving.FOREIGN if changed or moved else Serving.RECORDED


def _images(observed: Observed, running: Running, manifest: Manifest | None) -> Iterator[Difference]:
    """Yield services that run something other than recorded, are missing, or were never part of it."""
    services = observed.services
    if not _asked(observed):
        return
    if not services:
        yield Difference(DifferenceKind.MISSING, "no containers")
        return
    if manifest is None:
        yield from _other_pins(services, running)
        yield from _unlabelled(services, running)
        return
    for wanted in manifest.services:
        if found := _of_service(wanted, services.get(wanted.service, ())):
            yield found
    for service in sorted(services.keys() - {one.service for one in manifest.services}):
        names = ", ".join(one.name for one in services[service])
        yield Difference(DifferenceKind.EXTRA, f"extra container {names}", service)


def _of_service(wanted: ServiceImage, there: Sequence[Container]) -> Difference | None:
    """Return how the containers of one service differ from the record."""
    if not there and wanted.replicas:
        return Difference(DifferenceKind.MISSING, f"{wanted.service} is missing", wanted.service)
    if other := next((one for one in there if one.image_id != wanted.image), None):
        return _other_image(other)
    if other := next((one for one in there if one.label(SETTINGS_LABEL) != wanted.settings), None):
        return _other_settings(other)
    if len(there) != wanted.replicas and (wanted.settings or len(there) < wanted.replicas):
        return _other_number(wanted, len(there))
    return None


def _other_pins(services: Mapping[str, Sequence[Container]], running: Running) -> Iterator[Difference]:
    """Yield what shows without a manifest: labels name the image of the release that a container was made from."""
    for pin in running.release.images:
        for one in services.get(pin.service, ()):
            if not one.label(IMAGE_LABEL).endswith(pin.digest):
                yield _other_image(one, f" than {pin.version}")
                break


def _unlabelled(services: Mapping[str, Sequence[Container]], running: Running) -> Iterator[Difference]:
    """Yield containers without a label of ours beside some that have one: a person made them."""
    if any(one.label(RELEASE_LABEL) for some in services.values() for one in some):
        for service in services.keys() - {pin.service for pin in running.release.images}:
            if other := next((one for one in services[service] if not one.label(RELEASE_LABEL)), None):
                yield _other_image(other)


def _other_image(one: Container, wanted: str = "") -> Difference:
    by_hand = not one.label(RELEASE_LABEL) and not one.label(IMAGE_LABEL)
    text = "was started by hand" if by_hand else f"runs a different image{wanted}"
    return Difference(DifferenceKind.IMAGE, f"{name_of(one)} {text} (image {_image_name(one)})", one.service)


def _other_settings(one: Container) -> Difference:
    text = "runs with different settings" if one.label(SETTINGS_LABEL) else "was created by hand, from the same image"
    return Difference(DifferenceKind.SETTINGS, f"{name_of(one)} {text}", one.service)


def _other_number(wanted: ServiceImage, count: int) -> Difference:
    """Return what differs if a service was scaled by hand, or lost containers.

    Records of the previous version have no settings. They may say 1 for a service of more, so more is no difference.
    """
    kind = DifferenceKind.MISSING if count < wanted.replicas else DifferenceKind.EXTRA
    noun = "container" if count == 1 else "containers"
    return Difference(kind, f"{wanted.service} has {count} {noun} instead of {wanted.replicas}", wanted.service)


def _image_name(one: Container) -> str:
    """Return an image's name; the start of its id if it has no name."""
    return one.image if one.image and not one.image.startswith("sha256:") else one.image_id[:19]


def _containers_differ(observed: Observed, running: Running, *, recorded: bool) -> Iterator[Difference]:
    """Yield problems with the release's folder and the link to it, and a switch that stopped half-way.

    `recorded`: the containers belong to the release, so the link must point to it.
    """
    facts, current, wanted = observed.facts, observed.facts.current, running.release.id
    if facts.current_is_folder:
        yield Difference(DifferenceKind.LINK, "`current` is a folder and not a link")
    elif recorded and current != wanted:
        leads = f"points to {short_id(current)}" if current else "is gone"
        yield Difference(DifferenceKind.LINK, f"`current` {leads}, but the containers are those of the release")
    if current == wanted and wanted not in {*facts.releases, *facts.legacy}:
        yield Difference(DifferenceKind.FOLDER, "the release's folder is gone")
    yield from _half_switched(observed)


def _half_switched(observed: Observed) -> Iterator[Difference]:
    current, half = observed.facts.current, observed.facts.switching
    if half and half != current:
        text = f"partly switched from {short_id(current) or 'nothing'} to {short_id(half)}"
        yield Difference(DifferenceKind.SWITCHING, text)
