"""The values of the steps of `compose`, computed right before each starts from what is observed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from deploybot.domain import Container, Effect, EffectKind, Manifest, Observed, Release, ServiceImage
from deploybot.ports import Site
from deploybot.settings import project_name
from deploybot.strategies.compose.answers import ConfigAnswer
from deploybot.strategies.compose.images import images_below, images_to_make, tag_of
from deploybot.strategies.compose.model import ComposeConfig
from deploybot.strategies.compose.override import content_of, images_override, names_text, override_text
from deploybot.strategies.compose.paths import PathFacts
from deploybot.strategies.compose.settings import IMAGE_LABEL, RELEASE_LABEL, SETTINGS_LABEL
from deploybot.strategies.needs import version

_NOT_STARTED = frozenset({"created", "dead"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What is known of a release's files on a server: its configuration, and the paths that it names."""

    config: ComposeConfig
    answer: ConfigAnswer
    facts: PathFacts


def below(site: Site) -> str:
    """Give the repository of the target's images."""
    return images_below(project_name(site.app, site.environment))


def observed_of(site: Site) -> Observed:
    """Give what is observed; nothing where no Engine was asked."""
    return site.observed or Observed(facts=site.facts)


def nothing() -> dict[str, str]:
    """Give the lists of `compose_up.sh`, all empty."""
    lists = ("OVERRIDE", "COMPOSE_FILES", "TAGS", "MOUNTS", "REMOVE", "REMOVE_LAST", "CHANGED", "START")
    return {f"DEPLOYBOT_{name}": "" for name in lists}


def build_values(site: Site, study: Study, release: Release) -> dict[str, str]:
    """Say what is built, pulled and named."""
    make = images_to_make(
        study.config,
        release,
        below=below(site),
        from_source=site.app.compose.source == "build",
        present=site.images,
    )
    return {
        "DEPLOYBOT_COMPOSE_FILES": "\n".join(study.answer.files),
        "DEPLOYBOT_NAMES": names_text(make.names),
        "DEPLOYBOT_BUILD": "\n".join(make.build),
        "DEPLOYBOT_PULL": "\n".join(make.pull),
        "DEPLOYBOT_PINNED": "\n".join(make.pinned),
        "DEPLOYBOT_TAGS": "\n".join(f"{name} {tag}" for name, tag in make.tags),
    }


def up_values(
    site: Site, study: Study, release: Release, effects: Iterable[Effect], before: Manifest | None
) -> dict[str, str]:
    """Say what is recreated, started and removed, with which images, labels and mounts.

    The images of what runs `before` get tags, too: nothing may take them away while they may be needed again.
    """
    manifest = site.manifests[release.id]
    kinds = {one.service: one.kind for one in effects}
    changed = _of_kind(kinds, EffectKind.RECREATED)
    tagged = (*manifest.services, *(before.services if before else ()))
    return {
        **nothing(),
        **_override(site, study, manifest, release),
        "DEPLOYBOT_TAGS": "\n".join(dict.fromkeys(_tags(site, tagged))),
        "DEPLOYBOT_CHANGED": "\n".join(changed),
        "DEPLOYBOT_START": "\n".join(_of_kind(kinds, EffectKind.NEW, EffectKind.STARTED)),
        "DEPLOYBOT_REMOVE": "\n".join(_half_made(observed_of(site))),
        "DEPLOYBOT_REMOVE_LAST": "\n".join(_ids(observed_of(site), _of_kind(kinds, EffectKind.REMOVED))),
    }


