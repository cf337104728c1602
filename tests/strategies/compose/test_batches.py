"""Which services one call of Compose brings up, and which containers go before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.domain import Container, Effect, EffectKind, PublishedPort
from deploybot.strategies.compose.release_study import study_of
from deploybot.strategies.compose.step_values import up_values
from tests.strategies.compose.conftest import Host, write
from tests.strategies.conftest import make_app
from tests.strategies.sites import FACTS, NEW, answered, configured, container, manifest, observed, ran, site_of

DONE = {"condition": "service_completed_successfully"}
SERVICES: Mapping[str, Mapping[str, object]] = {
    "web": {"image": "shop", "depends_on": {"migrate": DONE, "cache": {"condition": "service_healthy"}}},
    "migrate": {"image": "shop", "depends_on": {"db": {"condition": "service_started"}}},
    "db": {"image": "postgres:16"},
    "cache": {"image": "redis"},
    "worker": {"image": "shop", "depends_on": {"web": {"condition": "service_started"}}},
}
RECREATED, ADDED, STARTED, KEPT = EffectKind.RECREATED, EffectKind.NEW, EffectKind.STARTED, EffectKind.KEPT
GIVEN = ("CHANGED", "START_FIRST", "START")


def up(
    effects: Mapping[str, EffectKind],
    *there: Container,
    services: Mapping[str, Mapping[str, object]] = SERVICES,
    order: tuple[str, ...] = (),
    listening: tuple[PublishedPort, ...] = (),
) -> dict[str, str]:
    site = site_of(
        app=make_app("compose", compose={"order": order}),
        facts=FACTS,
        manifests={NEW.id: manifest(*(ran(name, "1") for name in services))},
        observed=observed(*there, facts=replace(FACTS, listening=listening)),
    )
    study = study_of(answered(site, NEW, configured(NEW, services)), NEW)
    return up_values(site, study, NEW, [Effect(name, kind) for name, kind in effects.items()], None)


BATCHES = {
    "a new one comes with the changed": ({"migrate": ADDED, "web": RECREATED}, ["migrate web", "", ""]),
    "all are new": ({"db": ADDED, "web": ADDED}, ["db web", "", ""]),
    "a stopped one is needed": ({"cache": STARTED, "web": RECREATED}, ["web", "cache", ""]),
    "needed by one that is needed": ({"db": STARTED, "web": RECREATED}, ["web", "db", ""]),
    "a stopped one needs it": ({"worker": STARTED, "web": RECREATED}, ["web", "", "worker"]),
    "a job runs again": ({"migrate": STARTED, "web": RECREATED}, ["migrate web", "", ""]),
    "a job runs again, and what it needs": (
        {"migrate": STARTED, "db": STARTED, "web": RECREATED},
        ["migrate web", "db", ""],
    ),
    "a stopped job that nothing waits for": ({"migrate": STARTED, "web": KEPT}, ["", "", "migrate"]),
}


@pytest.mark.parametrize(("effects", "expected"), BATCHES.values(), ids=BATCHES.keys())
def test_batches(effects: Mapping[str, EffectKind], expected: list[str]) -> None:
    given = up(effects)
    assert [given[f"DEPLOYBOT_{name}"].replace("\n", " ") for name in GIVEN] == expected
    assert "DEPLOYBOT_COMPOSE_ORDER" not in given


def test_in_an_order_a_service_brings_what_it_needs() -> None:
    effects = {"db": RECREATED, "migrate": ADDED, "web": RECREATED, "worker": RECREATED, "cache": STARTED}
    given = up(effects, order=("db", "web", "worker"))
    assert given["DEPLOYBOT_COMPOSE_ORDER"] == "db\nmigrate web\nworker"
    assert given["DEPLOYBOT_START_FIRST"] == "cache"
    given = up({"cache": STARTED, "web": RECREATED}, order=("web", "cache"))
    assert (given["DEPLOYBOT_COMPOSE_ORDER"], given["DEPLOYBOT_START_FIRST"]) == ("web\ncache", "")


EIGHTY = {"target": 80, "published": "80", "protocol": "tcp"}
TAKEN = (PublishedPort(port=80),)
BLOCKING: dict[str, tuple[dict[str, object], dict[str, object], bool]] = {
    "its port": ({"ports": [EIGHTY]}, {"ports": TAKEN}, True),
    "another port": ({"ports": [EIGHTY]}, {"ports": (PublishedPort(port=81),)}, False),
    "one of its ports": ({"ports": [{**EIGHTY, "published": "79-81"}]}, {"ports": TAKEN}, True),
    "its name": ({"container_name": "front"}, {"name": "front"}, True),
    "the name that Compose makes": ({}, {"name": "shop-production-app-1"}, True),
    "the host's network": ({"ports": [EIGHTY]}, {"host_network": True}, True),
    "the host's network, another port": ({"ports": [{**EIGHTY, "published": "81"}]}, {"host_network": True}, False),
    "nothing": ({}, {}, False),
    "any port is free": ({"ports": [{"target": 80, "protocol": "tcp"}]}, {"ports": TAKEN}, False),
}


@pytest.mark.parametrize(("wanted", "old", "is_first"), BLOCKING.values(), ids=BLOCKING.keys())
def test_what_blocks_a_service_goes_before_it(
    wanted: dict[str, object], old: dict[str, object], is_first: bool
) -> None:
    there = container("web", "1", **old)
    effects = {"app": ADDED, "web": EffectKind.REMOVED}
    given = up(effects, there, services={"app": {"image": "shop", **wanted}}, listening=TAKEN)
    expected = ["id-web", ""] if is_first else ["", "id-web"]
    assert [given["DEPLOYBOT_REMOVE"], given["DEPLOYBOT_REMOVE_LAST"]] == expected


def test_what_does_not_start_is_not_blocked() -> None:
    services = {"app": {"image": "shop", "ports": [EIGHTY]}}
    given = up({"app": KEPT, "web": EffectKind.REMOVED}, container("web", "1", ports=TAKEN), services=services)
    assert [given["DEPLOYBOT_REMOVE"], given["DEPLOYBOT_REMOVE_LAST"]] == ["", "id-web"]


DOCKER = """#!/bin/sh
case "$1" in
compose) echo "$*" >>"$CALLS" ;;
ps) echo "$*" | sed 's/.*compose.service=\\([^ ]*\\) .*/\\1/' ;;
inspect) for id; do :; done; echo "waited for $id" >>"$CALLS"; echo "running healthy" ;;
esac
"""
UP = "compose up -d --no-build --no-deps"


@pytest.fixture
def calls(any_host: Host, tmp_path: Path) -> Path:
    """The file that a Docker of ours writes its calls to."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "docker").write_text(DOCKER)
    (programs / "docker").chmod(0o755)
    any_host.path = f"{programs}:{any_host.path}"
    any_host.more["CALLS"] = str(tmp_path / "calls")
    return tmp_path / "calls"


