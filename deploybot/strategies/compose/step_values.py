"""Values of the steps of `compose`, computed from the observed state right before each step starts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from deploybot.domain import (
    Container,
    Effect,
    EffectKind,
    Image,
    Manifest,
    Observed,
    Release,
    ServiceImage,
    registry_digest,
)
from deploybot.observed_state import has_ended
from deploybot.ports import Site
from deploybot.settings import project_name
from deploybot.strategies.compose.compose_answers import ConfigAnswers, Elsewhere
from deploybot.strategies.compose.compose_model import ComposeConfig
from deploybot.strategies.compose.compose_override import override_of, write_override
from deploybot.strategies.compose.half_made import holders, useless
from deploybot.strategies.compose.mounted_paths import PathFacts, sources_of
from deploybot.strategies.compose.server_files import configuration_of
from deploybot.strategies.compose.service_claims import blocks
from deploybot.strategies.compose.service_effects import bound_to
from deploybot.strategies.compose.service_hash import digest
from deploybot.strategies.compose.service_images import (
    ImageWork,
    full_name,
    images_below,
    repositories_of,
    tag_of,
    work_of,
)
from deploybot.strategies.compose.settings_label import IMAGE_LABEL, SETTINGS_LABEL, settings_of
from deploybot.strategies.server_requirements import compose_version

_FULL = 1 << 20
"""With fewer bytes free, Docker may not start a container any more: it writes some files for each start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseStudy:
    """What is known about a release's files on a server: its configuration, its Compose files, and the paths in it.

    `kept` is the hash of the bot's own copy that this is, because the server's files are different by now. `profiles`
    are those that are active.
    """

    config: ComposeConfig
    answers: ConfigAnswers
    facts: PathFacts
    files: tuple[str, ...]
    elsewhere: tuple[Elsewhere, ...] = ()
    kept: str = ""
    profiles: tuple[str, ...] = ()


def below(site: Site) -> str:
    """Return the repository for the target's images."""
    return images_below(project_name(site.app, site.environment))


def observed_of(site: Site) -> Observed:
    """Return the observed state; an empty one if no Engine was asked."""
    return site.observed or Observed(facts=site.facts)


def nothing() -> dict[str, str]:
    """Return the lists for `compose_up.sh`, all empty."""
    services = ("CHANGED", "START", "START_FIRST", "SCALE")
    lists = ("OVERRIDE", "COMPOSE_FILES", "TAGS", "MOUNTS", "REMOVE", "REMOVE_LAST", "UNNEEDED", "KEPT", *services)
    return {f"DEPLOYBOT_{name}": "" for name in lists}


def major(site: Site) -> int:
    """Return Compose's major version."""
    return compose_version(site)[0]


def next_tags(site: Site, config: ComposeConfig) -> dict[str, str]:
    """Return the tag of each service's image after it is built or pulled."""
    names = [one.name for one in config.services if not one.provided]
    return {service: f"{name}:next" for service, name in repositories_of(below(site), names).items()}


def image_work(site: Site, config: ComposeConfig, release: Release) -> ImageWork:
    """Return what to build and pull. Servers with files of their own may not have every service of a release."""
    pins = tuple(pin for pin in release.images if not site.app.server_folder or config.of(pin.service))
    return work_of(config, source=site.app.compose_source, pins=pins, below=below(site))


def build_values(site: Site, study: ReleaseStudy, release: Release) -> dict[str, str]:
    """Return what to build, pull and tag."""
    work = image_work(site, study.config, release)
    made = {full_name(work.names[service]) for service in work.build}
    here = names_of(site.images) | made
    pull = (*work.pull, *(service for service in work.missing if full_name(work.names[service]) not in here))
    tags = next_tags(site, study.config)
    return {
        "DEPLOYBOT_COMPOSE_FILES": "\n".join(study.files),
        "DEPLOYBOT_NAMES": work.naming,
        "DEPLOYBOT_BUILD": "\n".join(work.build),
        "DEPLOYBOT_PULL": "\n".join(pull),
        "DEPLOYBOT_PINNED": "\n".join(pin.reference for pin in work.pinned),
        "DEPLOYBOT_PULLED_FROM": "\n".join(dict.fromkeys(work.names[one] for one in pull)),
        "DEPLOYBOT_TAGS": "\n".join(f"{work.names[service]} {tag}" for service, tag in tags.items()),
    }


