"""Apps without a repository: what Compose reads from the files that a server has itself. Pure.

A person edits these files, and the bot never does. So a plan contains a hash of what Compose reads from them, and a
deployment begins only if that is still the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from deploybot.domain import Manifest, Release
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.strategies.compose.compose_model import ComposeConfig, ComposeService, Dependency
from deploybot.strategies.compose.mounted_paths import PathFacts, sources_of
from deploybot.strategies.compose.service_hash import digest
from deploybot.strategies.compose.settings_label import settings_of
from deploybot.wording import listed

CONFIGURATION = "DEPLOYBOT_CONFIGURATION"
"""The value of a step with the hash that it was planned with."""
MOST_IMAGES = 100
"""The most images that the files of a server may name: the registries of all of them are asked."""
_LOCAL = frozenset({"never", "build"})
_REFERENCE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,254}?(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?", re.ASCII
)


def configuration_of(config: ComposeConfig, facts: PathFacts) -> str:
    """Return a SHA-256 (hex) of all that a configuration says about its services.

    Compose versions print the same settings differently, and yield the same hash. Contents of mounted files are not
    part of it: Compose does not recreate a container for them either.
    """
    return digest("\n".join(line for one in config.services for line in _lines(one, facts)))


def _lines(service: ComposeService, facts: PathFacts) -> Iterator[str]:
    yield f"{service.name} {settings_of(service, facts)} {service.base} {service.image} {service.replicas}"
    yield from sorted(f" after {one.service} {one.condition}{_ways(one)}" for one in service.depends_on)
    yield from sorted(f" from {source} {target}" for source, target in sources_of(service))


def _ways(dependency: Dependency) -> str:
    """Return how a service depends on another one, without what is usual: Compose versions may print that or not."""
    return f"{' restart' if dependency.restart else ''}{'' if dependency.required else ' optional'}"


def named_by(config: ComposeConfig, site: Site) -> Mapping[str, str]:
    """Return the image of each service that runs. Raises UserError if one has none, or an invalid one."""
    services = [one for one in config.services if not one.provided]
    where = f"{site.app.server_folder} on {site.server}"
    if not services:
        raise UserError(f"The Compose files in {where} have no service to run.", hint="Are their profiles active?")
    if len({one.image for one in services}) > MOST_IMAGES:
        raise UserError(
            f"The Compose files in {where} name more than {MOST_IMAGES} images.", hint="Split them into several apps."
        )
    if made := [one.name for one in services if one.image and (one.build or one.pull_policy in _LOCAL)]:
        raise UserError(
            f"The Compose files in {where} set `build`, or `pull_policy: never` or `build`, for {listed(made)}. "
            "Without a repository, the bot only pulls images.",
            hint=f"Remove these keys there, or set apps.{site.app.name}.repo in bot.toml.",
        )
    if bare := [one.name for one in services if not one.image]:
        raise UserError(
            f"The Compose files in {where} give {listed(bare)} no image, and without a repository nothing is built.",
            hint=f"Give it an image there, or set apps.{site.app.name}.repo in bot.toml.",
        )
    if odd := [one.name for one in services if not _REFERENCE.fullmatch(one.image)]:
        raise UserError(
            f"The image of {listed(odd)} in {where} is no valid name.", hint="Write it as registry/name:tag."
        )
    return {one.name: one.image for one in services}


def insist_on_images(config: ComposeConfig, release: Release, site: Site) -> None:
    """Raise UserError if a server's files have a service that the release has no image for: it would run unapproved."""
    known = {pin.service for pin in release.images}
    if lacks := [one.name for one in config.services if not one.provided and one.name not in known]:
        are = "is a service" if len(lacks) == 1 else "are services"
        raise UserError(
            f"{release} has no image for {listed(lacks)}, which {are} in the Compose files in "
            f"{site.app.server_folder} on {site.server}.",
            hint=f"To deploy what the files name now: deploy {site.app.name} to {site.environment.name}",
        )


def has_same_services(config: ComposeConfig, manifest: Manifest) -> bool:
    """Return whether a record has the services of a configuration, and no others."""
    return {one.name for one in config.services if not one.provided} == {one.service for one in manifest.services}


def restorable(before: Manifest | None, config: ComposeConfig) -> Manifest | None:
    """Return what to restore: without the services that the files do not have any more; None if nothing is left."""
    if before is None or before.folder:
        return before
    kept = tuple(one for one in before.services if config.of(one.service))
    return replace(before, services=kept) if kept else None


def notices(
    site: Site, release: Release, configuration: str, copies: Collection[str] = (), *, back: bool, kept: bool
) -> Iterator[str]:
    """Yield what a person should know: the files changed since what runs was started, or since the release ran.

    `kept` is True if the bot has a copy of the configuration that runs. `configuration` is the one that will run, and
    `copies` are those that the bot has. Raises UserError if a rollback would change nothing but the settings, and
    cannot bring them back.
    """
    folder = site.app.server_folder
    ran = site.ran.configuration if site.ran else ""
    wanted = site.configuration if back else ""
    target = site.manifests.get(release.id)
    # A plan that is made again wants what the first one found: the current settings, if the old ones were gone.
    comes = wanted == configuration and (wanted in copies or (target and target.configuration == wanted))
    if wanted not in {"", configuration} and release.id == site.running and ran != wanted:
        raise UserError(
            f"{release} runs on {site.server} already, and the bot has no copy of its old settings. The "
            "rollback would change nothing.",
            hint=f"Undo the change in {folder} on {site.server}, then: deploy {site.app.name} to "
            f"{site.environment.name}. Or go further back, to a number of `history {site.app.name}`: "
            f"rollback {site.app.name} from {site.environment.name} to #N",
        )
    if wanted and not comes:
        yield (
            f"The Compose files in {folder} changed since {release} ran, and the bot has no copy of the old settings. "
            f"The rollback brings back the images of {release}, with the current settings."
        )
    elif wanted and ran not in {"", configuration}:
        yield (
            f"The rollback also brings back the settings that {release} ran with. The Compose files in {folder} stay "
            "as they are: the next `deploy` uses them."
        )
    elif ran not in {"", configuration}:
        after = (
            "the old images and settings are restored."
            if kept
            else "the old images are restored, with the current settings. If the settings are the cause, the app stays "
            "down."
        )
        yield f"The Compose files in {folder} changed since the last deployment. If this fails, {after}"


def insist_on_configuration(values: Mapping[str, str], configuration: str, site: Site) -> None:
    """Raise UserError if the files changed since a step was planned: only what was shown may run."""
    if values.get(CONFIGURATION) != configuration:
        raise UserError(
            f"The Compose files in {site.app.server_folder} on {site.server} changed since this was planned. "
            f"Deploy again: deploy {site.app.name} to {site.environment.name}"
        )


def is_of_app(site: Site, release: str) -> bool:
    """Return whether a release (its id) can be one of the app as bot.toml has it now: with a repository, or without."""
    return not release or (Release.by_id(release).code is None) == bool(site.app.server_folder)
