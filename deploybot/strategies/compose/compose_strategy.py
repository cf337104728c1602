"""Strategy `compose`: Docker Compose from the release's own folder, with every image pinned.

`source = "build"` builds on the server, `source = "images"` pulls. Images that belong to the release are always pulled
by digest. A service whose image, settings and mounted content are unchanged is not touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from deploybot.domain import (
    NO_RELEASE,
    CommitSource,
    CommitWithImages,
    ImagesSource,
    Manifest,
    Release,
    ServerPlan,
    Step,
    registry_digest,
)
from deploybot.errors import UserError
from deploybot.observed_state import has_ended
from deploybot.ports import Site
from deploybot.settings import SwitchTask, project_name
from deploybot.strategies.common_steps import Move, plan, prune, standing, task_command
from deploybot.strategies.compose.compose_answers import running_folders
from deploybot.strategies.compose.compose_override import check_services, missing_services
from deploybot.strategies.compose.compose_stderr import raw_paths
from deploybot.strategies.compose.mounted_paths import wanted_mounted, wanted_paths
from deploybot.strategies.compose.release_record import manifest_of, snapshot_of, wants_others, with_health
from deploybot.strategies.compose.release_study import (
    CONFIG,
    PATHS,
    answers_of,
    config_of,
    effects_in,
    insist,
    insist_on_return,
    kept_config,
    kept_configs,
    kept_wanted,
    named_images_of,
    study_of,
    with_restorable,
)
from deploybot.strategies.compose.server_files import (
    CONFIGURATION,
    configuration_of,
    has_same_services,
    insist_on_configuration,
    insist_on_images,
    is_of_app,
    notices,
    restorable,
)
from deploybot.strategies.compose.service_images import repository_name
from deploybot.strategies.compose.settings_label import SETTINGS_LABEL
from deploybot.strategies.compose.step_values import (
    below,
    build_values,
    image_lines,
    image_work,
    kept_tags,
    kept_values,
    next_tags,
    nothing,
    observed_of,
    restore_values,
    up_values,
)
from deploybot.strategies.server_requirements import check_compose, check_server, compose_version

_SPARE = 60.0


class ComposeStrategy:
    """ports.Strategy for `strategy = "compose"`."""

    containers = True
    takes = (CommitSource, CommitWithImages, ImagesSource)

    def look(self, site: Site) -> Step | None:
        """Return the script that reads the Compose files of an app without a repository; None if it has one."""
        if not site.app.server_folder:
            return None
        check_compose(site)
        return Move(site=site, release=NO_RELEASE, previous="").step(CONFIG, CONFIG, _compose(site))

    def named_images(self, site: Site) -> Mapping[str, str]:
        """Return the image of each service by the Compose files that the server has."""
        return named_images_of(site)

    def check(self, site: Site, release: Release) -> None:
        """Raise UserError if the server has no Docker or Compose, or cannot take the release."""
        check_compose(site)
        check_server(site, release)

    def fetch(self, site: Site, release: Release, *, again: bool) -> Step:
        """Return the step that brings the release's files to the server, or makes its folder if it brings none."""
        return _fetch(_move(site, release), again=again)

    def ask(self, site: Site, release: Release) -> Step | None:
        """Return the script for the resolved configuration, then the one for the paths in it."""
        if not release.id:
            return None
        move, containers = _move(site, release), observed_of(site).containers
        if CONFIG not in site.answers:
            folders = running_folders(containers, SETTINGS_LABEL if is_of_app(site, site.running) else "")
            values = {"DEPLOYBOT_RUNNING_FOLDERS": "\n".join(folders), "DEPLOYBOT_KEPT": "\n".join(kept_wanted(site))}
            return move.step(CONFIG, CONFIG, {**_compose(site), **values})
        if PATHS in site.answers:
            return None
        config, answers = config_of(site, release), answers_of(site)
        configs = [*([config] if config else ()), *kept_configs(site).values()]
        raw = () if config else tuple(path for _, path in raw_paths(answers))
        wanted = dict.fromkeys((*raw, *(path for one in configs for path in wanted_paths(one))))
        mounted = dict.fromkeys(path for one in configs for path in wanted_mounted(one, containers))
        return move.step(PATHS, PATHS, {"DEPLOYBOT_PATHS": "\n".join(wanted), "DEPLOYBOT_MOUNTED": "\n".join(mounted)})

    def deploy(self, site: Site, release: Release, previous: Release | None, *, back: bool = False) -> ServerPlan:
        """Return the plan: build or find images, start what changed, move the link. It has the restore steps, too."""
        self.check(site, release)
        if previous is not None and not is_of_app(site, previous.id):
            previous = None  # bot.toml had a repository before, or has one since: it is restored like any containers
        made = not _is_recorded(site, release, back=back)
        study = study_of(site, release)
        own = site.app.server_folder
        if own:
            insist_on_images(study.config, release, site)
        if not made and back and not own:
            check_services(study.config, site.manifests[release.id])
        made = made or bool(missing_services(study.config, site.manifests[release.id]))
        made = made or (not back and wants_others(study.config, site.manifests[release.id], release))
        made = made or bool(own and not has_same_services(study.config, site.manifests[release.id]))
        configuration = configuration_of(study.config, study.facts) if own else ""
        recorded = None if made else site.manifests[release.id]
        effects = effects_in(site, study, recorded, release)
        before = _before(site, previous)
        kept = kept_config(site, study.facts, before.configuration) if own and before else None
        warnings = insist(site, study, effects, makes=made or not _has_images(site, release), kept=bool(kept))
        if previous is not None and _is_bare(site, previous):
            warnings = (
                *warnings,
                f"`current` leads to {previous}, which runs without containers: it ends with the switch",
            )
        if own:
            warnings += (*notices(site, release, configuration, study.answers.kept, back=back, kept=bool(kept)),)
            before = restorable(before, kept or study.config)
        if previous is None and before is not None:
            insist_on_return(site, study, before, effects)
        there = Move(site=site, release=release, previous=previous.id if previous else "")
        images = (
            there.step("build", "compose_build", _compose(site), bind="build")
            if recorded is None
            else _find_images(there, recorded, "images")
        )
        steps = (
            _fetch(there, again=False),
            images,
            _up(there, "up", bind="up", configuration=configuration),
            there.switch(values=_project(site)),
        )
        return replace(
            plan(site, steps, replaces=previous, restore=_restore(site, release, previous, before)),
            effects=effects,
            warnings=warnings,
            verify=True,
            before=before,
            made=made,
            configuration=configuration,
        )

    def image_names(self, site: Site, release: Release) -> Mapping[str, str]:
        """Return the tag of each image after the build."""
        return next_tags(site, study_of(site, release).config)

    def manifest(self, site: Site, release: Release, images: Mapping[str, tuple[str, str]]) -> Manifest:
        """Record what a prepared release runs. A pinned image is recorded by the digest that was approved.

        What was built is in no registry, even if Docker has a digest of it.
        """
        study = study_of(site, release)
        work = image_work(site, study.config, release)
        pins = {pin.service: pin.reference for pin in release.images}
        known = {one.id: one.digests for one in site.images}

        def digest_of(service: str, image: str, digest: str) -> str:
            if service in pins or service in work.build:
                return pins.get(service, "")
            return registry_digest((*known.get(image, ()), digest), repository_name(work.names[service]))

        found = {service: (image, digest_of(service, image, digest)) for service, (image, digest) in images.items()}
        made = manifest_of(study.config, study.facts, found, study.files, site.app.compose)
        return (
            replace(made, configuration=configuration_of(study.config, study.facts)) if site.app.server_folder else made
        )

    def bind(self, step: Step, site: Site, release: Release) -> Mapping[str, str]:
        """Return what to build, start, restore or keep, computed from the current observed state."""
        match step.bind:
            case "build":
                return build_values(site, study_of(site, release), release)
            case "up":
                study = study_of(site, release)
                if site.app.server_folder:
                    insist_on_configuration(dict(step.env), configuration_of(study.config, study.facts), site)
                    insist_on_images(study.config, release, site)
                effects = effects_in(site, study, site.manifests[release.id], release)
                values = up_values(site, study, release, effects, snapshot_of(observed_of(site)))
                return {**values, **kept_values(site, study)}
            case "restore":
                known = study_of(site, release) if release.id else None
                return restore_values(with_restorable(site, known, release), known, release)
            case "prune":
                keep = dict(step.env)["DEPLOYBOT_KEEP"].split("\n")
                return {"DEPLOYBOT_IMAGES_KEEP": "\n".join(dict.fromkeys(kept_tags(site, keep)))}
            case _:
                return {}

    def restart(self, site: Site, release: Release) -> ServerPlan:
        """Return the plan that restarts the project's containers. What runs afterwards is verified.

        Jobs that have ended do not run again.
        """
        check_compose(site)
        site = site.as_recorded(site.ran)
        move = standing(site, release)
        if not observed_of(site).services:
            raise UserError(
                f"{site.app.name} has no containers on {site.server}.",
                hint=f"Deploy it first: deploy {site.app.name} to {site.environment.name}",
            )
        values = {
            **_compose(site),
            **nothing(),
            "DEPLOYBOT_ACTION": "restart",
            "DEPLOYBOT_FOLDER": _folder(move),
            "DEPLOYBOT_RESTART": "\n".join(_to_restart(site)),
        }
        step = move.step("restart", "compose_up", values, timeout=_timeout(site))
        return replace(plan(site, [step]), verify=True)

    def task(self, site: Site, release: Release, task: str) -> ServerPlan:
        """Plan to run a task in the current release's folder. `docker compose` in it uses this project."""
        site = site.as_recorded(site.ran)
        step = standing(site, release).command(task, task_command(site, task), _project(site))
        return ServerPlan(server=site.facts.server, steps=(step,))

    def before(self, site: Site, release: Release, tasks: Sequence[SwitchTask]) -> tuple[Step, ...]:
        """Return the steps that run tasks with the release's images and files. They start and remove no service."""
        if not tasks:
            return ()
        move = _move(site, release)
        values = {**_compose(site), "DEPLOYBOT_ACTION": "ready", "DEPLOYBOT_FOLDER": _folder(move)}
        ready = move.step("ready", "compose_up", values, bind="up")
        return (ready, *move.tasks(tasks, _project(site)))

    def after(self, site: Site, release: Release, tasks: Sequence[SwitchTask]) -> tuple[Step, ...]:
        """Return the steps that run tasks with the release's images and files."""
        return _move(site, release).tasks(tasks, _project(site))

    def prune(self, site: Site, keep: tuple[str, ...]) -> tuple[Step, ...]:
        """Return the step that deletes folders and images of releases that are neither kept nor in use."""
        return prune(site, keep, images=below(site), always=True)


