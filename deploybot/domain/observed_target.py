"""What a target really runs on a server, and what the bot recorded of it when it last saw it healthy."""

from __future__ import annotations

from dataclasses import dataclass, field

from deploybot.domain.server_facts import Container, Image, ServerFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceImage:
    """The image that one Compose service ran.

    `image` is the Engine's id of it, `digest` is `name@sha256:…` in a registry or empty, `name` is what the Compose
    file calls it. `settings` is the label `deploybot.settings` of its containers, or empty. `replicas` is how many of
    them there are. `ends`: it may be a job, which is healthy when it has ended with 0. `ended`: it had ended with 0
    when the release was last verified, as a job does. `unwell`: it did not run well when this was recorded.
    """

    service: str
    image: str
    name: str = ""
    digest: str = ""
    settings: str = ""
    replicas: int = 1
    ends: bool = True
    ended: bool = False
    unwell: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Exactly which images a release runs on one server. `files` are its Compose files, relative to its folder.

    `folder` is the folder they lie in where that is not the release's own: what ran there before the bot came.
    """

    services: tuple[ServiceImage, ...] = ()
    files: tuple[str, ...] = ()
    folder: str = ""

    def of(self, service: str) -> ServiceImage | None:
        """What a service runs; None where it is none of the release's."""
        return next((one for one in self.services if one.service == service), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRow:
    """What a release was seen to run on one server of an environment, as the database keeps it.

    `verified` says that it was seen after a deployment that succeeded; else it was only found there.
    """

    app: str
    environment: str
    server: str
    release: str
    manifest: Manifest
    at: float
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What a Docker Engine says of itself. `id` tells two Engines apart; `root` is where it keeps images."""

    id: str = ""
    version: str = ""
    root: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The observed state of a target on one server: what the Engine and the server said, at one moment.

    `containers` are those of the target's Compose project, one-off ones too; `others` are all other containers of that
    Engine, without their health. `images` are those that `containers` run. `engine` is None where no Engine was asked.
    """

    facts: ServerFacts
    project: str = ""
    containers: tuple[Container, ...] = ()
    others: tuple[Container, ...] = ()
    images: tuple[Image, ...] = ()
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    engine: EngineFacts | None = None
    at: float = field(default=0.0, compare=False)

    @property
    def services(self) -> dict[str, tuple[Container, ...]]:
        """The containers of each service, without one-off ones."""
        found: dict[str, tuple[Container, ...]] = {}
        for one in self.containers:
            if not one.oneoff:
                found[one.service] = (*found.get(one.service, ()), one)
        return found
