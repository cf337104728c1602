"""Records exactly what a release runs, and exactly what ran before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from deploybot.domain import Container, Manifest, Observed, Release, ServiceImage, registry_digest
from deploybot.observed_state import has_ended, is_unwell
from deploybot.settings import ComposeSettings
from deploybot.strategies.compose.compose_model import ComposeConfig
from deploybot.strategies.compose.mounted_paths import PathFacts
from deploybot.strategies.compose.service_effects import may_end
from deploybot.strategies.compose.service_images import repository_name
from deploybot.strategies.compose.settings_label import SETTINGS_LABEL, settings_of

WORKING_FOLDER = "com.docker.compose.project.working_dir"
CONFIG_FILES = "com.docker.compose.project.config_files"


def manifest_of(
    config: ComposeConfig,
    facts: PathFacts,
    images: Mapping[str, tuple[str, str]],
    files: tuple[str, ...],
    compose: ComposeSettings,
) -> Manifest:
    """Record what a prepared release runs. `images` has the id and digest of the image of each service to record."""
    return Manifest(
        services=tuple(
            ServiceImage(
                service=one.name,
                image=images[one.name][0],
                name=one.image,
                build=one.build.form if one.build else "",
                digest=images[one.name][1],
                settings=settings_of(one, facts),
                replicas=one.replicas,
                ends=may_end(one, config),
            )
            for one in config.services
            if not one.provided and one.name in images
        ),
        files=files,
        env_file=compose.env_file or "",
        profiles=compose.profiles,
    )


def wants_others(config: ComposeConfig, recorded: Manifest, release: Release) -> bool:
    """Return whether a release's files name or build other images than those `recorded` for it.

    They may depend on the branch or tag by which the commit is deployed. A pinned image does not. Records of earlier
    versions, and of what the bot did not deploy, lack the names or the build settings.
    """
    pinned = {pin.service for pin in release.images}
    if recorded.profiles is None:
        return False
    for service in config.services:
        known = recorded.of(service.name)
        if known is None or service.name in pinned:
            continue
        form = service.build.form if service.build else ""
        if known.name != service.image or (known.build and known.build != form):
            return True
    return False


def snapshot_of(observed: Observed) -> Manifest | None:
    """Record what runs, even if the bot did not start it; None if nothing runs. One-off containers are ignored."""
    services = observed.services
    if not any(one.state == "running" for ones in services.values() for one in ones):
        return None
    digests = {image.id: image.digests for image in observed.images}
    newest = max((one for ones in services.values() for one in ones), key=lambda one: one.created)
    return Manifest(
        services=tuple(
            ServiceImage(
                service=service,
                image=ones[0].image_id,
                name=ones[0].image,
                digest=_digest(digests.get(ones[0].image_id, ()), ones[0]),
                settings=ones[0].label(SETTINGS_LABEL),
                replicas=len(ones),
                ended=has_ended(ones),
                unwell=is_unwell(ones, now=observed.at),
            )
            for service, ones in sorted(services.items())
        ),
        files=files_of(newest),
        folder=newest.label(WORKING_FOLDER),
    )


def _digest(digests: Iterable[str], container: Container) -> str:
    """Return the digest of a container's image in a registry; empty if Compose named it, as it does when it builds."""
    repository = repository_name(container.image)
    built = {f"{container.project}{sign}{container.service}" for sign in "-_"}
    return "" if repository in map(repository_name, built) else registry_digest(digests, repository)


def with_health(manifest: Manifest, observed: Observed) -> Manifest:
    """Add to a record which of its services are unhealthy now."""
    services = observed.services
    return replace(
        manifest,
        services=tuple(
            replace(one, unwell=is_unwell(services.get(one.service, ()), now=observed.at)) for one in manifest.services
        ),
    )


def files_of(container: Container) -> tuple[str, ...]:
    """Return the Compose files that a container was created with, from Compose's label."""
    return tuple(filter(None, container.label(CONFIG_FILES).split(",")))
