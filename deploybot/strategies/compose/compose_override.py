"""The override file that Compose gets in addition to a release's own files. It is JSON, which is valid YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping

from deploybot.domain import Manifest
from deploybot.errors import UserError
from deploybot.strategies.compose.compose_model import ComposeConfig, ComposeService, ServiceMount
from deploybot.strategies.compose.compose_reading import Plain
from deploybot.strategies.compose.mounted_paths import PathFacts
from deploybot.strategies.compose.settings_label import IMAGE_LABEL, RELEASE_LABEL, SETTINGS_LABEL, settings_of


def override_of(
    config: ComposeConfig,
    *,
    manifest: Manifest,
    tags: Mapping[str, str],
    facts: PathFacts,
    release: str,
    major: int,
) -> str:
    """Return the override of a release: deploybot's image tag, labels and stable mounts per service of `manifest`.

    `release` is the release's id, `major` is Compose's major version. Version 1 has no `pull_policy: never`, but does
    not pull if it finds the tag.
    """
    check_services(config, manifest)
    services: dict[str, dict[str, Plain]] = {}
    for one in manifest.services:
        service = config.of(one.service)
        if service is None or one.service not in tags:
            continue
        given: dict[str, Plain] = {"image": tags[one.service]}
        if major > 1:
            given["pull_policy"] = "never"
        given["labels"] = {
            RELEASE_LABEL: release,
            IMAGE_LABEL: one.digest or one.image,
            SETTINGS_LABEL: settings_of(service, facts),
        }
        volumes = _volumes(service, facts)
        if volumes:
            given["volumes"] = volumes
        services[one.service] = given
    return write_override(services, version=config.version, files=_files(config, facts))


def missing_services(config: ComposeConfig, manifest: Manifest) -> tuple[str, ...]:
    """Return the services of a record that the configuration lacks."""
    return tuple(one.service for one in manifest.services if config.of(one.service) is None)


def check_services(config: ComposeConfig, manifest: Manifest) -> None:
    """Raise UserError if the configuration lacks services of a record: Compose would run them with other images."""
    if missing := missing_services(config, manifest):
        raise UserError(
            f"The release ran {', '.join(missing)}, which its Compose files do not have with the current profiles.",
            hint="Set the profiles as they were then: compose.profiles in bot.toml, or COMPOSE_PROFILES on the server.",
        )


def write_override(
    services: Mapping[str, Mapping[str, Plain]],
    *,
    version: str = "",
    files: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """Return an override file. docker-compose 1.29 needs the same `version` as in the files that it is merged with."""
    value: dict[str, object] = {"version": version} if version else {}
    value["services"] = services
    for kind, paths in (files or {}).items():
        value[kind] = {key: {"file": path} for key, path in paths.items()}
    return json.dumps(_escaped(value), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _volumes(service: ComposeService, facts: PathFacts) -> list[Plain]:
    """Return the complete mounts whose source changes: Compose replaces mounts with the same target as a whole."""
    return [_moved(one, facts.stable(one.source)) for one in service.mounts if _moves(one, facts)]


def _moves(mount: ServiceMount, facts: PathFacts) -> bool:
    return mount.kind == "bind" and facts.stable(mount.source) != mount.source


def _moved(mount: ServiceMount, source: str) -> Plain:
    if not mount.form.startswith("{"):
        return source + mount.form.removeprefix(mount.source)
    form: dict[str, Plain] = json.loads(mount.form)
    return {**form, "source": source}


def _files(config: ComposeConfig, facts: PathFacts) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for service in config.services:
        for file in service.files:
            if file.path and facts.stable(file.path) != file.path:
                found.setdefault(file.kind, {})[file.key] = facts.stable(file.path)
    return found


def _escaped(value: object) -> object:
    """Escape dollar signs for Compose."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, Mapping):
        return {key: _escaped(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_escaped(one) for one in value]
    return value
