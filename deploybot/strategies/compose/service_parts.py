"""The parts of a Compose service, and parsers for their long and short forms."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from deploybot.strategies.compose.compose_reading import Plain, mapping, number, refuse, string, strings, truth

_FORM = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceBuild:
    """How an image is built. `context` is a folder's absolute path or a URL; `form` is a hash of everything else."""

    context: str
    dockerfile: str = ""
    form: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceMount:
    """A mount. `kind` is `bind`, `volume`, `tmpfs` or another of Compose's words.

    `source` is an absolute path or a volume's key, empty if there is none. `creates` is True if Compose lets the Engine
    create a missing path; None if that depends on the version of Compose. `form` is the mount as Compose prints it:
    JSON of a mapping, or 1.29's short form.
    """

    kind: str
    source: str
    target: str
    read_only: bool = False
    creates: bool | None = None
    form: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """A port of a container, and the server ports that may be published for it.

    `first` and `last` are equal for a single port. In a range, the Engine picks a free port. Both are 0 if it may pick
    any. `address` is empty for all addresses.
    """

    target: int
    first: int = 0
    last: int = 0
    protocol: str = "tcp"
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFile:
    """A secret or config that a service uses.

    `kind` is `secrets` or `configs`. `path` is the absolute path of its file, empty if it comes from elsewhere.
    """

    kind: str
    key: str
    target: str
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """A service that must start first. With `restart`, this one restarts whenever that one is recreated."""

    service: str
    condition: str = "service_started"
    restart: bool = False
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeResource:
    """A network or volume of the project. `key` is its key in the Compose file, `name` its name on the Engine."""

    key: str
    name: str
    external: bool = False


def read_mount(value: Plain, where: str) -> ServiceMount:
    """Parse one entry of `volumes`: a mapping, or 1.29's `SOURCE:TARGET:OPTIONS`."""
    if isinstance(value, str):
        return _short_mount(value)
    given = mapping(value, where)
    creates = mapping(given.get("bind"), where).get("create_host_path")
    return ServiceMount(
        kind=string(given.get("type"), where) or "volume",
        source=string(given.get("source"), where),
        target=string(given.get("target"), where),
        read_only=truth(given.get("read_only")),
        creates=None if creates is None else truth(creates),
        form=json.dumps(given, ensure_ascii=False),
    )


def _short_mount(text: str) -> ServiceMount:
    # 1.29 resolves paths and writes all three parts, except for an anonymous volume.
    source, colon, rest = text.partition(":")
    if not colon:
        return ServiceMount(kind="volume", source="", target=source)
    target, _, options = rest.partition(":")
    bind = source.startswith(("/", ".", "~"))
    words = options.split(",")
    return ServiceMount(
        kind="bind" if bind else "volume",
        source=source,
        target=target,
        read_only="ro" in words,
        creates=True if bind else None,
        form=text,
    )


def read_port(value: Plain, where: str) -> ServicePort:
    """Parse one entry of `ports`: a mapping, or 1.29's `ADDRESS:PUBLISHED:TARGET/PROTOCOL`."""
    if isinstance(value, str | int):
        return _short_port(str(value), where)
    given = mapping(value, where)
    first, last = _range(string(given.get("published"), where), where)
    return ServicePort(
        target=number(given.get("target"), where),
        first=first,
        last=last,
        protocol=string(given.get("protocol"), where) or "tcp",
        address=_address(string(given.get("host_ip"), where)),
    )


def _short_port(text: str, where: str) -> ServicePort:
    text, _, protocol = text.partition("/")
    rest, _, target = text.rpartition(":")
    address, _, published = rest.rpartition(":")
    first, last = _range(published, where)
    return ServicePort(
        target=number(target, where),
        first=first,
        last=last,
        protocol=protocol or "tcp",
        address=_address(address),
    )


def _range(text: str, where: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not text:
        return 0, 0
    low = number(first, where)
    high = number(last, where) if dash else low
    if high < low:
        refuse(f"{where} ends before it starts")
    return low, high


def _address(text: str) -> str:
    bare = text.strip("[]")
    return "" if bare in {"0.0.0.0", "::"} else bare  # noqa: S104


def read_dependencies(value: Plain, where: str) -> tuple[Dependency, ...]:
    """Parse `depends_on`: a mapping, or a list of names."""
    if not isinstance(value, dict):
        return tuple(Dependency(service=name) for name in strings(value, where))
    return tuple(_dependency(name, mapping(one, where), where) for name, one in value.items())


def _dependency(name: str, given: dict[str, Plain], where: str) -> Dependency:
    return Dependency(
        service=name,
        condition=string(given.get("condition"), where) or "service_started",
        restart=truth(given.get("restart")),
        required=given.get("required") is not False,
    )


def read_file(kind: str, value: Plain, definitions: dict[str, Plain], where: str) -> ServiceFile:
    """Parse one entry of a service's `secrets` or `configs` (`kind`), with the file from its definition."""
    given = {"source": value} if isinstance(value, str) else mapping(value, where)
    key = string(given.get("source"), where)
    target = string(given.get("target"), where)
    if kind == "secrets" and not target.startswith("/"):
        target = f"/run/secrets/{target or key}"
    path = string(mapping(definitions.get(key), f"{kind}.{key}").get("file"), f"{kind}.{key}.file")
    return ServiceFile(kind=kind, key=key, target=target or f"/{key}", path=path)


def read_build(value: Plain, where: str) -> ServiceBuild | None:
    """Parse `build`: a mapping or only the context; None if nothing is built."""
    if value is None:
        return None
    given = {"context": value} if isinstance(value, str) else mapping(value, where)
    others = {key: one for key, one in given.items() if key != "context"}
    return ServiceBuild(
        context=string(given.get("context"), where),
        dockerfile=string(given.get("dockerfile"), where),
        form=hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()[:_FORM],
    )


def read_shared(service: dict[str, Plain], where: str) -> tuple[str, ...]:
    """Return the services whose network, process or ipc namespace or volumes a service uses."""
    found: list[str] = []
    for key in ("network_mode", "ipc", "pid"):
        word, _, other = string(service.get(key), where).partition(":")
        if word == "service" and other:
            found.append(other)
    for text in strings(service.get("volumes_from"), where):
        name = text.removeprefix("service:")
        if not name.startswith("container:"):
            found.append(name.partition(":")[0])
    return tuple(dict.fromkeys(found))


def read_resources(value: Plain, project: str, where: str) -> tuple[ComposeResource, ...]:
    """Parse the networks or volumes of the project."""
    return tuple(_resource(key, mapping(one, where), project, where) for key, one in mapping(value, where).items())


def _resource(key: str, given: dict[str, Plain], project: str, where: str) -> ComposeResource:
    external = given.get("external")
    outside = mapping(external, where) if isinstance(external, dict) else {}
    is_external = isinstance(external, dict) or truth(external)
    name = string(given.get("name"), where) or string(outside.get("name"), where)
    implied = key if is_external or not project else f"{project}_{key}"
    return ComposeResource(key=key, name=name or implied, external=is_external)
