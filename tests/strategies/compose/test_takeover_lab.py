"""A project that a person started from a folder of theirs, on a real Engine, seen with the eyes of a first release."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from deploybot.domain import Container, EffectKind, Mount, Observed, ServerFacts
from deploybot.strategies.compose.compose_answers import read_elsewhere, running_folders
from deploybot.strategies.compose.compose_model import parse_config
from deploybot.strategies.compose.service_effects import WantedService, effects_of
from deploybot.strategies.compose.settings_label import SETTINGS_LABEL
from tests.lab import Engine
from tests.strategies.compose.conftest import NAMES, ONE, PROJECT, Flavour, Host, composed, write

WAIT = """[sh, -c, 'trap "exit 0" TERM; sleep 1000 & wait']"""
RUN = f"image: lab/busybox, command: {WAIT}"
YAML = f"""
version: "3.8"
services:
  plain: {{{RUN}, environment: {{A: "<a>&b", D: "a$$b"}}}}
  web:
    image: lab/busybox
    command: {WAIT}
    env_file: web.env
    environment: {{TAG: "${{TAG}}"}}
    volumes: ["./conf:/conf:ro", "./one.conf:/one.conf", "data:/data", "./data:/here"]
    secrets: [pw]
    ports: ["8111:80"]
    networks: {{front: {{aliases: [w]}}}}
    depends_on: [plain]
    healthcheck: {{test: [CMD, "true"], interval: 1m30s}}
    deploy: {{replicas: 1}}
  built: {{build: ., command: {WAIT}, restart: always}}
  net: {{{RUN}, network_mode: "service:plain"}}
  pid: {{{RUN}, pid: "service:plain", container_name: a_name}}
