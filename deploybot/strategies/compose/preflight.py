"""Finds everything that would make `up` fail or lose data, all at once and before anything is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from deploybot.domain import Container, Effect, EffectKind, Observed, PublishedPort
from deploybot.domain.versions import major_minor
from deploybot.strategies.compose.blockers import GONE, ComposeProblem, missing_file
from deploybot.strategies.compose.compose_answers import ConfigAnswers
from deploybot.strategies.compose.compose_model import ComposeConfig, ComposeService, ServicePort
from deploybot.strategies.compose.compose_stderr import blank_variables
from deploybot.strategies.compose.mounted_paths import PathFacts, PathKind, bound_at, sources_of
from deploybot.strategies.compose.project_names import other_projects
from deploybot.strategies.compose.release_record import WORKING_FOLDER
from deploybot.strategies.compose.second_copies import DeployedHere, second_copies
from deploybot.strategies.compose.service_claims import holds, names_of, overlap
from deploybot.strategies.compose.service_effects import UNLESS_BUILT, UNLESS_PULLED
from deploybot.units import show_size
from deploybot.wording import listed

_STAYS = frozenset({EffectKind.KEPT, EffectKind.LEFT, EffectKind.STARTED})
_LAST_THAT_NEVER_CREATES = (2, 26)
_FIRST_WITHOUT_CONFIG = (25, 0)
_NEW_COMPOSE = "Install Compose 2 there: the package docker-compose-plugin (from Docker) or docker-compose-v2 (Ubuntu)."
_LINKED = (
    "It is linked into every release. Or name an existing folder with `shared` in bot.toml, or use a named volume."
)
_UNLESS = frozenset({UNLESS_BUILT, UNLESS_PULLED})
_SHOWN = 5
_OURS = "DEPLOYBOT_"
_LEAST_INODES = 10_000
"""The number of files in one image of ordinary size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What is known before a release is started on a server.

    `version` is Compose's major and minor version. `names` are the names that the app may have elsewhere: its own and
    its repository's. `need_disk` bytes must be free on Docker's disk; 0 if all images are already there. `here` is what
    the bot deploys on the server. `outdated` are containers that are replaced, and that Compose would recreate in the
    folder that they come from, too. `own_folder` is the folder of the Compose files if the server has them itself.
    `kept` is True if what runs is restored from a copy of its configuration. `unnamed` is the project's name then, if
    bot.toml gives it none.
    """

    config: ComposeConfig
    observed: Observed
    facts: PathFacts
    effects: tuple[Effect, ...]
    answers: ConfigAnswers
    version: tuple[int, int]
    names: Collection[str] = ()
    need_disk: int = 0
    here: DeployedHere = field(default_factory=DeployedHere)
    outdated: Collection[Container] = ()
    own_folder: str = ""
    kept: bool = False
    unnamed: str = ""

    def kind_of(self, service: str) -> EffectKind | None:
        """Return the effect on a service of this project; None if it is unknown."""
        return next((one.kind for one in self.effects if one.service == service), None)

    def is_ours(self, container: Container) -> bool:
        """Return whether a container belongs to this project."""
        return container in self.observed.containers

    @property
    def shared(self) -> str:
        """The folder for files that no release brings."""
        return self.own_folder or f"{self.facts.directory}/shared"

    def named(self, path: str) -> str:
        """Return a path relative to the release's folder if it is inside."""
        for folder in self.facts.folders:
            if path.startswith(f"{folder}/"):
                return path.removeprefix(f"{folder}/")
        return path


def problems_of(known: Preflight) -> tuple[ComposeProblem, ...]:
    """Return all problems, blocking ones first. Empty if nothing is known to go wrong."""
    found = dict.fromkeys(
        (
            *second_copies(known.config, known.observed, known.names, known.here),
            *_other_projects(known),
            *_files(known),
            *_mounts(known),
            *_lost(known),
            *_orphaned(known),
            *_names(known),
            *_ports(known),
            *_outside(known),
            *_blank(known),
            *_outdated(known),
            *_provided(known),
            *_too_old(known),
            *_room(known),
        )
    )
    return tuple(sorted(found, key=lambda one: one.warning))


