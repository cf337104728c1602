"""Strategies: how a release gets onto a server. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from deploybot.domain import Image, Manifest, Observed, Release, ReleaseSource, ServerFacts, ServerPlan, Step
from deploybot.settings import App, Environment, SwitchTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A target on one server: its settings in bot.toml, its observed state, and what the bot recorded.

    `app` has the keys that hold in the environment, whether it was given as a whole or not (`App.at`).
    `good` are the ids of releases that were healthy there, `bare` those of them that ran without containers.
    `manifests` has the images of each release, by release id: those that were verified, if any were. `running` is the
    id of the release that runs there by the observed state, empty if it is none of the bot's. `attempt` are its images
    if a failed deployment left others than in `manifests`. `answers` is the output of the scripts that the strategy
    asked for (`Strategy.ask`), by their names. `images` are all images on its Engine. `files` are the Compose files of
    a release to roll back to. It is empty for those of bot.toml, which may have changed since. `configuration` is the
    hash of the configuration that a release ran with, if that is to come back. `remove_orphans` is True
    if a person agreed to remove containers that are in no Compose file and that the bot did not create. `projects` are
    the Compose projects that bot.toml has on this server. `once` are the ids of releases that the bot deployed on this
    server, to this target or to one that bot.toml no longer has: containers with such a label in another project are of
    a target that was renamed.
    """

    app: App
    environment: Environment
    facts: ServerFacts
    observed: Observed | None = None
    good: frozenset[str] = frozenset()
    bare: frozenset[str] = frozenset()
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    running: str = ""
    attempt: Manifest | None = None
    answers: Mapping[str, bytes] = field(default_factory=dict)
    images: tuple[Image, ...] = ()
    files: tuple[str, ...] = ()
    configuration: str = ""
    remove_orphans: bool = False
    projects: frozenset[str] = frozenset()
    once: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Take the app as it is in the environment."""
        object.__setattr__(self, "app", self.app.at(self.environment))

    @property
    def directory(self) -> str:
        """The folder on the server in which the bot keeps the app's releases and its own files."""
        return self.app.bot_folder

    @property
    def server(self) -> str:
        """The server's name, for sentences."""
        return self.facts.server or "the server"

    @property
    def ran(self) -> Manifest | None:
        """The recorded images of what runs now; None if it is none of the bot's."""
        return self.attempt or self.manifests.get(self.running)

    def as_recorded(self, manifest: Manifest | None) -> Site:
        """Return the site with the Compose files, env file and profiles of a record: bot.toml may have others by now.

        What is not recorded stays as it is in bot.toml.
        """
        if manifest is None or manifest.folder:
            return self
        known: dict[str, object] = {"env_file": manifest.env_file, "profiles": manifest.profiles}
        compose = self.app.compose.model_copy(update={key: one for key, one in known.items() if one is not None})
        app = self.app.model_copy(update={"compose": compose})
        if self.app.server_folder:
            # Files on the server have today's names, whatever they were called when the release ran.
            return replace(self, files=(), configuration=manifest.configuration, app=app)
        return replace(self, files=manifest.files, app=app)

    def holds(self, release: Release) -> bool:
        """Return whether the release's files are complete on the server."""
        return release.id in self.facts.releases

    def trusts(self, release: Release) -> bool:
        """Return whether the release is there and was healthy before. One that never succeeded is prepared again."""
        return self.holds(release) and release.id in self.good

    def uses(self, release: Release) -> bool:
        """Return whether the release's files may be in use now, even if it never succeeded: they are not replaced."""
        return release.id in {self.running, self.facts.current, self.facts.switching}


class Strategy(Protocol):
    """How a release gets onto a server. No I/O: it takes a site and a release and returns steps."""

    @property
    def containers(self) -> bool:
        """True if it runs containers, so the Engine is asked for the observed state."""

    @property
    def takes(self) -> tuple[type[ReleaseSource], ...]:
        """The kinds of releases that it can deploy."""

    def look(self, site: Site) -> Step | None:
        """Return the script that reads the app's own files on the server; None if releases bring all files."""

    def named_images(self, site: Site) -> Mapping[str, str]:
        """Return the image of each service by the app's own files. `Site.answers` has what the script of `look` read.

        Raises UserError if they cannot be used.
        """

    def check(self, site: Site, release: Release) -> None:
        """Raise UserError if the server lacks something that every deployment of the app needs."""

    def fetch(self, site: Site, release: Release, *, again: bool) -> Step:
        """Return the step that brings the release's files to the server; `again` replaces files already there."""

    def ask(self, site: Site, release: Release) -> Step | None:
        """Return the next script to run attached on the release's files before planning; None if there is none left."""

    def deploy(self, site: Site, release: Release, previous: Release | None, *, back: bool = False) -> ServerPlan:
        """Return the steps, the gate, and the steps that restore what runs now.

        `back` requires exactly the images that the release ran before. Raises UserError with everything that the server
        lacks or that would go wrong.
        """

    def image_names(self, site: Site, release: Release) -> Mapping[str, str]:
        """Return the image name of each service of a prepared release."""

    def manifest(self, site: Site, release: Release, images: Mapping[str, tuple[str, str]]) -> Manifest:
        """Record what a prepared release runs. `images` has each service's image id and digest."""

    def bind(self, step: Step, site: Site, release: Release) -> Mapping[str, str]:
        """Return the values of a step that depend on the observed state right before it starts."""

    def restart(self, site: Site, release: Release) -> ServerPlan:
        """Return the steps that restart what runs."""

    def task(self, site: Site, release: Release, task: str) -> ServerPlan:
        """Return the steps of a named task of bot.toml."""

    def before(self, site: Site, release: Release, tasks: Sequence[SwitchTask]) -> tuple[Step, ...]:
        """Return the steps that run tasks of bot.toml in a prepared release, before anything is switched to it."""

    def after(self, site: Site, release: Release, tasks: Sequence[SwitchTask]) -> tuple[Step, ...]:
        """Return the steps that run tasks of bot.toml in a release that serves."""

    def prune(self, site: Site, keep: tuple[str, ...]) -> tuple[Step, ...]:
        """Return the steps that delete what deploybot made and no longer needs; never a release in `keep` (ids)."""
