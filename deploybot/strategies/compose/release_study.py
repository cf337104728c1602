"""Combines the scripts' output about a release on a server: its configuration, effects and problems."""

from __future__ import annotations

import re

from deploybot.domain import Container, Effect, EffectKind, Manifest, Release
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.settings import project_name
from deploybot.strategies.compose.blockers import ComposeProblem
from deploybot.strategies.compose.compose_answers import (
    ConfigAnswers,
    active_profiles,
    compose_files,
    parse_answers,
    read_elsewhere,
)
from deploybot.strategies.compose.compose_model import ComposeConfig, parse_config
from deploybot.strategies.compose.compose_stderr import own_words
from deploybot.strategies.compose.mounted_paths import parse_paths
from deploybot.strategies.compose.preflight import Preflight, problems_of, unresolved
from deploybot.strategies.compose.release_record import WORKING_FOLDER, files_of
from deploybot.strategies.compose.second_copies import DeployedHere
from deploybot.strategies.compose.service_effects import WantedService, effects_of
from deploybot.strategies.compose.service_images import work_of
from deploybot.strategies.compose.step_values import ReleaseStudy, below, is_ours, observed_of
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
    return parse_config(
        answers.release.text,
        profiles=_profiles(site, answers),
        project=project_name(site.app, site.environment),
        folders=(f"{site.directory}/releases/{release.id}", answers.release.folder),
    )


def study_of(site: Site, release: Release) -> ReleaseStudy:
    """Return all that is known about a release's files. Raises UserError if Compose rejects them."""
    answers, config = answers_of(site), config_of(site, release)
    files = compose_files(site.files or site.app.compose.files, _variables(site), answers)
    facts = parse_paths(site.answers[PATHS], site.directory)
    if config is None:
        raise _refused(unresolved(answers, facts))
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
    )


def effects_in(site: Site, study: ReleaseStudy, manifest: Manifest | None, release: Release) -> tuple[Effect, ...]:
    """Return the effect on each service. `manifest` has the images of the release, None if they are built first."""
    work = work_of(study.config, source=site.app.compose.source, pins=release.images, below=below(site))
    known = {one.service: one.image for one in manifest.services} if manifest else {}
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


def insist(site: Site, study: ReleaseStudy, effects: tuple[Effect, ...], *, makes: bool) -> tuple[str, ...]:
    """Raise UserError with everything that would stop the release from starting; otherwise return the warnings.

    `makes` is True if images must be built or pulled first.
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
    return re.split(r"[/:]", site.app.repo.rstrip("/"))[-1].removesuffix(".git")