def _other_projects(known: Preflight) -> Iterator[ComposeProblem]:
    if known.own_folder and known.unnamed:
        where = known.own_folder, known.unnamed
        yield from other_projects(known.config, known.observed, known.answers, *where, known=known.here.projects)


def _files(known: Preflight) -> Iterator[ComposeProblem]:
    for service in known.config.services:
        for file in service.files:
            fact = known.facts.of(file.path)
            if fact and fact.kind in GONE:
                word = file.kind.removesuffix("s")
                yield missing_file(f"The {word} {file.key} of {service.name}", file.path, known.facts)


def _mounts(known: Preflight) -> Iterator[ComposeProblem]:
    for service in known.config.services:
        for mount in service.mounts:
            fact = known.facts.of(mount.source) if mount.kind == "bind" else None
            if fact is None or fact.real == known.facts.release.real:
                continue
            name = known.named(mount.source)
            if not known.facts.within(mount.source):
                if fact.kind in GONE and _never_created(mount.creates, known.version):
                    yield ComposeProblem(
                        f"{service.name} mounts {mount.source}, which is not on the server.",
                        f"Create it there, or set `create_host_path: true` in the Compose file: {mount.source}",
                    )
            elif not known.facts.within(fact.real):
                if fact.kind in GONE:
                    yield ComposeProblem(
                        f"{service.name} mounts ./{name}, which points to {fact.real}, but that does not exist.",
                        f"Create {fact.real} on the server.",
                    )
            elif fact.kind in GONE or fact.kind is PathKind.HOLLOW:
                yield ComposeProblem(
                    f"{service.name} mounts ./{name}, which is not in the repository: "
                    "each release would start with its own empty one.",
                    f"Create {known.shared}/{name}. {_LINKED}",
                )


def _never_created(creates: bool | None, version: tuple[int, int]) -> bool:  # noqa: FBT001 - as in the model
    if creates is None:
        return version <= _LAST_THAT_NEVER_CREATES
    return not creates


def _lost(known: Preflight) -> Iterator[ComposeProblem]:
    """Yield files in current mounts that the containers would no longer see."""
    for service in known.config.services:
        if known.kind_of(service.name) in _STAYS:
            continue
        for container in known.observed.services.get(service.name, ()):
            for source, target in sources_of(service):
                now = bound_at(container, target)
                files = [one for one in known.facts.lost if one.mounted == now and now != known.facts.stable(source)]
                if files:
                    names = [f"{one.name or one.path}{' (changed there)' if one.changed else ''}" for one in files]
                    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
                    name = known.named(source)
                    fix = f"Move {name} to {known.shared}/{name}. {_LINKED}"
                    if known.own_folder:
                        fix = f"Copy them to {source} on the server, or mount {now} in the Compose file."
                    yield ComposeProblem(
                        f"{service.name} mounts {now} now. These files exist only there and "
                        f"would be lost: {', '.join(names[:_SHOWN])}{more}.",
                        fix,
                    )


def _orphaned(known: Preflight) -> Iterator[ComposeProblem]:
    """Yield anonymous volumes of removed services: a restore cannot find them."""
    for service, containers in known.observed.services.items():
        volumes = {mount.source: None for one in containers for mount in one.mounts if mount.is_anonymous}
        if volumes and known.kind_of(service) is EffectKind.REMOVED:
            yield ComposeProblem(
                f"{service} is removed and keeps data in an anonymous volume. A restored {service} would have a new, "
                "empty one.",
                f"The data stays on the server until unused volumes are deleted: {', '.join(volumes)}",
                warning=True,
            )


def _whose(container: Container) -> str:
    if container.project:
        return f"the service {container.service} of the project {container.project}"
    return f"the container {container.name}"


def _names(known: Preflight) -> Iterator[ComposeProblem]:
    everything = (*known.observed.containers, *known.observed.others)
    for service in known.config.services:
        if service.container_name and service.replicas > 1:
            yield ComposeProblem(
                f"{service.name} has {service.replicas} replicas, which cannot share one container_name.",
                "Remove container_name from the Compose file.",
            )
        for name in names_of(service, known.observed.project or known.config.name, known.version[0]):
            for one in everything:
                mine = known.is_ours(one) and (one.service == service.name or known.kind_of(one.service) not in _STAYS)
                if one.name == name and not mine:
                    yield ComposeProblem(
                        f"{service.name} needs the container name {name}, which {_whose(one)} already uses.",
                        f"Change container_name in the Compose file, or remove that one: docker rm -f {one.name}",
                    )


