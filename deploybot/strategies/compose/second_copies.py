"""Finds an app that already runs on the server under another project name: a second copy would share its data."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from deploybot.domain import Container, Observed
from deploybot.strategies.compose.blockers import ComposeProblem
from deploybot.strategies.compose.compose_model import ComposeConfig
from deploybot.strategies.compose.service_images import repository_name
from deploybot.strategies.compose.settings_label import IMAGE_LABEL, RELEASE_LABEL

_EVERYBODYS = "docker.io/library/"
_WORKING_DIR = "com.docker.compose.project.working_dir"


@dataclass(frozen=True, slots=True)
class DeployedHere:
    """What the bot deploys on a server, as in `ports.Site`."""

    projects: Collection[str] = ()
    once: Collection[str] = ()

    def moved_from(self, project: str, containers: Collection[Container]) -> bool:
        """Return whether a project has what the bot deployed for this app before its project got another name."""
        return project not in self.projects and any(one.label(RELEASE_LABEL) in self.once for one in containers)


def second_copies(
    config: ComposeConfig, observed: Observed, names: Collection[str], here: DeployedHere = DeployedHere()
) -> Iterator[ComposeProblem]:
    """Yield a problem for each project that is this app. `names` are the names of the app and its repository.

    If containers of the project itself run here, the deployment continues with them, and nothing counts as a second
    copy.
    """
    if observed.containers:
        return
    for project, containers in sorted(copies_of(config, observed.others, names, here).items()):
        folder = containers[0].label(_WORKING_DIR)
        services = ", ".join(sorted({one.service for one in containers}))
        yield ComposeProblem(
            f"This app runs here already: project {project} has {services}"
            f"{f', started from {folder}' if folder else ''}. A second copy would start beside it.",
            f'Take it over: set compose.project = "{project}" in bot.toml. '
            f"If it is another app, or is no longer needed, stop it first: docker compose -p {project} down",
        )


def copies_of(
    config: ComposeConfig,
    containers: Collection[Container],
    names: Collection[str],
    here: DeployedHere = DeployedHere(),
) -> dict[str, tuple[Container, ...]]:
    """Return the running containers of each other project that is the same app, by the project's name."""
    projects: dict[str, tuple[Container, ...]] = {}
    for one in containers:
        if one.project and one.service and not one.oneoff:
            projects[one.project] = (*projects.get(one.project, ()), one)
    running = {name: tuple(one for one in found if one.state == "running") for name, found in projects.items()}
    return {
        name: found
        for name, found in running.items()
        if found and (_is_same(config, found, projects[name], names) or _has_moved(config, name, found, here))
    }


def _has_moved(config: ComposeConfig, project: str, running: Collection[Container], here: DeployedHere) -> bool:
    """Return whether a project is this app under the name that its app or its project had in bot.toml before."""
    services = {one.service for one in running} & {one.name for one in config.services}
    return bool(services) and here.moved_from(project, running)


def _is_same(
    config: ComposeConfig, running: Collection[Container], everything: Collection[Container], names: Collection[str]
) -> bool:
    """Return whether a project is the same app: it has the same services, and something that is no coincidence.

    Another environment of the app that deploybot runs here is not a copy.
    """
    if any(one.label(RELEASE_LABEL) or one.label(IMAGE_LABEL) for one in running):
        return False
    theirs = {one.service for one in running}
    ours = {one.name for one in config.services if one.replicas}
    if not theirs & ours or not (theirs <= ours or ours <= theirs):
        return False
    return (
        _is_called(running, names)
        or any(_shares(config, one) for one in running)
        or _same_images(config, everything, names)
    )


def _is_called(containers: Collection[Container], names: Collection[str]) -> bool:
    called = {name.lower() for name in names if name}
    folders = {posixpath.basename(one.label(_WORKING_DIR)).lower() for one in containers}
    return bool(called & (folders | {one.project.lower() for one in containers}))


def _shares(config: ComposeConfig, container: Container) -> bool:
    """Return whether a container has the port or the name that its service would have."""
    service = config.of(container.service)
    if service is None:
        return False
    ports = {port.first for port in service.ports if port.first} & {port.port for port in container.ports}
    return bool(ports) or (bool(service.container_name) and service.container_name == container.name)


def _same_images(config: ComposeConfig, containers: Collection[Container], names: Collection[str]) -> bool:
    """Return whether all common services use the same image repositories, at least one of them not generic.

    `postgres` is generic, `ghcr.io/ana/notes` is not. If other images differ, a shared `bitnami/redis` proves nothing.
    If the two have different services, for example because only a part of one is left, an image must have the app's
    name.
    """
    pairs = [(repository_name(one.image), config.of(one.service)) for one in containers]
    known = [(theirs, repository_name(service.image)) for theirs, service in pairs if service is not None]
    if not all(theirs == ours for theirs, ours in known):
        return False
    own = [theirs for theirs, _ in known if not theirs.startswith(_EVERYBODYS)]
    called = {name.lower() for name in names if name}
    is_whole = {one.service for one in containers} == {one.name for one in config.services if one.replicas}
    return bool(own) if is_whole else any(posixpath.basename(theirs).lower() in called for theirs in own)
