"""Strategy `compose`: Docker Compose from the release's own folder, with every image pinned.

`source = "build"` builds on the server, `source = "images"` pulls; images that belong to the release are pulled by
their digests, whatever the source. All of them get tags of ours, so that going back needs neither a build nor a
registry.
"""

from __future__ import annotations

import hashlib
import re

from deploybot.domain import Release, ServerFacts, ServerPlan, Step
from deploybot.settings import App, Environment, project_name
from deploybot.strategies.needs import WAITING_COMPOSE, check_compose, check_server, version
from deploybot.strategies.steps import Move, Site, moves, plan, prune, standing, task_command

_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:_|__|-+)[a-z0-9]+)*", re.ASCII)
_SPARE = 60.0


class Compose:
    """ports.Strategy for `strategy = "compose"`."""

    def deploy(
        self, app: App, environment: Environment, release: Release, previous: Release | None, facts: ServerFacts
    ) -> ServerPlan:
        """Fetch what is not there yet, make and pin its images, bring it up, move the link."""
        site = Site(app=app, environment=environment, facts=facts)
        check_compose(site)
        check_server(site, release)
        there, back = moves(site, release, previous)
        steps = (*there.fetch(built_later=True), *_run(there))
        return plan(site, steps, replaces=previous, restore=_run(back) if back else ())

    def restart(self, app: App, environment: Environment, release: Release, facts: ServerFacts) -> ServerPlan:
        """Restart the project's containers and wait until they are up."""
        site = Site(app=app, environment=environment, facts=facts)
        check_compose(site)
        return plan(site, [_up(standing(site, release), "restart", "restart")])

    def task(self, app: App, environment: Environment, release: Release, task: str, facts: ServerFacts) -> ServerPlan:
        """Run a task in the directory of the current release; `docker compose` in it means this project."""
        site = Site(app=app, environment=environment, facts=facts)
        move = standing(site, release)
        return ServerPlan(server=facts.server, steps=(move.command(task, task_command(app, task), _project(site)),))

    def prune(self, app: App, environment: Environment, keep: tuple[str, ...], facts: ServerFacts) -> tuple[Step, ...]:
        """Delete folders and images of releases that are neither kept nor in use."""
        images = images_below(project_name(app, environment))
        return prune(Site(app=app, environment=environment, facts=facts), keep, images=images)


def images_below(project: str) -> str:
    """The repository below which a project's images are tagged.

    Not every project's name may stand in one (distribution's reference grammar): those get a part of their hash,
    after a dot, which no project's name has.
    """
    if _REPOSITORY.fullmatch(project):
        return f"deploybot/{project}"
    plain = re.sub(r"[^a-z0-9]+", "-", project).strip("-") or "project"
    return f"deploybot/{plain}.{hashlib.sha256(project.encode()).hexdigest()[:12]}"


def _project(site: Site) -> dict[str, str]:
    """What makes a plain `docker compose` mean this app's project (Compose's documented variables)."""
    compose = site.app.compose
    values = {"COMPOSE_PROJECT_NAME": project_name(site.app, site.environment)}
    if compose.profiles:
        values["COMPOSE_PROFILES"] = ",".join(compose.profiles)
    if compose.env_file:
        values["COMPOSE_ENV_FILES"] = compose.env_file
    return values


def _run(move: Move) -> tuple[Step, ...]:
    """Images, containers, link. Where nothing has to be made the first of them only looks."""
    # A health command gets what the last step gets, and may well call Compose.
    switch = move.switch("restored" if move.back else "switch", values=_project(move.site))
    return _build(move), _up(move, "restore" if move.back else "up", "up"), switch


def _build(move: Move) -> Step:
    site, compose = move.site, move.site.app.compose
    # A tag may mean another image by now, and the same commit deployed again asks for it. Other releases that are
    # on the server are gone back to, and keep what they had.
    again = compose.source == "images" and move.release.id == site.facts.current and not move.back
    values = {
        **_project(site),
        "DEPLOYBOT_AGAIN": "yes" if again else "no",
        "DEPLOYBOT_COMPOSE": " ".join(site.facts.compose),
        "DEPLOYBOT_COMPOSE_MAJOR": "1" if version(site.facts.compose_version)[0] == 1 else "2",
        "DEPLOYBOT_COMPOSE_FILES": "\n".join(compose.files),
        "DEPLOYBOT_COMPOSE_SOURCE": compose.source,
        "DEPLOYBOT_IMAGES": images_below(project_name(site.app, site.environment)),
        "DEPLOYBOT_PINNED": "\n".join(f"{pin.service} {pin.reference}" for pin in move.release.images),
    }
    return move.step("check images" if move.back else "build", "compose_build", values)


def _up(move: Move, name: str, action: str) -> Step:
    site, compose = move.site, move.site.app.compose
    values = {
        **_project(site),
        "DEPLOYBOT_ACTION": action,
        "DEPLOYBOT_COMPOSE": " ".join(site.facts.compose),
        "DEPLOYBOT_COMPOSE_WAITS": "yes" if version(site.facts.compose_version) >= WAITING_COMPOSE else "no",
        "DEPLOYBOT_COMPOSE_ORDER": "\n".join(compose.order),
        "DEPLOYBOT_COMPOSE_WAIT": f"{compose.wait:.0f}",
    }
    timeout = max(site.app.step_timeout, compose.wait * (2 + len(compose.order)) + _SPARE)
    return move.step(name, "compose_up", values, timeout=timeout, switches=action == "up")
