"""Targets that run Docker Compose, as they would be observed: for tests of what is computed from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from deploybot.domain import Container, Image, Manifest, Observed, Release, ServerFacts, ServiceImage
from deploybot.ports import Site
from deploybot.settings import App
from deploybot.strategies import STRATEGIES
from tests.strategies.conftest import make_app, only

COMPOSE = STRATEGIES["compose"]
DIRECTORY = "/srv/shop"
OLD, NEW = Release.of_commit("a" * 40, ref="v1"), Release.of_commit("b" * 40, ref="v2")
PROJECT = "shop-production"
BELOW = "deploybot/shop-production"
SERVICES: Mapping[str, Mapping[str, object]] = {
    "web": {"build": {"context": "."}, "image": None},
    "db": {"image": "postgres:16"},
}
FACTS = ServerFacts(
    home="/home/deploy",
    server="web1",
    git=True,
    docker="24.0.5",
    compose=("docker", "compose"),
    compose_version="2.26.1",
    current=OLD.id,
    releases=(OLD.id,),
    have=(OLD.id,),
)


def image_id(letter: str) -> str:
    """An Engine's id of an image."""
    return f"sha256:{letter * 64}"


def image(letter: str, *tags: str, digests: Sequence[str] = ()) -> Image:
    return Image(id=image_id(letter), tags=tags, digests=tuple(digests), size=1, created=1.0)


def container(service: str, letter: str, **more: object) -> Container:
    """A running container of the project that has an image."""
    labels = more.pop("labels", {})
    assert isinstance(labels, dict)
    made = Container(
        id=f"id-{service}",
        name=f"{PROJECT}-{service}-1",
        service=service,
        image=service,
        state="running",
        image_id=image_id(letter),
        project=PROJECT,
        started=100.0,
        created=100.0,
        labels=tuple(labels.items()),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def ran(service: str, letter: str, **more: object) -> ServiceImage:
    """What a manifest has of a service."""
    made = ServiceImage(service=service, image=image_id(letter), settings="s-1")
    return replace(made, **more)  # type: ignore[arg-type]


def manifest(*services: ServiceImage, folder: str = "") -> Manifest:
    return Manifest(services=services, files=("compose.yaml",), folder=folder)


def folder_of(release: Release) -> str:
    return f"{DIRECTORY}/releases/{release.id}"


def configured(
    release: Release,
    services: Mapping[str, Mapping[str, object]] = SERVICES,
    *,
    code: int = 0,
    errors: str = "",
    env: str = "",
    more: Mapping[str, object] | None = None,
    running: Mapping[str, Mapping[str, Mapping[str, object]]] | None = None,
) -> bytes:
    """What `compose_config.sh` prints; `running` are configurations by the folders that containers come from."""
    text = json.dumps({"name": PROJECT, "services": services, **(more or {})})
    lines = [f"FOLDER={folder_of(release)}", "FOUND=compose.yaml", f"ENV={env}"]
    lines += [f"CONFIG={'' if code else text}", f"ERRORS={errors}", f"CODE={code}"]
    for folder, there in (running or {}).items():
        lines += [f"RUNNING={folder}", f"RUNNING_CONFIG={json.dumps({'name': PROJECT, 'services': there})}"]
        lines += ["RUNNING_ERRORS=", "RUNNING_CODE=0"]
    return "".join(f"{line}\0" for line in (*lines, "END=")).encode()


def looked(release: Release, *records: tuple[str, str, str, str, str]) -> bytes:
    """What `compose_paths.sh` prints."""
    folder = folder_of(release)
    whole = (("release", folder, "folder", folder, ""), *records, ("end", "", "", "", ""))
    return "".join(f"{field}\0" for record in whole for field in record).encode()


def observed(*containers: Container, images: Sequence[Image] = (), facts: ServerFacts = FACTS) -> Observed:
    return Observed(facts=facts, project=PROJECT, containers=containers, images=tuple(images))


def answered(site: Site, release: Release, config: bytes = b"", paths: bytes = b"") -> Site:
    """A site on which the scripts were asked about a release."""
    said = {"compose_config": config or configured(release), "compose_paths": paths or looked(release)}
    return replace(site, answers=said)


def site_of(*containers: Container, app: App | None = None, **more: object) -> Site:
    """A target with these containers, of which the bot has recorded nothing."""
    app = app or make_app("compose")
    seen = observed(*containers)
    made = Site(app=app, environment=only(app), facts=FACTS, observed=seen)
    return replace(made, **more)  # type: ignore[arg-type]


RECORD = manifest(ran("web", "1"), ran("db", "2", digest="postgres@sha256:" + "d" * 64))
HERE = (image("1"), image("2"))


def running(**more: object) -> Site:
    """The old release runs, and was recorded."""
    made = site_of(
        container("web", "1"),
        container("db", "2"),
        good=frozenset({OLD.id}),
        manifests={OLD.id: RECORD},
        running=OLD.id,
        images=HERE,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def recorded(**more: object) -> Site:
    """The same, and the new release ran before it."""
    made = replace(running(), facts=replace(FACTS, releases=(OLD.id, NEW.id)), good=frozenset({OLD.id, NEW.id}))
    made = replace(made, manifests={OLD.id: RECORD, NEW.id: manifest(ran("web", "3"), ran("db", "2"))})
    return replace(made, images=(*HERE, image("3")), **more)  # type: ignore[arg-type]