def _ports(known: Preflight) -> Iterator[ComposeProblem]:
    claimed: list[tuple[ServicePort, str]] = []
    for service in known.config.services:
        for port in service.ports:
            if not port.first or not service.replicas:
                continue
            yield from _port(service, port, known)
            other = next((name for one, name in claimed if _same(one, port)), "")
            if other:
                yield ComposeProblem(
                    f"{service.name} and {other} both publish port {port.first}.", "Change one in the Compose file."
                )
            claimed.append((port, service.name))


def _port(service: ComposeService, port: ServicePort, known: Preflight) -> Iterator[ComposeProblem]:
    if port.last - port.first + 1 < service.replicas:
        yield ComposeProblem(
            f"{service.name} has {service.replicas} replicas, which cannot all publish port {port.first}.",
            "Publish a range of ports, or only the container's port.",
        )
        return
    if program := _program_on(service, port, known):
        yield ComposeProblem(
            f"{service.name} publishes port {port.first}/{port.protocol}, "
            "which a program outside of Docker already uses on the server.",
            f"Change the port in the Compose file, or stop the program: sudo ss -lntup 'sport = :{program.port}'",
        )
    takers = [_taker(number, port, service, known) for number in range(port.first, port.last + 1)]
    if all(takers) and takers[0]:
        shown = str(port.first) if port.first == port.last else f"{port.first}-{port.last}"
        yield ComposeProblem(
            f"{service.name} publishes port {shown}/{port.protocol}, which {_whose(takers[0])} already uses.",
            f"Change the port in the Compose file, or stop that one: docker stop {takers[0].name}",
        )


def _taker(number: int, port: ServicePort, service: ComposeService, known: Preflight) -> Container | None:
    for one in (*known.observed.containers, *known.observed.others):
        leaves = known.is_ours(one) and (one.service == service.name or known.kind_of(one.service) not in _STAYS)
        if one.state != "running" or leaves:
            continue
        if any(holds(held, number, port) for held in one.ports):
            return one
    return None


def _program_on(service: ComposeService, port: ServicePort, known: Preflight) -> PublishedPort | None:
    """Return a port that a program outside Docker uses, for a single port. In a range, Docker finds a free one."""
    containers = (*known.observed.containers, *known.observed.others)
    goes = any(one.host_network and known.is_ours(one) for one in containers)
    if port.first != port.last or goes or known.kind_of(service.name) in _STAYS:
        return None
    held = [one for one in known.observed.facts.listening if holds(one, port.first, port)]
    published = any(holds(one, port.first, port) for container in containers for one in container.ports)
    return held[0] if held and not published else None


def _same(one: ServicePort, other: ServicePort) -> bool:
    is_single = one.first == one.last == other.first == other.last
    return is_single and one.protocol == other.protocol and overlap(one.address, other.address)


def _outside(known: Preflight) -> Iterator[ComposeProblem]:
    """Yield external networks and volumes that do not exist."""
    networks: Mapping[str, Collection[str]] = {one.name: one.networks for one in known.config.services}
    volumes: Mapping[str, Collection[str]] = {
        one.name: [mount.source for mount in one.mounts if mount.kind == "volume"] for one in known.config.services
    }
    for word, wanted, there, used in (
        ("network", known.config.networks, known.observed.networks, networks),
        ("volume", known.config.volumes, known.observed.volumes, volumes),
    ):
        for one in wanted:
            users = [service for service, keys in used.items() if one.key in keys]
            if one.external and users and one.name not in there:
                yield ComposeProblem(
                    f"{', '.join(users)} needs the {word} {one.name}, which is not on the server.",
                    f"Create it there: docker {word} create {one.name}",
                )


