"""The model of Compose files with every feature, as the three Composes resolve them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.strategies.compose.compose_model import (
    ComposeConfig,
    ComposeService,
    Dependency,
    ServiceBuild,
    ServiceFile,
    ServiceMount,
    ServicePort,
    parse_config,
)
from tests.strategies.compose.conftest import FIVE, ONE, TWO, Flavour, Host

FILES = {
    "conf/app.conf": "x",
    "www/index.html": "x",
    "pw.txt": "pw",
    "web.env": "FROM_FILE=hunter2\n",
    ".env": "TAG=1.2\n",
}
YAML = """
version: "3.8"
x-env: &env {SHARED: "1"}
services:
  web:
    build: {context: ., dockerfile: Dockerfile.web}
    image: shop/web:${TAG}
    env_file: web.env
    environment: {<<: *env, SECRET: "hunter2", D: "a$$b"}
    ports:
      - "8000:80"
      - "127.0.0.1:9000-9001:90-91/udp"
      - "127.0.0.1::92"
      - "[::1]:8443:443"
      - "8100-8110:81"
      - "93"
      - {target: 82, published: 8082, protocol: udp, mode: host}
    volumes:
      - ./conf:/conf:ro
      - /srv/data:/data
      - data:/var/data
      - /var/anonymous
      - {type: tmpfs, target: /tmp}
      - {type: bind, source: ./www, target: /www, read_only: true, bind: {propagation: rslave}}
    secrets: [pw, {source: pw, target: other}, {source: pw, target: /run/x}]
    depends_on: {db.main: {condition: service_healthy}, job: {condition: service_completed_successfully}}
    networks: {front: {aliases: [w]}, back: null}
    healthcheck: {test: ["CMD", "true"]}
    restart: on-failure:3
    deploy: {replicas: 2}
  db.main:
    image: postgres
    container_name: pg
    restart: always
    healthcheck: {disable: true}
  job: {image: busybox, depends_on: [db.main]}
  zero: {image: busybox, deploy: {replicas: 0, restart_policy: {condition: any}}}
  side: {image: busybox, network_mode: "service:db.main", pid: "service:job", ipc: shareable, pull_policy: always}
  more: {image: busybox, volumes_from: ["db.main:ro", "container:old"], ipc: "service:side"}
  host: {image: busybox, network_mode: host, profiles: [debug, all]}
  idle: {image: busybox, profiles: [other]}
networks:
  front: {}
  back: {external: true, name: backnet}
volumes:
  data: {}
secrets:
  pw: {file: ./pw.txt}
