"""What a target really runs on a server, and what the bot recorded when it last saw it healthy."""

from __future__ import annotations

from dataclasses import dataclass, field

from deploybot.domain.server_facts import Container, Image, ServerFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceImage:
    """The image that one Compose service ran.

    `image` is the Engine's image id, `digest` is `name@sha256:…` in a registry or empty, `name` is the image's name in
    the Compose file. `settings` is the label `deploybot.settings` of its containers, or empty. `replicas` is the number
    of containers. `ends` is True if the service may be a job, which is healthy once it has exited with 0. `ended` is
    True if it had exited with 0 when the release was last verified. `unwell` is True if it was unhealthy when recorded.
    `build` is a hash of its build settings, empty if the image is not built.
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
    build: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The exact images that a release runs on one server. `files` are its Compose files, relative to its folder.

    `folder` is the folder of these files if it is not the release's own, as for a target that ran before the bot came.
    `env_file` and `profiles` are what bot.toml had for Compose; None if they were not recorded, `env_file` is empty if
    there was none. `configuration` is a hash of what Compose reads from files that the server has itself; empty if they
    come with the release, or if it is unknown.
    """

    services: tuple[ServiceImage, ...] = ()
    files: tuple[str, ...] = ()
    folder: str = ""
    env_file: str | None = None
    profiles: tuple[str, ...] | None = None
    configuration: str = ""

    def of(self, service: str) -> ServiceImage | None:
        """Return what a service runs; None if the release has no such service."""
        return next((one for one in self.services if one.service == service), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestRow:
    """What a release was seen to run on one server of an environment, as stored in the database.

    `verified` is True if it was seen after a success or a restore. It is False for an attempt: what a deployment
    prepared and has not verified. A release deployed again has both, so a failure does not cost it its good record.
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
    """Facts about a Docker Engine. `id` identifies the Engine; `root` is where it stores images."""

    id: str = ""
    version: str = ""
    root: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The observed state of a target on one server: what the Engine and the server reported, at one moment.

    `containers` are those of the target's Compose project, including one-off containers. `others` are all other
    containers of that Engine, without their health. `images` are the images of `containers`. `engine` is None if no
    Engine was asked.
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
        """The containers of each service, without one-off containers."""
        found: dict[str, tuple[Container, ...]] = {}
        for one in self.containers:
            if not one.oneoff:
                found[one.service] = (*found.get(one.service, ()), one)
        return found


@dataclass(frozen=True, slots=True)
class ContainerMark:
    """What shows whether a container restarted since: its Engine id, state, restarts and start (as in `Container`)."""

    id: str
    state: str
    restarts: int
    started: float


@dataclass(frozen=True, slots=True)
class WatchBaseline:
    """The containers as they were when a watch began, at `at` (seconds since the epoch)."""

    at: float
    containers: tuple[ContainerMark, ...]

    @classmethod
    def of(cls, observed: Observed, at: float) -> WatchBaseline:
        """Return the baseline of an observation that was made at `at`."""
        marks = (ContainerMark(one.id, one.state, one.restarts, one.started) for one in observed.containers)
        return cls(at, tuple(marks))