def _blank(known: Preflight) -> Iterator[ComposeProblem]:
    """Yield variables without a value. If they are blank in what runs now, too, it is only a warning.

    What runs may have been started with variables of a shell, which are in no file.
    """
    others = {one.label(WORKING_FOLDER) for one in known.outdated}
    running = [one for one in known.answers.running if one.folder not in others]
    before = {name for one in running for name in blank_variables(one.errors)}
    names = blank_variables(known.answers.release.errors)
    for is_old in (False, True):
        some = [name for name in names if (name in before) == is_old]
        if some:
            verb = "is" if len(some) == 1 else "are"
            yield ComposeProblem(
                f"The Compose files use {', '.join(some)}, which {verb} not set and would be blank.",
                f"{_where_to_set(known, some)} If blank is right, write ${{{some[0]}:-}} in the Compose file.",
                warning=is_old,
            )


def _where_to_set(known: Preflight, names: Sequence[str]) -> str:
    """Return what to do about variables that are not set. Without a repository there are none of a release."""
    if known.own_folder and all(name.startswith(_OURS) for name in names):
        return "An app without a repository has no variables that name its release: take them out."
    them = "it" if len(names) == 1 else "them"
    return f"Set {them} in {known.shared}/.env, or as `env` or `secrets` in bot.toml."


def _outdated(known: Preflight) -> Iterator[ComposeProblem]:
    """Yield what would be restored with other settings than it has."""
    folders: dict[str, list[str]] = {}
    for one in () if known.kept else known.outdated:
        folders.setdefault(one.label(WORKING_FOLDER), []).append(one.service)
    for folder, services in folders.items():
        files = listed(dict.fromkeys((f"{folder}/.env", f"{known.shared}/.env")))
        yield ComposeProblem(
            f"`docker compose up` in {folder} would recreate {', '.join(dict.fromkeys(services))}, too: "
            "the variables, the files or Compose changed since the start.",
            "If the release fails, what Compose reads there now is restored. "
            f"Put variables of a shell into {files} first.",
            warning=True,
        )


def _provided(known: Preflight) -> Iterator[ComposeProblem]:
    for service in known.config.services:
        if service.provided:
            yield ComposeProblem(
                f"{service.name} has a `provider` instead of an image, which deploybot does not run.",
                "Remove it from the Compose file, or start it by hand and exclude it with a profile.",
            )


def _too_old(known: Preflight) -> Iterator[ComposeProblem]:
    """Yield containers that docker-compose 1.29 cannot recreate: it removes the old one, and fails (KeyError).

    It needs the `ContainerConfig` of a container's image, which Docker leaves out of most images since 25. Those of the
    new images are not known yet: the first deployment may succeed, and its restore or the next one fail.
    """
    if known.version[0] != 1:
        return
    lacking = {one.id for one in known.observed.images if not one.has_container_config}
    replaced = {one.service for one in known.effects if one.kind is EffectKind.RECREATED or one.why in _UNLESS}
    stuck = [
        name
        for name, containers in known.observed.services.items()
        if name in replaced and any(one.image_id in lacking for one in containers)
    ]
    docker = known.observed.engine.version if known.observed.engine else ""
    if stuck:
        yield ComposeProblem(
            f"This docker-compose cannot recreate {', '.join(stuck)}: it is too old for the Docker on the server, and "
            "would stop there with KeyError: 'ContainerConfig'.",
            f"{_NEW_COMPOSE} deploybot uses it as soon as `docker compose version` works.",
        )
    elif (major_minor(docker) or (0, 0)) >= _FIRST_WITHOUT_CONFIG:
        yield ComposeProblem(
            f"This docker-compose is too old for Docker {docker}: it often cannot recreate a container, so the release "
            "may not be restored.",
            _NEW_COMPOSE,
            warning=True,
        )


def _room(known: Preflight) -> Iterator[ComposeProblem]:
    """Yield a lack of space for images on Docker's disk, which may differ from the disk of the releases."""
    facts = known.observed.facts
    if not known.need_disk:
        return
    where, advice = facts.docker_root or "Docker's disk", "Free some there: docker system df, docker image prune -a"
    if 0 <= facts.docker_free < known.need_disk:
        need = show_size(known.need_disk)
        yield ComposeProblem(
            f"Docker is low on disk space: {show_size(facts.docker_free)} free in {where}, {need} needed.",
            f"{advice}. Or lower need_disk in bot.toml.",
        )
    if 0 <= facts.docker_inodes < _LEAST_INODES:
        yield ComposeProblem(
            f"Docker is low on inodes: it can create only {facts.docker_inodes} more files in {where}.",
            f"{advice}.",
        )