def up_values(
    site: Site, study: ReleaseStudy, release: Release, effects: Iterable[Effect], before: Manifest | None
) -> dict[str, str]:
    """Return what to recreate, start and remove, with images, labels and mounts.

    The images of what ran `before` also get tags, so that nothing removes them while a restore may need them.
    """
    manifest = site.manifests[release.id]
    observed = observed_of(site)
    kinds = _with_holders({one.service: one.kind for one in effects}, observed)
    tags = dict.fromkeys((*_tag_lines(site, manifest), *(_tag_lines(site, before) if before else ())))
    changed, first, start = _batches(study.config, kinds, site.app.compose.order)
    removed = [one for service in _of_kind(kinds, EffectKind.REMOVED) for one in observed.services.get(service, ())]
    blocking = [one.id for one in removed if _blocks(one, (*changed, *first, *start), site, study)]
    return {
        **nothing(),
        **_override(site, study, manifest, release),
        **_order(study.config, (*changed, *start), site.app.compose.order),
        "DEPLOYBOT_TAGS": "\n".join(tags),
        "DEPLOYBOT_CHANGED": "\n".join(changed),
        "DEPLOYBOT_START": "\n".join(start),
        "DEPLOYBOT_START_FIRST": "\n".join(first),
        "DEPLOYBOT_REMOVE": "\n".join(dict.fromkeys((*useless(observed), *blocking))),
        "DEPLOYBOT_REMOVE_LAST": "\n".join(one.id for one in removed if one.id not in blocking),
    }


def restore_values(site: Site, study: ReleaseStudy | None, release: Release) -> dict[str, str]:
    """Return what differs from what ran before; only that is recreated. Half-created containers are removed first.

    `study` is None if the bot did not deploy what ran before.
    """
    manifest = site.manifests[release.id]
    observed = observed_of(site)
    moving = {one.service for one in manifest.services if not _is_as_before(observed, one, study)}
    _spread(moving, observed, study)
    changed = [one.service for one in manifest.services if one.service in moving]
    known = {one.service for one in manifest.services}
    ours = [one for service, ones in observed.services.items() if service not in known for one in ones if is_ours(one)]
    lists = {
        "DEPLOYBOT_CHANGED": "\n".join(changed),
        "DEPLOYBOT_REMOVE": "\n".join(dict.fromkeys((*useless(observed), *(one.id for one in ours)))),
        "DEPLOYBOT_TAGS": "\n".join(_tag_lines(site, manifest)),
        "DEPLOYBOT_UNNEEDED": "\n".join(_unneeded(site, manifest)),
    }
    if study is not None:
        order = _order(study.config, changed, site.app.compose.order)
        # The number of containers may depend on a variable that changed since.
        numbers = {one.name: one.replicas for one in study.config.services}
        scaled = (one for one in manifest.services if numbers.get(one.service) not in {None, one.replicas})
        lists["DEPLOYBOT_SCALE"] = "\n".join(f"{one.service}={one.replicas}" for one in scaled)
        return {**nothing(), **_override(site, study, manifest, release), **order, **lists, **_spare(site, study)}
    never = {"pull_policy": "never"} if major(site) > 1 else {}
    images = {service: {"image": tag, **never} for service, tag in tags_of(site, manifest).items()}
    return {
        **nothing(),
        **lists,
        "DEPLOYBOT_COMPOSE_FILES": "\n".join(manifest.files),
        "DEPLOYBOT_OVERRIDE": write_override(images),
        # A person may have scaled it: the files need not say how many containers there were.
        "DEPLOYBOT_SCALE": "\n".join(f"{one.service}={one.replicas}" for one in manifest.services),
    }


def kept_values(site: Site, study: ReleaseStudy) -> dict[str, str]:
    """Return what lets a step see that the server's own files are as planned, and keep a copy of what they say."""
    if not site.app.server_folder or study.kept:
        return {}
    return {
        "DEPLOYBOT_KEEP_AS": configuration_of(study.config, study.facts),
        "DEPLOYBOT_SUM": digest(study.answers.release.text),
        "DEPLOYBOT_PROFILES": ",".join(study.profiles),
    }


