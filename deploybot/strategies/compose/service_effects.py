"""What happens to each service: the difference between what runs and what a release wants, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from deploybot.domain import Container, Effect, EffectKind, Manifest, Observed
from deploybot.observed_state import has_ended
from deploybot.strategies.compose.compose_answers import Elsewhere
from deploybot.strategies.compose.compose_model import ComposeConfig, ComposeService
from deploybot.strategies.compose.mounted_paths import PathFacts, PathKind, bound_at, sources_of
from deploybot.strategies.compose.service_images import full_name
from deploybot.strategies.compose.settings_label import (
    IMAGE_LABEL,
    SETTINGS_LABEL,
    same_content,
    same_settings,
    settings_of,
)

_WORKING_DIR = "com.docker.compose.project.working_dir"
_CONFIG_HASH = "com.docker.compose.config-hash"
_STOPPED = frozenset({"exited", "created"})
_OURS = "deploybot/"
_MOVING = frozenset({EffectKind.RECREATED, EffectKind.NEW, EffectKind.STARTED})

IMAGE, SETTINGS, CONTENT = "image", "settings", "mounted content"
UNLESS_BUILT = "unless the build makes another image"
UNLESS_PULLED = "unless its tag now points to another image"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedService:
    """What a release wants to run on a server.

    `images` are the known image ids, by service. `built` names the services whose image is built, for those without a
    known id. `elsewhere` are the folders that containers come from. `last` is the manifest of the running release. With
    `remove_orphans`, containers that the bot did not create are removed too.
    """

    config: ComposeConfig
    facts: PathFacts
    images: Mapping[str, str] = field(default_factory=dict)
    built: Collection[str] = ()
    elsewhere: tuple[Elsewhere, ...] = ()
    last: Manifest | None = None
    remove_orphans: bool = False


def effects_of(observed: Observed, wanted: WantedService) -> tuple[Effect, ...]:
    """Return the effect on each service that runs or is wanted, sorted by name."""
    found = {one.name: effect for one in wanted.config.services if (effect := _effect(one, observed, wanted))}
    _spread(found, wanted.config)
    for service in observed.services.keys() - {one.name for one in wanted.config.services}:
        goes = wanted.remove_orphans or is_ours(service, observed, wanted.last)
        why = "not in the Compose files" if goes else "not in the Compose files, and not made by deploybot"
        found[service] = Effect(service, EffectKind.REMOVED if goes else EffectKind.LEFT, why)
    return tuple(found[name] for name in sorted(found))


def is_ours(service: str, observed: Observed, last: Manifest | None) -> bool:
    """Return whether the bot created a service: its containers have its labels, or it was in the last release."""
    labelled = any(one.label(IMAGE_LABEL) or one.label(SETTINGS_LABEL) for one in observed.services.get(service, ()))
    return labelled or (last is not None and last.of(service) is not None)


def _effect(service: ComposeService, observed: Observed, wanted: WantedService) -> Effect | None:
    containers = observed.services.get(service.name, ())
    if not containers:
        is_nothing = service.replicas == 0 or service.provided
        return None if is_nothing else Effect(service.name, EffectKind.NEW)
    if service.replicas == 0:
        return Effect(service.name, EffectKind.REMOVED, "replicas: 0")
    reasons = sorted({why for one in containers for why in _changes(service, one, wanted)}, key=_ORDER.index)
    if reasons:
        return Effect(service.name, EffectKind.RECREATED, ", ".join(reasons))
    return _unchanged(service, containers, wanted)


_STATES = {"paused": "paused", "restarting": "keeps restarting", "dead": "dead", "removing": "half removed"}
_CUT_OFF = "lost its network"
_ORDER = (IMAGE, SETTINGS, CONTENT, *_STATES.values(), _CUT_OFF)


def _changes(service: ComposeService, container: Container, wanted: WantedService) -> Iterator[str]:
    if _image_differs(service, container, wanted):
        yield IMAGE
    if container.label(SETTINGS_LABEL):
        ours = settings_of(service, wanted.facts)
        if not same_settings(container.label(SETTINGS_LABEL), ours):
            yield SETTINGS
        hollow = (_is_hollow(source, target, container, wanted.facts) for source, target in sources_of(service))
        if not same_content(container.label(SETTINGS_LABEL), ours) or any(hollow):
            yield CONTENT
    else:
        if not _settings_hold(service, container, wanted):
            yield SETTINGS
        if not all(_mount_holds(source, target, container, wanted.facts) for source, target in sources_of(service)):
            yield CONTENT
    if container.state in _STATES:
        yield _STATES[container.state]
    if container.cut_off and not _is_done(service, [container], wanted):
        yield _CUT_OFF


def _image_differs(service: ComposeService, container: Container, wanted: WantedService) -> bool:
    """Return whether a different image is wanted, as far as is known before the images are built."""
    known = wanted.images.get(service.name, "")
    if known:
        return known != container.image_id
    if not service.image:
        return False
    before = wanted.last.of(service.name) if wanted.last else None
    name = before.name if before and before.image == container.image_id else container.image
    if not name or name.startswith((_OURS, "sha256:")):
        return False
    return full_name(name) != full_name(service.image)


def _settings_hold(service: ComposeService, container: Container, wanted: WantedService) -> bool:
    """Return whether a container without deploybot's labels has the wanted settings.

    It does if Compose would not recreate it in the folder that it comes from, and the settings there equal the
    release's.
    """
    folder, label = container.label(_WORKING_DIR), container.label(_CONFIG_HASH)
    for there in wanted.elsewhere:
        other = there.config.of(service.name)
        if there.folder == folder and other and label in there.hashes.get(service.name, ()):
            return other.base == service.base
    return False


def _mount_holds(source: str, target: str, container: Container, facts: PathFacts) -> bool:
    """Return whether a container mounts what is wanted: the same content, or the same path."""
    now = bound_at(container, target)
    seen, fact = facts.of(now), facts.of(source)
    if not now:
        return False
    if facts.is_shipped(source):
        return seen is not None and fact is not None and seen.digest == fact.digest
    real = fact.real if fact else source
    return now in {source, real} or (seen is not None and seen.real == real)


def _is_hollow(source: str, target: str, container: Container, facts: PathFacts) -> bool:
    """Return whether a container mounts a folder in place of a file: Docker makes one where the file is missing."""
    seen, fact = facts.of(bound_at(container, target)), facts.of(source)
    if seen is None or fact is None or fact.kind is not PathKind.FILE:
        return False
    return seen.kind in {PathKind.FOLDER, PathKind.HOLLOW}


def _unchanged(service: ComposeService, containers: Sequence[Container], wanted: WantedService) -> Effect:
    running = sum(1 for one in containers if one.state == "running")
    is_done = _is_done(service, containers, wanted)
    if len(containers) != service.replicas:
        return Effect(service.name, EffectKind.STARTED, f"replicas: {len(containers)} → {service.replicas}")
    if running < service.replicas and not is_done:
        return Effect(service.name, EffectKind.STARTED, "stopped now")
    if service.name in wanted.images:
        return Effect(service.name, EffectKind.KEPT)
    return Effect(service.name, EffectKind.KEPT, UNLESS_BUILT if service.name in wanted.built else UNLESS_PULLED)


def _is_done(service: ComposeService, containers: Sequence[Container], wanted: WantedService) -> bool:
    """Return whether containers that exited with 0 are a finished job, not a service that a person stopped.

    It is a job if another service waits for its end, or if it had exited when the release was verified.
    """
    before = wanted.last.of(service.name) if wanted.last else None
    is_job = service.name in wanted.config.jobs or (before is not None and before.ended)
    return is_job and has_ended(containers)


def may_end(service: ComposeService, config: ComposeConfig) -> bool:
    """Return whether a service may be a job that ends: it is not restarted, and has no health check and no ports."""
    if service.name in config.jobs:
        return True
    return service.restart in {"no", "on-failure"} and not service.healthcheck and not service.ports


def _spread(found: dict[str, Effect], config: ComposeConfig) -> None:
    """Recreate services that would lose a namespace or volumes, and those that the files restart with another one."""
    changed = True
    while changed:
        changed = False
        for service in config.services:
            effect = found.get(service.name)
            if effect is None or effect.kind not in {EffectKind.KEPT, EffectKind.STARTED}:
                continue
            cause = next((name for name in bound_to(service) if _moves(found.get(name), service, name)), "")
            if cause:
                found[service.name] = Effect(service.name, EffectKind.RECREATED, f"with {cause}")
                changed = True


def bound_to(service: ComposeService) -> Iterator[str]:
    """Yield the services with which a service is recreated."""
    yield from service.shares
    yield from (one.service for one in service.depends_on if one.restart)


def _moves(effect: Effect | None, service: ComposeService, name: str) -> bool:
    """Return whether a recreated service makes another one follow. A stopped service has lost its namespaces."""
    if effect is None:
        return False
    return effect.kind is EffectKind.RECREATED or (name in service.shares and effect.kind in _MOVING)
