"""How a release gets onto a server: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from deploybot.domain import Image, Manifest, Observed, Release, ServerFacts, ServerPlan, Step
from deploybot.settings import App, Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A target on one server: what bot.toml says, what was observed, and what the bot recorded of it.

    `good` are the ids of releases that were healthy there. `manifests` says by release id which images each runs.
    `running` is the id of the release that runs there by the observed state, empty where none of the bot's does.
    `answers` holds what the scripts printed that the strategy asked for (`Strategy.ask`), by their names.
    `images` are all images on its Engine. `files` are the Compose files of a release to go back to, empty for those of
    bot.toml, which may be others by now.
    `remove_orphans`: a person agreed that containers go which are in no Compose file and which the bot did not make.
    """

    app: App
    environment: Environment
    facts: ServerFacts
    observed: Observed | None = None
    good: frozenset[str] = frozenset()
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    running: str = ""
    answers: Mapping[str, bytes] = field(default_factory=dict)
    images: tuple[Image, ...] = ()
    files: tuple[str, ...] = ()
    remove_orphans: bool = False

    @property
    def directory(self) -> str:
        """The app's directory on the server."""
        return self.environment.directory or self.app.directory

    @property
    def server(self) -> str:
        """The server's name, for sentences."""
        return self.facts.server or "the server"

    def holds(self, release: Release) -> bool:
        """Whether the release's files are on the server, complete."""
        return release.id in self.facts.releases

    def trusts(self, release: Release) -> bool:
        """Whether the release is there and was healthy there once: what never succeeded is prepared again."""
        return self.holds(release) and release.id in self.good


class Strategy(Protocol):
    """How a release gets onto a server: pure. A site and a release in, steps out."""

    @property
    def containers(self) -> bool:
        """Whether it runs containers, so that an Engine is asked for the observed state."""

    def check(self, site: Site, release: Release) -> None:
        """Raise UserError where the server lacks what any deployment of the app needs."""

    def fetch(self, site: Site, release: Release, *, again: bool) -> Step:
        """Give the step that brings the release's files to the server; `again` puts them there once more."""

    def ask(self, site: Site, release: Release) -> Step | None:
        """Give the next script to run attached, on the release's files, before there can be a plan; None for none."""

    def deploy(self, site: Site, release: Release, previous: Release | None, *, back: bool = False) -> ServerPlan:
        """Give the steps forward, the gate, and the steps that put back what runs now.

        `back` asks for exactly the images that the release ran before. Raises UserError with everything that the
        server lacks or that would go wrong.
        """

    def image_names(self, site: Site, release: Release) -> Mapping[str, str]:
        """Say how the image of each service is called once the release is prepared."""

    def manifest(self, site: Site, release: Release, images: Mapping[str, tuple[str, str]]) -> Manifest:
        """Record what a prepared release runs; `images` gives each service's image id and digest."""

    def bind(self, step: Step, site: Site, release: Release) -> Mapping[str, str]:
        """Give the values of a step that depend on what is observed right before it starts."""

    def restart(self, site: Site, release: Release) -> ServerPlan:
        """Give the steps that restart what runs."""

    def task(self, site: Site, release: Release, task: str) -> ServerPlan:
        """Give the steps of a named task of bot.toml."""

    def prune(self, site: Site, keep: tuple[str, ...]) -> tuple[Step, ...]:
        """Give the steps that delete what deploybot made and nobody needs: never a release of `keep`, by their ids."""
