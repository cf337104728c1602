"""The resolved Compose configuration as data: the output of `docker compose config`, typed and frozen.

Environment values, commands, labels and definitions are not stored, only a hash of them (`ComposeService.base`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from deploybot.strategies.compose.compose_reading import (
    ComposeUnreadable,
    Plain,
    load,
    mapping,
    number,
    refuse,
    sequence,
    string,
    strings,
)
from deploybot.strategies.compose.service_hash import HashedParts, base_hash
from deploybot.strategies.compose.service_parts import (
    ComposeResource,
    Dependency,
    ServiceBuild,
    ServiceFile,
    ServiceMount,
    ServicePort,
    read_build,
    read_dependencies,
    read_file,
    read_mount,
    read_port,
    read_resources,
    read_shared,
)

__all__ = [
    "ComposeConfig",
    "ComposeResource",
    "ComposeService",
    "ComposeUnreadable",
    "Dependency",
    "ServiceBuild",
    "ServiceFile",
    "ServiceMount",
    "ServicePort",
    "parse_config",
]

_MOST_REPLICAS = 10_000
_RESTART_CONDITIONS = {"none": "no", "on-failure": "on-failure", "any": "always"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeService:
    """A service that would run.

    `shares` are services whose namespaces or volumes it uses. `restart` is `no`, `always`, `on-failure` or
    `unless-stopped`. `networks` are keys of the project's networks. `base` is the SHA-256 (hex) of its settings. It
    leaves out images, replicas and order, which other fields have, and the sources of mounts and files. `provided` is
    True for a service that Compose 5 passes to another program.
    """

    name: str
    image: str = ""
    build: ServiceBuild | None = None
    pull_policy: str = ""
    replicas: int = 1
    container_name: str = ""
    profiles: tuple[str, ...] = ()
    restart: str = "no"
    healthcheck: bool = False
    network_mode: str = ""
    networks: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    mounts: tuple[ServiceMount, ...] = ()
    files: tuple[ServiceFile, ...] = ()
    provided: bool = False
    base: str = ""

    @property
    def is_built(self) -> bool:
        """True if Compose can build its image."""
        return self.build is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeConfig:
    """A project: its active services, sorted by name.

    `name` is empty if Compose does not print it, `version` is empty if the files have no relevant one.
    """

    name: str = ""
    version: str = ""
    services: tuple[ComposeService, ...] = ()
    networks: tuple[ComposeResource, ...] = ()
    volumes: tuple[ComposeResource, ...] = ()

    def of(self, service: str) -> ComposeService | None:
        """Return the service with that name; None if there is none."""
        return next((one for one in self.services if one.name == service), None)

    @property
    def jobs(self) -> frozenset[str]:
        """The services that others depend on to complete successfully."""
        return frozenset(
            one.service
            for service in self.services
            for one in service.depends_on
            if one.condition == "service_completed_successfully"
        )


def parse_config(
    text: str, *, profiles: Sequence[str] = (), project: str = "", folders: Collection[str] = ()
) -> ComposeConfig:
    """Parse the output of `docker compose config --format json`, or the YAML of docker-compose 1.29.

    1.29 prints the services of all profiles; those that `profiles` does not activate are left out. `project` is the
    project's name for 1.29, which does not print it. `folders` are the absolute paths of the release's folder, as given
    and with links resolved. They do not affect `base`. Raises only ComposeUnreadable.
    """
    top, is_json = load(text)
    name = string(top.get("name"), "name") or project
    active = None if is_json else frozenset(profiles)
    # docker-compose 1.29 prints configs but does not mount them.
    kinds = ("secrets", "configs") if is_json else ("secrets",)
    source = _ResolvedProject(top=top, project=name, folders=tuple(folders), kinds=kinds)
    services = [
        _service(key, mapping(one, f"services.{key}"), source)
        for key, one in sorted(mapping(top.get("services"), "services").items())
    ]
    return ComposeConfig(
        name=name,
        version=string(top.get("version"), "version"),
        services=tuple(one for one in services if active is None or not one.profiles or active & {*one.profiles}),
        networks=read_resources(top.get("networks"), name, "networks"),
        volumes=read_resources(top.get("volumes"), name, "volumes"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ResolvedProject:
    """The source that services are read from. `kinds` are the kinds of files that Compose mounts."""

    top: Mapping[str, Plain]
    project: str
    folders: tuple[str, ...]
    kinds: tuple[str, ...]


def _service(name: str, given: dict[str, Plain], source: _ResolvedProject) -> ComposeService:
    where = f"services.{name}"
    if not name or any(one.isspace() or not one.isprintable() for one in name):
        refuse("a service has no name that can be printed")
    files = tuple(
        read_file(kind, one, mapping(source.top.get(kind), kind), f"{where}.{kind}")
        for kind in source.kinds
        for one in sequence(given.get(kind), f"{where}.{kind}")
    )
    parts = HashedParts(
        networks=_networks(given, where),
        ports=tuple(read_port(one, f"{where}.ports") for one in sequence(given.get("ports"), f"{where}.ports")),
        mounts=tuple(read_mount(one, f"{where}.volumes") for one in sequence(given.get("volumes"), f"{where}.volumes")),
    )
    return ComposeService(
        name=name,
        image=string(given.get("image"), f"{where}.image"),
        build=read_build(given.get("build"), f"{where}.build"),
        pull_policy=string(given.get("pull_policy"), f"{where}.pull_policy"),
        replicas=_replicas(given, where),
        container_name=string(given.get("container_name"), f"{where}.container_name"),
        profiles=tuple(strings(given.get("profiles"), f"{where}.profiles")),
        restart=_restart(given, where),
        healthcheck=_healthcheck(given, where),
        network_mode=string(given.get("network_mode"), f"{where}.network_mode"),
        networks=parts.networks,
        shares=read_shared(given, where),
        depends_on=read_dependencies(given.get("depends_on"), f"{where}.depends_on"),
        ports=parts.ports,
        mounts=parts.mounts,
        files=files,
        provided="provider" in given,
        base=base_hash(given, parts, source.top, source.project, source.folders),
    )


def _replicas(given: Mapping[str, Plain], where: str) -> int:
    deploy = mapping(given.get("deploy"), f"{where}.deploy")
    for value in (deploy.get("replicas"), given.get("scale")):
        if value is not None:
            return number(value, f"{where}.replicas", _MOST_REPLICAS)
    return 1


def _restart(given: Mapping[str, Plain], where: str) -> str:
    word = given.get("restart")
    if word is False:
        return "no"
    if word is not None:
        return string(word, f"{where}.restart").partition(":")[0] or "no"
    deploy = mapping(given.get("deploy"), f"{where}.deploy")
    policy = mapping(deploy.get("restart_policy"), f"{where}.deploy.restart_policy")
    return _RESTART_CONDITIONS.get(string(policy.get("condition"), where), "always" if policy else "no")


def _healthcheck(given: Mapping[str, Plain], where: str) -> bool:
    check = mapping(given.get("healthcheck"), f"{where}.healthcheck")
    test = check.get("test")
    is_off = check.get("disable") is True or (isinstance(test, list) and test[:1] == ["NONE"]) or test == "NONE"
    return bool(check) and not is_off


def _networks(given: Mapping[str, Plain], where: str) -> tuple[str, ...]:
    value = given.get("networks")
    if value is None:
        return () if given.get("network_mode") else ("default",)
    return tuple(value) if isinstance(value, dict) else tuple(strings(value, f"{where}.networks"))