def _spare(site: Site, study: ReleaseStudy) -> dict[str, str]:
    """Return the copy that a restore uses if a person edits the server's own files while it starts services."""
    copy = study.answers.kept.get(site.configuration)
    if copy is None or copy.code or study.kept or configuration_of(study.config, study.facts) != site.configuration:
        return {}
    return {"DEPLOYBOT_SUM": digest(study.answers.release.text), "DEPLOYBOT_SPARE": site.configuration}


def _unneeded(site: Site, manifest: Manifest) -> Iterator[str]:
    """Yield id and tag of images with no other names than ours that no good release has, if Docker's disk is full."""
    facts = observed_of(site).facts
    free = facts.disk_free if facts.docker_free < 0 else facts.docker_free
    if not (0 <= free < _FULL or facts.docker_inodes == 0):
        return
    good = (one for release, one in site.manifests.items() if release in site.good)
    needed = {service.image for one in (manifest, *good) for service in one.services}
    ours = f"{below(site)}/"
    for image in site.images:
        if image.id not in needed and all(tag.startswith(ours) for tag in image.tags):
            yield from (f"{image.id} {tag}" for tag in image.tags)


def tags_of(site: Site, manifest: Manifest) -> dict[str, str]:
    """Return deploybot's tag for each service's image. It contains the image id."""
    repositories = repositories_of(below(site), [one.service for one in manifest.services])
    return {one.service: tag_of(repositories[one.service], one.image) for one in manifest.services}


def names_of(images: Collection[Image]) -> frozenset[str]:
    """Return all names of images in their full form."""
    return frozenset(full_name(name) for one in images for name in (*one.tags, *one.digests))


def image_lines(site: Site, manifest: Manifest) -> str:
    """Return the required recorded images: service, id, digest or `-`, and deploybot's tag, one image per line."""
    tags = tags_of(site, manifest)
    return "\n".join(
        f"{one.service} {one.image} {registry_digest([one.digest]) or '-'} {tags[one.service]}"
        for one in manifest.services
    )


def kept_tags(site: Site, keep: Collection[str]) -> Iterator[str]:
    """Yield deploybot's tags to keep: those of the releases in `keep`, and of what runs."""
    for release, manifest in site.manifests.items():
        if release in keep:
            yield from tags_of(site, manifest).values()
    services = observed_of(site).services
    repositories = repositories_of(below(site), [*services])
    for service, ones in services.items():
        yield from (tag_of(repositories[service], one.image_id) for one in ones)


def is_ours(container: Container) -> bool:
    """Return whether deploybot created a container, by its labels."""
    return bool(container.label(IMAGE_LABEL) or container.label(SETTINGS_LABEL))


def _override(site: Site, study: ReleaseStudy, manifest: Manifest, release: Release) -> dict[str, str]:
    text = override_of(
        study.config,
        manifest=manifest,
        tags=tags_of(site, manifest),
        facts=study.facts,
        release=release.id,
        major=major(site),
    )
    return {
        "DEPLOYBOT_COMPOSE_FILES": "\n".join(study.files),
        "DEPLOYBOT_OVERRIDE": text,
        "DEPLOYBOT_KEPT": study.kept,
        "DEPLOYBOT_MOUNTS": "\n".join(_content(study)),
    }


def _content(study: ReleaseStudy) -> Iterator[str]:
    """Yield the content to copy: its hash, with the name of a file, and its path without links."""
    facts = study.facts
    paths = dict.fromkeys(path for service in study.config.services for path, _ in sources_of(service))
    found = {facts.copied(path): fact.real for path in paths if facts.is_shipped(path) and (fact := facts.of(path))}
    return (f"{copy} {real}" for copy, real in found.items())


def _tag_lines(site: Site, manifest: Manifest) -> Iterator[str]:
    tags = tags_of(site, manifest)
    return (f"{one.image} {tags[one.service]}" for one in manifest.services)


def _of_kind(kinds: Mapping[str, EffectKind], *wanted: EffectKind) -> list[str]:
    return [service for service, kind in kinds.items() if kind in wanted]


