"""What is known before a release is started, as `problems_of` gets it: made services, containers and paths."""

from __future__ import annotations

from dataclasses import replace

from deploybot.domain import Container, Effect, EffectKind, Observed, ServerFacts
from deploybot.strategies.compose.compose_answers import ConfigAnswer, ConfigAnswers
from deploybot.strategies.compose.compose_model import ComposeConfig, ComposeResource, ComposeService, ServiceMount
from deploybot.strategies.compose.mounted_paths import LostFile, PathFact, PathFacts, PathKind
from deploybot.strategies.compose.preflight import Preflight, problems_of

FOLDER = "/srv/releases/r2"
RELEASE = PathFact(path=FOLDER, kind=PathKind.FOLDER, real=FOLDER)
WORKING_DIR = "com.docker.compose.project.working_dir"


def container(service: str = "web", project: str = "shop", **more: object) -> Container:
    name = f"{project}-{service}-1" if project else service
    made = Container(id=name, name=name, service=service, image="x", state="running", project=project)
    return replace(made, **more)  # type: ignore[arg-type]


def known(
    *services: ComposeService,
    ours: tuple[Container, ...] = (),
    others: tuple[Container, ...] = (),
    paths: tuple[PathFact, ...] = (),
    lost: tuple[LostFile, ...] = (),
    networks: tuple[ComposeResource, ...] = (),
    volumes: tuple[ComposeResource, ...] = (),
    errors: str = "",
    before: str = "",
    **more: object,
) -> Preflight:
    there = ("there",)
    server = ServerFacts(home="/")
    made = Preflight(
        config=ComposeConfig(name="shop", services=services, networks=networks, volumes=volumes),
        observed=Observed(facts=server, project="shop", containers=ours, others=others, networks=there, volumes=there),
        facts=PathFacts(directory="/srv", release=RELEASE, paths={one.path: one for one in paths}, lost=lost),
        effects=tuple(Effect(one.name, EffectKind.RECREATED) for one in services),
        answers=ConfigAnswers(
            release=ConfigAnswer(folder=FOLDER, code=0, errors=errors),
            running=(ConfigAnswer(folder="/home", code=0, errors=before),),
        ),
        version=(2, 26),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def told(given: Preflight) -> list[str]:
    return [one.sentence for one in problems_of(given)]


def service(name: str = "web", **more: object) -> ComposeService:
    return replace(ComposeService(name=name, image="x"), **more)  # type: ignore[arg-type]


def mounting(source: str, *, creates: bool | None = None) -> ComposeService:
    return service(mounts=(ServiceMount(kind="bind", source=source, target="/x", creates=creates),))


def at(path: str, kind: PathKind, real: str = "") -> PathFact:
    return PathFact(path=path, kind=kind, real=real or path)