def _fetch(move: Move, *, again: bool) -> Step:
    """Return the step that brings a release's files to the server, or makes its folder if the server has the files."""
    if move.site.app.server_folder:
        return move.step("fetch", "compose_folder", {})
    return move.fetch(built_later=True, again=again)


def _to_restart(site: Site) -> list[str]:
    """Return the services to restart; empty for all, if none of them is a job that has ended."""
    services, ran = observed_of(site).services, site.ran or Manifest()
    known = [one for one in ran.services if one.service in services]
    stay = [one.service for one in known if not (one.ended and has_ended(services[one.service]))]
    return stay if len(stay) < len(known) else []


def _before(site: Site, previous: Release | None) -> Manifest | None:
    """Return exactly what to restore on failure; None if nothing runs and no good release was there."""
    observed = observed_of(site)
    snapshot = snapshot_of(observed)
    if previous is None:
        return snapshot
    recorded = site.ran if previous.id == site.running else site.manifests.get(previous.id)
    return with_health(recorded, observed) if recorded and (snapshot or _was_verified(site, previous)) else None


def _is_bare(site: Site, previous: Release) -> bool:
    """Return whether what runs is only what `current` leads to, without containers: of the strategy before."""
    is_current = previous.id == site.facts.current and site.holds(previous)
    return is_current and previous.id in site.bare and not observed_of(site).services


