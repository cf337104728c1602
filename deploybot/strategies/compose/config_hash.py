"""Computes the label `com.docker.compose.config-hash` of Compose 2 and later from the output of `config`.

`docker compose config --hash` is not enough. Compose 2.26 ignores values from `env_file` there. No version knows the
container ids that `up` puts in place of `service:NAME`. Compose 1.29 prints exactly the label's value.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence

from deploybot.strategies.compose.compose_reading import Plain, load, mapping, strings

_LEFT_OUT = frozenset({"build", "pull_policy", "scale"})
_NOT_ALWAYS = ("depends_on", "develop", "profiles")
_FORMS = [{*some} for count in range(len(_NOT_ALWAYS) + 1) for some in itertools.combinations(_NOT_ALWAYS, count)]
_NAMESPACES = ("network_mode", "pid", "ipc")
# Escapes of Go's json.Marshal.
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def compose_hashes(text: str, containers: Mapping[str, Sequence[str]]) -> dict[str, frozenset[str]]:
    """Return the hashes that each service's containers may have, for a JSON configuration; empty for YAML.

    Versions differ in the order of keys, and in whether `depends_on`, `develop` and `profiles` count. `containers` are
    the ids of each service's containers. Raises ComposeUnreadable if the text cannot be read.
    """
    top, is_json = load(text)
    if not is_json:
        return {}
    services = mapping(top.get("services"), "services")
    return {name: frozenset(_hashes(mapping(one, name), containers)) for name, one in services.items()}


def _hashes(service: dict[str, Plain], containers: Mapping[str, Sequence[str]]) -> Iterator[str]:
    kept = _resolved({key: one for key, one in service.items() if key not in _LEFT_OUT}, containers)
    for left_out in _FORMS:
        form = {key: one for key, one in kept.items() if key not in left_out}
        for ordered in (form, dict(sorted(form.items()))):
            yield hashlib.sha256(_written(ordered).encode()).hexdigest()


def _resolved(service: dict[str, Plain], containers: Mapping[str, Sequence[str]]) -> dict[str, Plain]:
    """Return a service with the changes that `up` makes before it computes the hash."""
    deploy = service.get("deploy")
    if isinstance(deploy, dict):
        service["deploy"] = {key: one for key, one in deploy.items() if key != "replicas"}
    for key in _NAMESPACES:
        word, _, other = str(service.get(key)).partition(":")
        if word == "service" and containers.get(other):
            service[key] = f"container:{containers[other][0]}"
    if "volumes_from" in service:
        used = strings(service["volumes_from"], "volumes_from")
        service["volumes_from"] = [one for text in used for one in _volumes(text, containers)]
    return service


def _volumes(text: str, containers: Mapping[str, Sequence[str]]) -> Sequence[str]:
    if text.startswith("container:"):
        return [text.removeprefix("container:")]
    name = text.partition(":")[0]
    return containers.get(name, (name,))


def _written(value: Plain) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character, escaped in _ESCAPED.items():
        text = text.replace(character, escaped)
    return text
