"""Services that mount paths of a release, and what the script found at these paths: for tests without Compose."""

from __future__ import annotations

from deploybot.strategies.compose.compose_model import (
    ComposeConfig,
    ComposeService,
    ServiceFile,
    ServiceMount,
)
from deploybot.strategies.compose.mounted_paths import (
    LostFile,
    PathFact,
    PathFacts,
    PathKind,
)

DIRECTORY, FOLDER, REAL = "/srv/shop", "/srv/shop/releases/r1", "/data/shop/releases/r1"
ONE, TWO = "1" * 64, "2" * 64


def fact(path: str, kind: PathKind = PathKind.FILE, *, real: str = "", digest: str = "") -> PathFact:
    return PathFact(path=path, kind=kind, real=real or path, digest=digest)


def facts(*paths: PathFact, lost: tuple[LostFile, ...] = ()) -> PathFacts:
    release = PathFact(path=FOLDER, kind=PathKind.FOLDER, real=REAL)
    return PathFacts(directory=DIRECTORY, release=release, paths={one.path: one for one in paths}, lost=lost)


WEB = ComposeService(
    name="web",
    base="b" * 64,
    mounts=(
        ServiceMount(kind="bind", source=f"{FOLDER}/conf", target="/conf/", form=f"{FOLDER}/conf:/conf/:ro"),
        ServiceMount(kind="bind", source="/srv/x", target="/x"),
        ServiceMount(kind="volume", source="/data", target="/data"),
        ServiceMount(kind="bind", source="relative", target="/y"),
    ),
    files=(
        ServiceFile(kind="secrets", key="pw", target="/run/secrets/pw", path=f"{FOLDER}/pw"),
        ServiceFile(kind="secrets", key="out", target="/run/secrets/out"),
    ),
)


def config(*services: ComposeService) -> ComposeConfig:
    return ComposeConfig(name="shop", services=services, version="3.8")
