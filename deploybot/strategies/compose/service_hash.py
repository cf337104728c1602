"""One hash of all settings of a service. The same settings in another folder give the same hash.

Compose versions print the same settings differently, but should give the same hash. So default values are not hashed.
Neither are build settings, the number of containers, and their order.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

from deploybot.strategies.compose.compose_reading import Plain, mapping, sequence, string, strings
from deploybot.strategies.compose.service_parts import ServiceMount, ServicePort, read_file

OURS = "deploybot."
"""The prefix of deploybot's labels."""
_LEFT_OUT = frozenset(
    {
        *("image", "build", "pull_policy", "scale", "profiles", "depends_on", "develop", "env_file", "label_file"),
        *("labels", "networks", "ports", "volumes", "secrets", "configs", "environment", "deploy", "extends"),
    }
)
_OF_A_MOUNT = ("type", "source", "target", "read_only", "consistency")


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedParts:
    """The parts of a service that are hashed as they were read, not as they are written."""

    networks: tuple[str, ...]
    ports: tuple[ServicePort, ...]
    mounts: tuple[ServiceMount, ...]


def base_hash(
    service: Mapping[str, Plain],
    parts: HashedParts,
    top: Mapping[str, Plain],
    project: str,
    folders: Collection[str],
) -> str:
    """Hash a service of a configuration (`top`), without the sources of its mounts, secrets and configs."""
    value = {
        **{key: _tidy(one) for key, one in service.items() if key not in _LEFT_OUT and not key.startswith("x-")},
        "deploy": _tidy(_without_replicas(service.get("deploy"))),
        "environment": _pairs(service.get("environment"), "environment"),
        "labels": {
            key: one for key, one in _pairs(service.get("labels"), "labels").items() if not key.startswith(OURS)
        },
        "networks": _networks(service, parts.networks, top, project),
        "ports": sorted(json.dumps(asdict(one), sort_keys=True) for one in parts.ports),
        # docker-compose 1.29 prints them in another order if there is an override.
        "volumes": sorted((_mount(one, top, project) for one in parts.mounts), key=json.dumps),
        **{kind: [_file(kind, one, top, project) for one in sequence(service.get(kind), kind)] for kind in _FILES},
    }
    bare = {key: one for key, one in value.items() if one not in (None, {}, [])}
    return digest(_moved(json.dumps(bare, sort_keys=True, ensure_ascii=False), folders))


_FILES = ("secrets", "configs")


def digest(text: str) -> str:
    """Return the SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _moved(text: str, folders: Collection[str]) -> str:
    """Replace the release's folder with `.`, its longest path first."""
    for folder in sorted(filter(None, folders), key=len, reverse=True):
        written = json.dumps(folder.rstrip("/"), ensure_ascii=False)[1:-1]
        text = re.sub(re.escape(written) + r"(?![\w.-])", ".", text)
    return text


def _tidy(value: Plain) -> Plain:
    """Remove unset values at every level of mappings."""
    if not isinstance(value, dict):
        return value
    tidied = {key: _tidy(one) for key, one in value.items()}
    return {key: one for key, one in tidied.items() if one is not None and one != {}}


def _without_replicas(deploy: Plain) -> Plain:
    if not isinstance(deploy, dict):
        return None
    return {key: one for key, one in deploy.items() if key != "replicas"}


def _pairs(value: Plain, where: str) -> dict[str, Plain]:
    """Return a mapping that may be given as a list of `NAME=VALUE`."""
    if not isinstance(value, list):
        return mapping(value, where)
    split = [text.partition("=") for text in strings(value, where)]
    return {name: rest if equals else None for name, equals, rest in split}


def _definition(kind: str, key: str, top: Mapping[str, Plain], project: str) -> Plain:
    """Return the definition of a network, volume, secret or config, without its file and a generated name."""
    given = dict(mapping(mapping(top.get(kind), kind).get(key), f"{kind}.{key}"))
    given.pop("file", None)
    if given.get("name") in {f"{project}_{key}", key}:
        del given["name"]
    return _tidy(given)


def _networks(service: Mapping[str, Plain], names: Collection[str], top: Mapping[str, Plain], project: str) -> Plain:
    if service.get("network_mode"):
        return {}
    value = service.get("networks")
    given = value if isinstance(value, dict) else {}
    return {
        key: {"here": _tidy(given.get(key)), "defined": _definition("networks", key, top, project)}
        for key in names or ("default",)
    }


def _mount(mount: ServiceMount, top: Mapping[str, Plain], project: str) -> Plain:
    named: Plain = None
    if mount.kind == "volume" and mount.source:
        named = {"key": mount.source, "defined": _definition("volumes", mount.source, top, project)}
    return [mount.kind, mount.target, mount.read_only, named, _options(mount.form)]


def _options(form: str) -> Plain:
    if not form.startswith("{"):
        words = {*",".join(form.split(":")[2:]).split(",")}
        return [word for word in sorted(words) if word not in {"ro", "rw", ""}]
    value: dict[str, Plain] = json.loads(form)
    rest = {key: one for key, one in value.items() if key not in _OF_A_MOUNT}
    bind = rest.get("bind")
    if isinstance(bind, dict):
        # The default differs between versions, and it is not a setting of a container.
        rest["bind"] = {key: one for key, one in bind.items() if key != "create_host_path"}
    return _tidy(rest)


def _file(kind: str, value: Plain, top: Mapping[str, Plain], project: str) -> Plain:
    file = read_file(kind, value, mapping(top.get(kind), kind), kind)
    given = value if isinstance(value, dict) else {}
    mode = string(given.get("mode"), f"{kind}.mode")
    octal = isinstance(given.get("mode"), str) and re.fullmatch(r"0[0-7]{1,6}", mode)
    return [
        *(file.key, file.target, str(int(mode, 8)) if octal else mode),
        *(string(given.get("uid"), kind), string(given.get("gid"), kind)),
        _definition(kind, file.key, top, project),
    ]