def restore_values(site: Site, study: Study | None, release: Release) -> dict[str, str]:
    """Say what differs from what ran before: that alone is recreated. Half-made containers go first.

    `study` is None where what ran before is no release of the bot's.
    """
    manifest = site.manifests[release.id]
    observed = observed_of(site)
    changed = [one.service for one in manifest.services if not _is_as_before(observed, one)]
    known = {one.service for one in manifest.services}
    ours = [one for service, ones in observed.services.items() if service not in known for one in ones if is_ours(one)]
    lists = {
        "DEPLOYBOT_CHANGED": "\n".join(changed),
        "DEPLOYBOT_REMOVE": "\n".join(dict.fromkeys((*_half_made(observed), *(one.id for one in ours)))),
        "DEPLOYBOT_TAGS": "\n".join(_tags(site, manifest.services)),
    }
    if study is not None:
        return {**nothing(), **_override(site, study, manifest, release), **lists}
    names = [(one.service, tag_of(below(site), one.service, one.image)) for one in manifest.services]
    return {
        **nothing(),
        **lists,
        "DEPLOYBOT_COMPOSE_FILES": "\n".join(manifest.files),
        "DEPLOYBOT_OVERRIDE": images_override(names, never_pull=never_pulls(site)),
    }


def image_lines(site: Site, manifest: Manifest) -> str:
    """Say which recorded images must be there: service, id, digest or `-`, and tag of ours, one a line."""
    return "\n".join(
        f"{one.service} {one.image} {one.digest or '-'} {tag_of(below(site), one.service, one.image)}"
        for one in manifest.services
    )


def kept_tags(site: Site, keep: Collection[str]) -> Iterator[str]:
    """Give the tags of ours that stay: those of the releases to keep, and of what runs."""
    for release, manifest in site.manifests.items():
        if release in keep:
            yield from (tag_of(below(site), one.service, one.image) for one in manifest.services)
    for service, ones in observed_of(site).services.items():
        yield from (tag_of(below(site), service, one.image_id) for one in ones)


def is_ours(container: Container) -> bool:
    """Say whether deploybot made a container, by its labels."""
    return bool(container.label(IMAGE_LABEL) or container.label(SETTINGS_LABEL))


def never_pulls(site: Site) -> bool:
    """Say whether Compose knows `pull_policy: never`: 1.29 does not."""
    return version(site.facts.compose_version)[0] != 1


def _override(site: Site, study: Study, manifest: Manifest, release: Release) -> dict[str, str]:
    text = override_text(
        study.config,
        manifest,
        study.facts,
        below=below(site),
        since=_since(observed_of(site), manifest, release.id),
        never_pull=never_pulls(site),
    )
    return {
        "DEPLOYBOT_COMPOSE_FILES": "\n".join(study.answer.files),
        "DEPLOYBOT_OVERRIDE": text,
        "DEPLOYBOT_MOUNTS": "\n".join(f"{digest} {path}" for digest, path in content_of(study.config, study.facts)),
    }


def _since(observed: Observed, manifest: Manifest, release: str) -> Mapping[str, str]:
    """By service, the release with which its image came: what runs says so where the image stays."""
    found = {}
    for one in manifest.services:
        there = observed.services.get(one.service, ())
        said = {each.label(RELEASE_LABEL) for each in there if each.image_id == one.image}
        found[one.service] = next(iter(said - {""}), release)
    return found


def _tags(site: Site, services: Iterable[ServiceImage]) -> Iterator[str]:
    return (f"{one.image} {tag_of(below(site), one.service, one.image)}" for one in services)


def _of_kind(kinds: Mapping[str, EffectKind], *wanted: EffectKind) -> list[str]:
    return [service for service, kind in kinds.items() if kind in wanted]


def _ids(observed: Observed, services: Collection[str]) -> Iterator[str]:
    return (one.id for service in services for one in observed.services.get(service, ()))


def _half_made(observed: Observed) -> Iterator[str]:
    """Containers that were made and never started: a broken `up` left them, and they hold names."""
    return (one.id for one in observed.containers if one.state in _NOT_STARTED and not one.started)


def _is_as_before(observed: Observed, expected: ServiceImage) -> bool:
    there = observed.services.get(expected.service, ())
    return len(there) == expected.replicas and all(
        one.image_id == expected.image
        and one.label(SETTINGS_LABEL) == expected.settings
        and (one.state == "running" or (one.state == "exited" and not one.exit_code))
        and one.health != "unhealthy"
        for one in there
    )
