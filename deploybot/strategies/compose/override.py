"""The Compose file of ours that comes last: exact images, labels, and mounts by stable paths. JSON, which is YAML.

It merges alike in docker-compose 1.29, Compose 2 and 5: images and labels replace, volumes replace by their target.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from deploybot.domain import Manifest
from deploybot.strategies.compose.images import tag_of
from deploybot.strategies.compose.model import ComposeConfig, ComposeService, ServiceMount
from deploybot.strategies.compose.paths import PathFacts
from deploybot.strategies.compose.settings import IMAGE_LABEL, RELEASE_LABEL, SETTINGS_LABEL


def override_text(
    config: ComposeConfig,
    manifest: Manifest,
    facts: PathFacts | None,
    *,
    below: str,
    since: Mapping[str, str],
    never_pull: bool,
) -> str:
    """Write the override of a release.

    `since` is, by service, the release with which its image came. `facts` is None where mounts stay as they are.
    `never_pull`: tags of ours are in no registry; docker-compose 1.29 does not know the key.
    """
    services: dict[str, object] = {}
    for one in manifest.services:
        service = config.of(one.service)
        found: dict[str, object] = {
            "image": tag_of(below, one.service, one.image),
            "labels": {
                RELEASE_LABEL: since.get(one.service, ""),
                IMAGE_LABEL: one.digest or one.image,
                **({SETTINGS_LABEL: one.settings} if one.settings else {}),
            },
        }
        if never_pull:
            found["pull_policy"] = "never"
        if facts is not None and service is not None and (volumes := list(_volumes(service, facts))):
            found["volumes"] = volumes
        services[one.service] = found
    top = {"services": services, **(_files(config, facts) if facts is not None else {})}
    return json.dumps(_escaped(top), indent=1, sort_keys=True)


def images_override(images: Sequence[tuple[str, str]], *, never_pull: bool) -> str:
    """Write an override that sets nothing but images: for what ran before the bot came. Pairs of service and name."""
    more = {"pull_policy": "never"} if never_pull else {}
    return json.dumps(_escaped({"services": {service: {"image": name, **more} for service, name in images}}))


def names_text(names: Sequence[tuple[str, str]]) -> str:
    """Write a Compose file that names the images of services; empty for none."""
    return json.dumps({"services": {service: {"image": name} for service, name in names}}) if names else ""


def content_of(config: ComposeConfig, facts: PathFacts) -> Iterator[tuple[str, str]]:
    """Give what has to be copied to a path by its hash: pairs of hash and path in the release."""
    done: set[str] = set()
    for service in config.services:
        paths = [mount.source for mount in service.mounts if mount.kind == "bind"]
        for path in (*paths, *(file.path for file in service.files)):
            fact = facts.of(path)
            if fact is None or not facts.is_shipped(path) or facts.stable(path) == path or fact.digest in done:
                continue
            done.add(fact.digest)
            yield fact.digest, fact.real


def _volumes(service: ComposeService, facts: PathFacts) -> Iterator[object]:
    for mount in service.mounts:
        if mount.kind == "bind" and (path := facts.stable(mount.source)) != mount.source:
            yield _mount(mount, path)


def _mount(mount: ServiceMount, path: str) -> object:
    words = ["ro" if mount.read_only else "rw", *mount.options]
    if ":" not in path + mount.target:
        return f"{path}:{mount.target}:{','.join(words)}"
    return {"type": "bind", "source": path, "target": mount.target, "read_only": mount.read_only}


def _files(config: ComposeConfig, facts: PathFacts) -> dict[str, object]:
    found: dict[str, dict[str, object]] = {}
    for service in config.services:
        for file in service.files:
            if file.path and (path := facts.stable(file.path)) != file.path:
                found.setdefault(file.kind, {})[file.key] = {"file": path}
    return dict(found)


def _escaped(value: object) -> object:
    """Write a dollar sign as `$$`, so that Compose replaces nothing."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _escaped(one) for key, one in value.items()}
    return [_escaped(one) for one in value] if isinstance(value, list) else value