MORE
networks: {{front: {{}}}}
volumes: {{data: {{}}}}
secrets: {{pw: {{file: ./pw.txt}}}}
"""
# Version 3 of the old format has neither volumes_from nor develop.
MORE = (
    f"  vol: {{{RUN}, volumes_from: ['web:ro']}}\n"
    f"  two: {{{RUN}, links: [plain], scale: 2}}\n"
    f"  dev: {{{RUN}, build: ., develop: {{watch: [{{path: ., action: rebuild}}]}}}}"
)
FILES = {
    "conf/a.conf": "a", "one.conf": "b", "pw.txt": "pw", "web.env": "Q=1\n", ".env": "TAG=5\n",
    "Dockerfile": "FROM lab/busybox\n",
}  # fmt: skip


def text_for(flavour: Flavour) -> str:
    return YAML.replace("MORE\n", "" if flavour is ONE else f"{MORE}\n")


def docker(engine: Engine) -> dict[str, str]:
    return {"DOCKER_HOST": engine.url}


@pytest.fixture
def home(engine: Engine, flavour: Flavour, tmp_path: Path) -> Iterator[Path]:
    """The folder in which a person said `docker compose up`."""
    folder = write(tmp_path / "home/shop", {**FILES, "compose.yaml": text_for(flavour), "data/db": "precious"})
    composed(flavour, folder, "up", "-d", more=docker(engine))
    yield folder
    engine.clear()


def seen(engine: Engine) -> tuple[Container, ...]:
    ids = engine.docker("ps", "-aq", "--no-trunc").split()
    return tuple(_container(one) for one in json.loads(engine.docker("inspect", *ids)))


def _container(given: Mapping[str, Any]) -> Container:
    state, config = given["State"], given["Config"]
    labels = config["Labels"]
    return Container(
        id=str(given["Id"]),
        name=str(given["Name"]).lstrip("/"),
        service=labels["com.docker.compose.service"],
        image=str(config["Image"]),
        state=str(state["Status"]),
        labels=tuple(labels.items()),
        image_id=str(given["Image"]),
        project=labels["com.docker.compose.project"],
        mounts=tuple(
            Mount(kind=one["Type"], source=one.get("Source", ""), target=one["Destination"]) for one in given["Mounts"]
        ),
    )


def effects(host: Host, flavour: Flavour, engine: Engine, release: str) -> dict[str, str]:
    """What a first release would do, in a word or two for each service."""
    containers = seen(engine)
    host.more = docker(engine)
    answers = host.ask(release, flavour, running=running_folders(containers, SETTINGS_LABEL))
    folder = str(host.directory / "releases" / release)
    config = parse_config(answers.release.text, project=PROJECT, folders=[folder, answers.release.folder])
    there = [read_elsewhere(one, containers, profiles=(), project=PROJECT) for one in answers.running]
    wanted = WantedService(
        config=config,
        facts=host.facts(release, config, containers),
        images={one.service: one.image_id for one in containers},
        elsewhere=tuple(one for one in there if one),
    )
    observed = Observed(facts=ServerFacts(home="/"), project=PROJECT, containers=containers)
    return {one.service: f"{one.kind} {one.why}".strip() for one in effects_of(observed, wanted)}


def release(host: Host, home: Path, name: str, files: Mapping[str, str]) -> None:
    """A release whose `data` is the folder that is there already."""
    folder = host.release(name, {"compose.yaml": (home / "compose.yaml").read_text(), **files})
    (folder / "data").symlink_to(home / "data")


def test_taking_over_restarts_nothing(home: Path, host: Host, flavour: Flavour, engine: Engine) -> None:
    release(host, home, "r1", FILES)
    found = effects(host, flavour, engine, "r1")
    assert len(found) == (5 if flavour is ONE else 8)
    assert set(found.values()) == {EffectKind.KEPT.value}, NAMES[flavour]


def test_and_what_the_release_changes_is_seen(home: Path, host: Host, flavour: Flavour, engine: Engine) -> None:
    changes = {
        "env": ({"web.env": "Q=2\n"}, {"web": "recreated settings"}),
        "tag": ({".env": "TAG=6\n"}, {"web": "recreated settings"}),
        "byte": ({"conf/a.conf": "z"}, {"web": "recreated mounted content"}),
        "secret": ({"pw.txt": "other"}, {"web": "recreated mounted content"}),
        "name": ({"compose.yaml": text_for(flavour).replace("a_name", "b_name")}, {"pid": "recreated settings"}),
    }
    for name, (files, expected) in changes.items():
        release(host, home, name, {**FILES, **files})
        found = effects(host, flavour, engine, name)
        assert found.pop("vol", "") in {"", "kept", "recreated with web"}
        assert {service: words for service, words in found.items() if words != "kept"} == expected, name


def test_what_was_changed_in_the_folder_but_not_brought_up_is_seen(
    home: Path, host: Host, flavour: Flavour, engine: Engine
) -> None:
    (home / "web.env").write_text("Q=7\n")
    release(host, home, "r1", {**FILES, "web.env": "Q=7\n"})
    found = effects(host, flavour, engine, "r1")
    assert (found["web"], found["plain"]) == ("recreated settings", "kept")


def outdated(host: Host, flavour: Flavour, engine: Engine) -> set[str]:
    """The services that Compose would recreate in the folder they come from."""
    containers = seen(engine)
    host.more = docker(engine)
    answers = host.ask("r1", flavour, running=running_folders(containers, SETTINGS_LABEL))
    there = [read_elsewhere(one, containers, profiles=(), project=PROJECT) for one in answers.running]
    return {
        one.service
        for folder in there
        for one in containers
        if folder and folder.is_of(one) and folder.recreates(one, flavour.major)
    }


def test_what_was_started_with_variables_of_a_shell_is_known(
    home: Path, host: Host, flavour: Flavour, engine: Engine
) -> None:
    release(host, home, "r1", FILES)
    assert outdated(host, flavour, engine) == set()
    composed(flavour, home, "up", "-d", more={**docker(engine), "TAG": "of a shell"})
    assert outdated(host, flavour, engine) == {"web"}
