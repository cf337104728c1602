"""Combines the scripts' output about a release on a server: its configuration, effects and problems."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from deploybot.domain import NO_RELEASE, Container, Effect, EffectKind, Manifest, Release
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.settings import project_name
from deploybot.strategies.compose.blockers import ComposeProblem, unresolved
from deploybot.strategies.compose.compose_answers import (
    ConfigAnswer,
    ConfigAnswers,
    active_profiles,
    compose_files,
    parse_answers,
    read_elsewhere,
)
from deploybot.strategies.compose.compose_model import ComposeConfig, parse_config
from deploybot.strategies.compose.compose_stderr import own_words
from deploybot.strategies.compose.mounted_paths import PathFacts, parse_paths
from deploybot.strategies.compose.preflight import Preflight, problems_of
from deploybot.strategies.compose.release_record import WORKING_FOLDER, files_of
from deploybot.strategies.compose.second_copies import DeployedHere
from deploybot.strategies.compose.server_files import configuration_of, named_by, restorable
from deploybot.strategies.compose.service_effects import WantedService, effects_of
from deploybot.strategies.compose.step_values import ReleaseStudy, image_work, is_ours, observed_of
from deploybot.strategies.server_requirements import compose_version

CONFIG = "compose_config"
PATHS = "compose_paths"


def answers_of(site: Site) -> ConfigAnswers:
    """Parse the output of `compose_config.sh`."""
    return parse_answers(site.answers[CONFIG])


def config_of(site: Site, release: Release) -> ComposeConfig | None:
    """Return the resolved configuration; None if Compose rejects the files."""
    answers = answers_of(site)
    if answers.release.code:
        return None
    return _parsed(site, release, answers.release, _profiles(site, answers))


def kept_configs(site: Site) -> Mapping[str, ComposeConfig]:
    """Return the bot's own copies of configurations that ran, by their hashes: those that Compose can still read."""
    kept = answers_of(site).kept
    return {name: _parsed(site, NO_RELEASE, one, one.profiles) for name, one in kept.items() if not one.code}


def kept_config(site: Site, facts: PathFacts, wanted: str) -> ComposeConfig | None:
    """Return the copy of a configuration, if it still says exactly what its hash says."""
    config = kept_configs(site).get(wanted)
    return config if config and configuration_of(config, facts) == wanted else None


def kept_wanted(site: Site) -> tuple[str, ...]:
    """Return the hashes of the configurations that may come back: that of a way back, and those of what runs."""
    if not site.app.server_folder:
        return ()
    ones = (site.ran, site.manifests.get(site.running), site.manifests.get(site.facts.current))
    return tuple(dict.fromkeys(filter(None, (site.configuration, *(one.configuration for one in ones if one)))))


def with_restorable(site: Site, study: ReleaseStudy | None, release: Release) -> Site:
    """Return the site whose record has only services that can be restored, if the files do not have all any more."""
    if study is None or not site.app.server_folder:
        return site
    left = restorable(site.manifests[release.id], study.config)
    return replace(site, manifests={**site.manifests, release.id: left}) if left else site


def _parsed(site: Site, release: Release, answer: ConfigAnswer, profiles: tuple[str, ...]) -> ComposeConfig:
    return parse_config(
        answer.text,
        profiles=profiles,
        project=project_name(site.app, site.environment),
        folders=(site.app.server_folder or f"{site.directory}/releases/{release.id}", answer.folder),
    )


def named_images_of(site: Site) -> Mapping[str, str]:
    """Return the image of each service by the files that a server has itself. Raises UserError if they are unusable."""
    config = config_of(site, NO_RELEASE)
    if config is None:
        answers, folder = answers_of(site), f"{site.app.server_folder} on {site.server}"
        raise UserError(
            f"Compose cannot read the files in {folder}: {own_words(answers.release.errors)}",
            hint=f"Put a compose.yaml there, or fix it. An app with a repository needs apps.{site.app.name}.repo.",
        )
    return named_by(config, site)


def study_of(site: Site, release: Release) -> ReleaseStudy:
    """Return all that is known about a release's files. Raises UserError if Compose rejects them.

    If a configuration is to come back that the server's own files do not have any more, the bot's copy of it counts.
    """
    answers, config = answers_of(site), config_of(site, release)
    facts = parse_paths(site.answers[PATHS], site.directory)
    same = config is not None and configuration_of(config, facts) == site.configuration
    kept = None if same or not site.configuration else kept_config(site, facts, site.configuration)
    if kept is not None:
        return ReleaseStudy(
            config=kept,
            answers=answers,
            facts=facts,
            files=(f"{site.directory}/.deploybot/configurations/{site.configuration}.json",),
            kept=site.configuration,
            profiles=answers.kept[site.configuration].profiles,
        )
    files = compose_files(site.files or site.app.compose.files, _variables(site), answers, where=site.app.server_folder)
    if config is None:
        raise _refused(unresolved(answers, facts, site.app.server_folder))
    containers = observed_of(site).containers
    elsewhere = (
        read_elsewhere(
            one,
            [container for container in containers if container.label(WORKING_FOLDER) == one.folder],
            profiles=_profiles(site, answers),
            project=project_name(site.app, site.environment),
        )
        for one in answers.running
    )
    return ReleaseStudy(
        config=config,
        answers=answers,
        facts=facts,
        files=files,
        elsewhere=tuple(one for one in elsewhere if one),
        profiles=_profiles(site, answers),
    )