def _was_verified(site: Site, release: Release) -> bool:
    """Return whether the containers of a release were healthy there. Without that, its record is a failed attempt."""
    return release.id in site.good - site.bare


def _is_recorded(site: Site, release: Release, *, back: bool) -> bool:
    """Return whether the release runs its recorded images, not new ones.

    Raises UserError if it must go `back` to recorded images that are no longer available.
    """
    manifest = site.manifests.get(release.id)
    if manifest is None or not _was_verified(site, release):
        return False
    if not back and site.app.compose_source == "images" and release.id == site.running and not release.images:
        # Deploying the same release again uses the images that the tags mean now.
        return False
    here = {name for one in site.images for name in (one.id, *one.digests)}
    gone = [one for one in manifest.services if one.image not in here and not registry_digest([one.digest])]
    if gone and back:
        names = ", ".join(one.service for one in gone)
        raise UserError(
            f"{release} cannot be restored exactly: its image of {names} is not on {site.server} any more, and it did "
            "not come from a registry.",
            hint=f"Build it again: deploy {site.app.name}@{release.code or release.ref} to {site.environment.name}",
        )
    return not gone


def _has_images(site: Site, release: Release) -> bool:
    here = {one.id for one in site.images}
    return all(one.image in here for one in site.manifests[release.id].services)