"""


@pytest.fixture
def config(host: Host, flavour: Flavour) -> ComposeConfig:
    host.release("r1", {**FILES, "compose.yaml": YAML})
    answers = host.ask("r1", flavour, COMPOSE_PROFILES="debug")
    folder = str(host.directory / "releases/r1")
    return parse_config(answers.release.text, profiles=["debug"], project="shop", folders=[folder])


def folder_of(host: Host) -> str:
    return str(host.directory / "releases/r1")


def service(config: ComposeConfig, name: str) -> ComposeService:
    found = config.of(name)
    assert found is not None
    return found


def test_services_of_inactive_profiles_are_left_out(config: ComposeConfig) -> None:
    assert [one.name for one in config.services] == ["db.main", "host", "job", "more", "side", "web", "zero"]
    assert service(config, "host").profiles == ("debug", "all")


def test_images_and_builds(config: ComposeConfig, host: Host) -> None:
    web = service(config, "web")
    assert (web.image, web.is_built) == ("shop/web:1.2", True)
    assert web.build == ServiceBuild(context=folder_of(host), dockerfile="Dockerfile.web")
    assert [(one.name, one.pull_policy) for one in config.services if one.pull_policy] == [("side", "always")]
    assert not service(config, "job").is_built


def test_replicas_restart_and_health(config: ComposeConfig) -> None:
    assert {one.name: one.replicas for one in config.services if one.replicas != 1} == {"web": 2, "zero": 0}
    restarts = {one.name: one.restart for one in config.services if one.restart != "no"}
    assert restarts == {"web": "on-failure", "db.main": "always", "zero": "always"}
    assert [one.name for one in config.services if one.healthcheck] == ["web"]
    assert [one.name for one in config.services if one.container_name] == ["db.main"]
    assert config.jobs == {"job"}


def test_ports_long_short_and_ranges(config: ComposeConfig) -> None:
    assert set(service(config, "web").ports) == {
        ServicePort(target=80, first=8000, last=8000),
        ServicePort(target=90, first=9000, last=9000, protocol="udp", address="127.0.0.1"),
        ServicePort(target=91, first=9001, last=9001, protocol="udp", address="127.0.0.1"),
        ServicePort(target=92, address="127.0.0.1"),
        ServicePort(target=443, first=8443, last=8443, address="::1"),
        ServicePort(target=81, first=8100, last=8110),
        ServicePort(target=93),
        ServicePort(target=82, first=8082, last=8082, protocol="udp"),
    }


def test_mounts(config: ComposeConfig, host: Host) -> None:
    folder = folder_of(host)
    assert [replace(one, creates=None, form="") for one in service(config, "web").mounts] == [
        ServiceMount(kind="bind", source=f"{folder}/conf", target="/conf", read_only=True),
        ServiceMount(kind="bind", source="/srv/data", target="/data"),
        ServiceMount(kind="volume", source="data", target="/var/data"),
        ServiceMount(kind="volume", source="", target="/var/anonymous"),
        ServiceMount(kind="tmpfs", source="", target="/tmp"),
        ServiceMount(kind="bind", source=f"{folder}/www", target="/www", read_only=True),
    ]


def test_secrets(config: ComposeConfig, host: Host) -> None:
    path = f"{folder_of(host)}/pw.txt"
    targets = [one.target for one in service(config, "web").files]
    assert targets == ["/run/secrets/pw", "/run/secrets/other", "/run/x"]
    assert service(config, "web").files[0] == ServiceFile(kind="secrets", key="pw", target=targets[0], path=path)


def test_networks_and_volumes(config: ComposeConfig, flavour: Flavour) -> None:
    assert {(one.key, one.name, one.external) for one in config.networks if one.key != "default"} == {
        ("front", "shop_front", False),
        ("back", "backnet", True),
    }
    assert [(one.name, one.external) for one in config.volumes] == [("shop_data", False)]
    assert set(service(config, "web").networks) == {"front", "back"}
    assert [service(config, name).networks for name in ("job", "side", "host")] == [("default",), (), ()]
    assert config.version == ("3.8" if flavour is ONE else "")


def test_dependencies(config: ComposeConfig, flavour: Flavour) -> None:
    assert set(service(config, "web").depends_on) == {
        Dependency(service="db.main", condition="service_healthy"),
        Dependency(service="job", condition="service_completed_successfully"),
    }
    assert service(config, "side").shares == ("db.main", "job")
    assert set(service(config, "more").shares) == {"db.main", "side"}
    restarting = {one.service for one in service(config, "side").depends_on if one.restart}
    assert restarting == (set() if flavour is ONE else {"db.main", "job"})


def test_values_of_the_environment_are_in_nothing(config: ComposeConfig) -> None:
    assert "hunter2" not in repr(config)
    assert all(len(one.base) == 64 for one in config.services)


def test_values_of_the_environment_count(host: Host, flavour: Flavour) -> None:
    host.release("r1", {**FILES, "compose.yaml": YAML})
    host.release("r2", {**FILES, "compose.yaml": YAML, "web.env": "FROM_FILE=other\n"})
    one, other = (host.config(name, flavour) for name in ("r1", "r2"))
    assert changed(one, other) == {"web"}


def changed(one: ComposeConfig, other: ComposeConfig) -> set[str]:
    assert [each.name for each in one.services] == [each.name for each in other.services]
    return {a.name for a, b in zip(one.services, other.services, strict=True) if a.base != b.base}


def test_two_folders_have_equal_settings(host: Host, flavour: Flavour) -> None:
    text = YAML + "configs:\n  conf: {file: ./conf/app.conf}\n"
    text = text.replace('SECRET: "hunter2"', 'WHERE: "${PWD}/www"')
    for name in ("r1", "r2"):
        host.release(name, {**FILES, "compose.yaml": text})
    one, other = (host.config(name, flavour, PWD=str(host.directory / "releases" / name)) for name in ("r1", "r2"))
    assert changed(one, other) == set()


def test_2_26_and_5_agree(host: Host, lab: object) -> None:
    assert lab
    host.release("r1", {**FILES, "compose.yaml": YAML.replace("scale: 0", "")})
    assert changed(host.config("r1", TWO), host.config("r1", FIVE)) == set()


CHANGES = {
    "command": ("image: postgres", "image: postgres\n    command: [sleep]", {"db.main"}),
    "label": ("container_name: pg", "container_name: pg\n    labels: {a: b}", {"db.main"}),
    "name": ("container_name: pg", "container_name: pg2", {"db.main"}),
    "image": ("image: postgres", "image: postgres:16", set[str]()),
    "build": ("Dockerfile.web", "Dockerfile", set[str]()),
    "replicas": ("replicas: 2", "replicas: 3", set[str]()),
    "pull policy": ("pull_policy: always", "pull_policy: never", set[str]()),
    "order": ("condition: service_healthy", "condition: service_started", set[str]()),
    "label of ours": ("container_name: pg", "container_name: pg\n    labels: {deploybot.release: r9}", set[str]()),
    "port": ('"8000:80"', '"8001:80"', {"web"}),
    "target": ("./conf:/conf:ro", "./conf:/conf2:ro", {"web"}),
    "read only": ("./conf:/conf:ro", "./conf:/conf", {"web"}),
    "propagation": ("propagation: rslave", "propagation: rshared", {"web"}),
    "source": ("./conf:/conf:ro", "./www:/conf:ro", set[str]()),
    "network": ("front: {}", "front: {internal: true}", {"web"}),
    "alias": ("aliases: [w]", "aliases: [v]", {"web"}),
    "volume": ("data: {}", "data: {name: elsewhere}", {"web"}),
    "secret's place": ("target: /run/x", "target: /run/y", {"web"}),
    "secret's file": ("./pw.txt", "./web.env", set[str]()),
}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, lab: object) -> Mapping[Flavour, ComposeConfig]:
    """The configuration without a change, as an old and a new Compose see it."""
    assert lab
    host = Host(tmp_path_factory.mktemp("before"))
    host.release("r1", {**FILES, "compose.yaml": YAML})
    return {flavour: host.config("r1", flavour) for flavour in (ONE, TWO)}


@pytest.mark.parametrize(("old", "new", "expected"), CHANGES.values(), ids=CHANGES.keys())
def test_what_changes_settings(
    host: Host, before: Mapping[Flavour, ComposeConfig], old: str, new: str, expected: set[str]
) -> None:
    assert YAML.count(old) == 1
    host.release("r2", {**FILES, "compose.yaml": YAML.replace(old, new)})
    for flavour, config in before.items():
        assert changed(config, host.config("r2", flavour)) == expected


OLD = {
    "1": ("web:\n  image: x\n  ports: ['80:80']\n  volumes: ['./www:/www']\n  links: [db]\ndb: {image: y}\n", ""),
    "2.4": (
        "version: '2.4'\nservices:\n  web: {image: x, scale: 0, volumes: ['./www:/www']}\n  db: {image: y}\n",
        "2.4",
    ),
    "none": ("services:\n  web: {image: x, scale: 0, volumes: ['./www:/www']}\n  db: {image: y}\n", "3.9"),
}


@pytest.mark.parametrize(("text", "version"), OLD.values(), ids=OLD.keys())
def test_docker_compose_1_reads_old_files(host: Host, lab: object, text: str, version: str) -> None:
    assert lab
    host.release("r1", {"docker-compose.yml": text, "www/index.html": "x"})
    config = host.config("r1", ONE)
    assert [one.name for one in config.services] == ["db", "web"]
    assert service(config, "web").mounts[0].source == f"{host.directory}/releases/r1/www"
    assert config.version in {version, "3.9", "2.4", "1", "2.1"}


def test_a_dollar_sign_is_one(host: Host, flavour: Flavour, tmp_path: Path) -> None:
    host.release(
        "r1", {"compose.yaml": "version: '3.8'\nservices: {web: {image: x, volumes: ['./a$$b:/x']}}\n", "a$b/x": ""}
    )
    assert service(host.config("r1", flavour), "web").mounts[0].source == f"{tmp_path}/srv/releases/r1/a$b"


def test_compose_5_has_services_that_other_programs_provide(host: Host, lab: object) -> None:
    assert lab
    host.release("r1", {"compose.yaml": "services: {db: {provider: {type: cloud}}, web: {image: x}}\n"})
    assert [(one.name, one.provided) for one in host.config("r1", FIVE).services] == [("db", True), ("web", False)]