def effects_in(site: Site, study: ReleaseStudy, manifest: Manifest | None, release: Release) -> tuple[Effect, ...]:
    """Return the effect on each service. `manifest` has the images of the release, None if they are built first."""
    work = image_work(site, study.config, release)
    known = {one.service: one.image for one in manifest.services} if manifest else _pinned(site, release)
    wanted = WantedService(
        config=study.config,
        facts=study.facts,
        images=known,
        built=work.build,
        elsewhere=study.elsewhere,
        last=site.ran,
        remove_orphans=site.remove_orphans,
    )
    return effects_of(observed_of(site), wanted)


def _pinned(site: Site, release: Release) -> dict[str, str]:
    """Return the image ids of an app without a repository before they are pulled; a digest if no image has it yet."""
    if not site.app.server_folder:
        return {}
    ids = {digest.rpartition("@")[2]: one.id for one in site.images for digest in one.digests}
    return {pin.service: ids.get(pin.digest, pin.digest) for pin in release.images}


def insist(
    site: Site, study: ReleaseStudy, effects: tuple[Effect, ...], *, makes: bool, kept: bool = False
) -> tuple[str, ...]:
    """Raise UserError with everything that would stop the release from starting; otherwise return the warnings.

    `makes` is True if images must be built or pulled first. `kept` is True if what runs is restored from a copy of its
    configuration.
    """
    known = Preflight(
        config=study.config,
        observed=observed_of(site),
        facts=study.facts,
        effects=effects,
        answers=study.answers,
        version=compose_version(site),
        names=(site.app.name, _repository_name(site)),
        need_disk=site.app.need_disk if makes else 0,
        here=DeployedHere(site.projects, site.once),
        outdated=_outdated(site, study, effects),
        kept=kept,
        unnamed="" if site.app.compose.project else project_name(site.app, site.environment),
        own_folder=site.app.server_folder,
    )
    problems = problems_of(known)
    if stopping := [one for one in problems if not one.warning]:
        raise _refused(stopping)
    return tuple(f"{one.sentence} {one.advice}" for one in problems)


def _outdated(site: Site, study: ReleaseStudy, effects: tuple[Effect, ...]) -> tuple[Container, ...]:
    """Return the containers that are replaced, and that Compose would recreate in the folder they come from, too."""
    major = compose_version(site)[0]
    return tuple(
        one
        for one in _replaced(site, effects)
        if any(there.is_of(one) and there.recreates(one, major) for there in study.elsewhere)
    )


def _replaced(site: Site, effects: tuple[Effect, ...]) -> tuple[Container, ...]:
    """Return the containers without the bot's labels that a release replaces."""
    names = {one.service for one in effects if one.kind in {EffectKind.RECREATED, EffectKind.REMOVED}}
    services = observed_of(site).services
    return tuple(one for name in sorted(names) for one in services.get(name, ()) if not is_ours(one))


def insist_on_return(site: Site, study: ReleaseStudy, before: Manifest, effects: tuple[Effect, ...]) -> None:
    """Raise UserError if what runs, which the bot did not deploy, could not be restored from its own Compose files."""
    if not before.folder or before.folder.startswith(f"{site.directory}/releases/"):
        return
    _insist_on_readable(site, study, before)
    _insist_on_same_files(site, study, before, effects)


def _insist_on_same_files(site: Site, study: ReleaseStudy, before: Manifest, effects: tuple[Effect, ...]) -> None:
    """Raise UserError for what was started from other files than those that everything is restored from."""
    ours, major = (before.folder, ",".join(before.files)), compose_version(site)[0]
    back = [there for there in study.elsewhere if (there.folder, there.files) == ours]
    for one in _replaced(site, effects):
        if not any(there.recreates(one, major) and not there.is_of(one) for there in back):
            continue
        raise UserError(
            f"{one.service} was started from {', '.join(files_of(one))}, but the newest container on {site.server} "
            f"from {', '.join(before.files)}. {one.service} could not be restored if the release fails.",
            hint=f"Run docker compose up -d in {before.folder} once, with the same files for all services, "
            f"or remove the container first: docker rm -f {one.name}",
        )


def _insist_on_readable(site: Site, study: ReleaseStudy, before: Manifest) -> None:
    answers = [one for one in study.answers.running if one.folder == before.folder]
    gone = [file for one in answers for file in one.gone if file in before.files]
    if not gone and any(not one.code for one in answers):
        return
    words = next((own_words(one.errors) for one in answers if one.code), "")
    why = f"{', '.join(gone)} does not exist." if gone else words
    services = ", ".join(one.service for one in before.services)
    names = " ".join(one.name for ones in observed_of(site).services.values() for one in ones)
    raise UserError(
        f"{services} came from {before.folder}, and Compose cannot read the files there on {site.server}. "
        f"They could not be restored if the release fails. {why}".rstrip(),
        hint=f"Copy the Compose files to {before.folder} on {site.server}, "
        f"or remove the containers first: docker rm -f {names}",
    )


def _refused(problems: tuple[ComposeProblem, ...] | list[ComposeProblem]) -> UserError:
    sentences = dict.fromkeys(one.sentence for one in problems)
    return UserError("\n".join(sentences), hint="\n".join(dict.fromkeys(one.advice for one in problems)))


def _variables(site: Site) -> dict[str, str]:
    return {**site.app.env, **site.environment.env}


def _profiles(site: Site, answers: ConfigAnswers) -> tuple[str, ...]:
    return active_profiles(site.app.compose.profiles, _variables(site), answers)


def _repository_name(site: Site) -> str:
    return re.split(r"[/:]", (site.app.repo or site.app.directory).rstrip("/"))[-1].removesuffix(".git")