LISTS = ("TAGS", "MOUNTS", "REMOVE", "REMOVE_LAST", "CHANGED", "START", "COMPOSE_ORDER")


def run(host: Host, release: str, folder: Path, **more: str) -> None:
    """Run the script for a release; blank for what ran before the bot came."""
    given = {
        **{f"DEPLOYBOT_{name}": "" for name in LISTS},
        "DEPLOYBOT_ACTION": "up",
        "DEPLOYBOT_COMPOSE": "docker compose",
        "DEPLOYBOT_COMPOSE_FILES": "compose.yaml",
        "DEPLOYBOT_FOLDER": str(folder),
        "DEPLOYBOT_OVERRIDE": "{}",
        "DEPLOYBOT_COMPOSE_WAIT": "5",
        "COMPOSE_PROJECT_NAME": "shop",
        **more,
    }
    host.run("compose_up", release, **given)


def test_the_script_calls_compose_once_for_each_batch(any_host: Host, calls: Path) -> None:
    folder = any_host.release("r1", {"compose.yaml": ""})
    given = {
        "DEPLOYBOT_CHANGED": "migrate\nweb\nworker",
        "DEPLOYBOT_START": "mail\nproxy",
        "DEPLOYBOT_START_FIRST": "db\ncache",
    }
    run(any_host, "r1", folder, **given)
    first = [f"{UP} --no-recreate db cache", "waited for db", "waited for cache"]
    rest = [f"{UP} --force-recreate migrate web worker", f"{UP} --no-recreate mail proxy"]
    assert calls.read_text().splitlines() == [*first, *rest]
    calls.unlink()
    run(any_host, "r1", folder, **given, DEPLOYBOT_COMPOSE_ORDER="gone\nmigrate web\nmail")
    assert calls.read_text().splitlines() == [
        *first,
        f"{UP} --force-recreate migrate web",
        "waited for migrate",
        "waited for web",
        f"{UP} --no-recreate mail",
        "waited for mail",
        f"{UP} --force-recreate worker",
        f"{UP} --no-recreate proxy",
    ]


@pytest.mark.parametrize(
    ("release", "is_there", "is_given"), [("r1", False, True), ("", False, False), ("", True, True)]
)
def test_what_ran_before_the_bot_came_needs_no_env_file(
    any_host: Host, calls: Path, tmp_path: Path, release: str, *, is_there: bool, is_given: bool
) -> None:
    """A release needs it: Compose says so."""
    folder = write(tmp_path / "home", {"compose.yaml": "", **({"prod.env": "A=1"} if is_there else {})})
    run(any_host, release, folder, DEPLOYBOT_CHANGED="web", COMPOSE_ENV_FILES="prod.env")
    assert ("--env-file prod.env" in calls.read_text()) is is_given


def test_a_service_has_as_many_containers_as_before(any_host: Host, calls: Path) -> None:
    folder = any_host.release("r1", {"compose.yaml": ""})
    given = {"DEPLOYBOT_CHANGED": "web\ndb", "DEPLOYBOT_START": "worker", "DEPLOYBOT_SCALE": "web=3\nworker=2\ngone=4"}
    run(any_host, "", folder, **given)
    assert calls.read_text().splitlines() == [
        f"{UP} --force-recreate --scale web=3 web db",
        f"{UP} --no-recreate --scale worker=2 worker",
    ]