def _batches(
    config: ComposeConfig, kinds: Mapping[str, EffectKind], order: Collection[str]
) -> tuple[list[str], list[str], list[str]]:
    """Return what one call of Compose creates, what starts before that, and what starts after it.

    Compose keeps the order of `depends_on` only within one call, so new services are created with recreated ones. A job
    that is started again belongs to them, too: they wait for its end. What has a place in `order` never starts first.
    """
    changed = _of_kind(kinds, EffectKind.RECREATED, EffectKind.NEW)
    stopped = _of_kind(kinds, EffectKind.STARTED)
    needed = _needed_by(changed, config)
    again = [one for one in stopped if one in needed and one in config.jobs]
    changed = [one for one in kinds if one in changed or one in again]
    needed = _needed_by(changed, config)
    first = [one for one in stopped if one in needed and not {one, *_needed_by([one], config)} & {*changed, *order}]
    return changed, first, [one for one in stopped if one not in changed and one not in first]


def _needed_by(services: Iterable[str], config: ComposeConfig) -> set[str]:
    """Return all services that some depend on, directly or not."""
    found: set[str] = set()
    ahead = [*services]
    while ahead:
        service = config.of(ahead.pop())
        needs = (*(one.service for one in service.depends_on), *service.shares) if service else ()
        ahead += [one for one in needs if one not in found]
        found.update(needs)
    return found


def _order(config: ComposeConfig, moving: Collection[str], order: Sequence[str]) -> dict[str, str]:
    """Return the order from bot.toml, each line with the services that have to come up in the same call of Compose."""
    lines = []
    placed = {*order}
    for service in order:
        needed = _needed_by([service], config)
        together = [one for one in moving if one in needed and one not in placed]
        placed.update(together)
        lines.append(" ".join((*together, service)))
    return {"DEPLOYBOT_COMPOSE_ORDER": "\n".join(lines)} if lines else {}


def _blocks(container: Container, moving: Iterable[str], site: Site, study: ReleaseStudy) -> bool:
    """Return whether a container has to go before some services can start."""
    observed = observed_of(site)
    project = observed.project or study.config.name
    wanted = filter(None, map(study.config.of, moving))
    return any(blocks(container, one, project, major(site), observed.facts.listening) for one in wanted)


def _with_holders(kinds: Mapping[str, EffectKind], observed: Observed) -> Mapping[str, EffectKind]:
    """Recreate services whose half-made containers stay for their data; such a container may lack a network."""
    held = {one.service for one in holders(observed)}
    stay = {EffectKind.KEPT, EffectKind.STARTED}
    return {name: EffectKind.RECREATED if name in held and kind in stay else kind for name, kind in kinds.items()}


def _spread(moving: set[str], observed: Observed, study: ReleaseStudy | None) -> None:
    """Add the services whose containers use the network of one that is replaced, or that are recreated with it.

    The Engine knows the networks of containers that the bot did not start, too. Jobs that have ended do not run again.
    """
    done = {service for service, ones in observed.services.items() if has_ended(ones)}
    services = [one for one in study.config.services if one.name not in done] if study else []
    there = [one for one in observed.containers if not one.oneoff]
    others = [one for one in there if one.service not in done]
    count = -1
    while len(moving) != count:
        count = len(moving)
        gone = [one for one in there if one.service in moving]
        moving |= {one.service for one in others if any(each.is_called(one.network_of) for each in gone)}
        moving |= {one.name for one in services if not moving.isdisjoint(bound_to(one))}


def _is_as_before(observed: Observed, expected: ServiceImage, study: ReleaseStudy | None) -> bool:
    """Return whether a service runs as before, or as a restore would start it: its settings may have changed since."""
    there = observed.services.get(expected.service, ())
    service = study.config.of(expected.service) if study else None
    labels = {expected.settings, settings_of(service, study.facts) if study and service else expected.settings}
    return len(there) == expected.replicas and all(
        one.image_id == expected.image
        and one.label(SETTINGS_LABEL) in labels
        and ((one.state == "running" and not one.cut_off) or (expected.ended and has_ended([one])))
        and one.health != "unhealthy"
        for one in there
    )