def _restore(site: Site, release: Release, previous: Release | None, before: Manifest | None) -> tuple[Step, ...]:
    """Return the steps that restore exactly what runs now."""
    if previous is not None and _is_bare(site, previous):
        failed = Move(site=site, release=NO_RELEASE, previous=release.id, back=True)
        home = replace(failed, release=previous)
        return _up(failed, "remove", bind="restore", folder=site.directory), home.switch("restored")
    if before is None:
        return ()
    # Its Compose files are bound right before the step.
    site = replace(site.as_recorded(before), files=site.files)
    home = Move(site=site, release=previous or NO_RELEASE, previous=release.id, back=True)
    if previous is None:
        return _find_images(home, before, "find images"), _up(home, "restore", bind="restore", folder=before.folder)
    fetch = () if site.holds(previous) else (_fetch(home, again=False),)
    return (
        *fetch,
        _find_images(home, before, "find images"),
        _up(home, "restore", bind="restore"),
        home.switch("restored", values=_project(site)),
    )


def _find_images(move: Move, manifest: Manifest, name: str) -> Step:
    values = {**_project(move.site), "DEPLOYBOT_IMAGES": image_lines(move.site, manifest)}
    return move.step(name, "compose_images", values)


def _up(move: Move, name: str, *, bind: str, folder: str = "", configuration: str = "") -> Step:
    planned = {CONFIGURATION: configuration} if configuration else {}
    values = {**_compose(move.site), **planned, "DEPLOYBOT_ACTION": "up", "DEPLOYBOT_FOLDER": folder or _folder(move)}
    return move.step(name, "compose_up", values, timeout=_timeout(move.site), switches=True, bind=bind)


def _timeout(site: Site) -> float:
    compose = site.app.compose
    return max(site.app.step_timeout, compose.wait * (1 + len(compose.order)) + _SPARE)


def _folder(move: Move) -> str:
    return move.site.app.server_folder or f"{move.site.directory}/releases/{move.release.id}"


def _move(site: Site, release: Release) -> Move:
    return Move(site=site, release=release, previous=site.running)


def _project(site: Site) -> dict[str, str]:
    """Return variables that make a plain `docker compose` use this app's project (documented by Compose)."""
    compose = site.app.compose
    values = {"COMPOSE_PROJECT_NAME": project_name(site.app, site.environment)}
    if compose.profiles:
        values["COMPOSE_PROFILES"] = ",".join(compose.profiles)
    if compose.env_file:
        values["COMPOSE_ENV_FILES"] = compose.env_file
    return values


def _compose(site: Site) -> dict[str, str]:
    compose = site.app.compose
    return {
        **_project(site),
        "DEPLOYBOT_COMPOSE": " ".join(site.facts.compose),
        "DEPLOYBOT_COMPOSE_MAJOR": str(compose_version(site)[0]),
        "DEPLOYBOT_COMPOSE_FILES": "\n".join(site.files or compose.files),
        "DEPLOYBOT_COMPOSE_ORDER": "\n".join(compose.order),
        "DEPLOYBOT_COMPOSE_WAIT": f"{compose.wait:.0f}",
    }
