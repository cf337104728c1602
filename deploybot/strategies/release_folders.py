"""The base of strategies with one folder per release and the link `current`. Only `deploy` is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deploybot.domain import ArtifactSource, CommitSource, CommitWithImages, Manifest, Release, ServerPlan, Step
from deploybot.ports import Site
from deploybot.settings import SwitchTask
from deploybot.strategies.common_steps import Move, plan, prune, restart_command, standing, task_command
from deploybot.strategies.server_requirements import check_server


class Folders:
    """ports.Strategy without `deploy`, for releases that run no containers."""

    containers = False
    takes = (CommitSource, CommitWithImages, ArtifactSource)  # the second from when the app still ran containers

    def look(self, site: Site) -> Step | None:
        """Return None: releases bring all files."""
        del site
        return None

    def named_images(self, site: Site) -> Mapping[str, str]:
        """Return nothing: there are no images."""
        del site
        return {}

    def check(self, site: Site, release: Release) -> None:
        """Raise UserError if the server cannot take the release."""
        check_server(site, release)

    def fetch(self, site: Site, release: Release, *, again: bool) -> Step:
        """Return the step that brings the release's files to the server."""
        return Move(site=site, release=release, previous="").fetch(built_later=bool(site.app.build), again=again)

    def ask(self, site: Site, release: Release) -> Step | None:
        """Return None: a plan needs no file of the release."""
        del site, release
        return None

    def image_names(self, site: Site, release: Release) -> Mapping[str, str]:
        """Return nothing: there are no images."""
        del site, release
        return {}

    def manifest(self, site: Site, release: Release, images: Mapping[str, tuple[str, str]]) -> Manifest:
        """Return an empty manifest: there are no services."""
        del site, release, images
        return Manifest()

    def bind(self, step: Step, site: Site, release: Release) -> Mapping[str, str]:
        """Return nothing: the plan has all values of the strategy."""
        del step, site, release
        return {}

    def restart(self, site: Site, release: Release) -> ServerPlan:
        """Return the plan that runs the restart command. Raises UserError if bot.toml has none."""
        return plan(site, [standing(site, release).command("restart", restart_command(site.app))])

    def task(self, site: Site, release: Release, task: str) -> ServerPlan:
        """Return the plan that runs a task in the directory of the current release."""
        step = standing(site, release).command(task, task_command(site, task))
        return ServerPlan(server=site.facts.server, steps=(step,))

    def before(self, site: Site, release: Release, tasks: Sequence[SwitchTask]) -> tuple[Step, ...]:
        """Return the steps that run tasks in the release's folder before `current` leads to it."""
        return Move(site=site, release=release, previous=site.running).tasks(tasks)

    def after(self, site: Site, release: Release, tasks: Sequence[SwitchTask]) -> tuple[Step, ...]:
        """Return the steps that run tasks in the release's folder."""
        return self.before(site, release, tasks)

    def prune(self, site: Site, keep: tuple[str, ...]) -> tuple[Step, ...]:
        """Return the step that deletes the folders of releases that are neither kept nor in use."""
        return prune(site, keep)
