"""What is recorded: of a release that is prepared, and of what runs, whoever started it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploybot.domain import Manifest, Pin, Release, ServiceImage
from deploybot.settings import ComposeSettings
from deploybot.strategies.compose.compose_model import ComposeConfig, ComposeService, ServiceMount
from deploybot.strategies.compose.mounted_paths import PathFact, PathFacts, PathKind
from deploybot.strategies.compose.release_record import files_of, manifest_of, snapshot_of, wants_others, with_health
from deploybot.strategies.compose.service_parts import read_build
from deploybot.strategies.compose.settings_label import settings_of
from tests.strategies.sites import container, image, image_id, observed

FACTS = PathFacts(directory="/srv", release=PathFact(path="/srv/r", kind=PathKind.FOLDER, real="/srv/r"))
COMPOSE = ComposeSettings(env_file="prod.env", profiles=("web",))
FILES = "com.docker.compose.project.config_files"
FOLDER = "com.docker.compose.project.working_dir"


def test_a_release_is_recorded_by_the_ids_of_its_images() -> None:
    mount = ServiceMount(kind="bind", source="/srv/x", target="/x")
    web = ComposeService(name="web", image="shop:1", base="a" * 64, replicas=2, mounts=(mount,))
    model = ComposeService(name="model", provided=True)
    config = ComposeConfig(services=(model, web))
    made = manifest_of(config, FACTS, {"web": ("sha256:1", "shop@sha256:d")}, ("a.yaml", "b.yaml"), COMPOSE)
    recorded = ServiceImage(
        service="web",
        image="sha256:1",
        name="shop:1",
        digest="shop@sha256:d",
        settings=settings_of(web, FACTS),
        replicas=2,
    )
    expected = Manifest(services=(recorded,), files=("a.yaml", "b.yaml"), env_file="prod.env", profiles=("web",))
    assert made == expected
    plain = manifest_of(config, FACTS, {"web": ("sha256:1", "shop@sha256:d")}, (), ComposeSettings())
    assert (plain.env_file, plain.profiles) == ("", ())


@pytest.mark.parametrize(
    ("image", "build", "others"),
    [
        ("shop:latest", {"args": {"TAG": ""}}, False),
        ("shop:v1", {"args": {"TAG": ""}}, True),
        ("shop:latest", {"args": {"TAG": "v1"}}, True),
        ("shop:latest", None, True),
    ],
)
def test_another_ref_may_mean_other_images(image: str, build: dict[str, Any] | None, others: bool) -> None:
    """As with `${DEPLOYBOT_TAG}` in an image's name or in build settings, if the same commit is deployed by a tag."""

    def config(image: str, build: dict[str, Any] | None) -> ComposeConfig:
        given = None if build is None else {"context": "/r", **build}
        return ComposeConfig(services=(ComposeService(name="web", image=image, build=read_build(given, "build")),))

    images = {"web": ("sha256:1", "")}
    record = manifest_of(config("shop:latest", {"args": {"TAG": ""}}), FACTS, images, (), COMPOSE)
    now, release = config(image, build), Release.of_commit("1" * 40, "v1")
    assert wants_others(now, record, release) is others
    pin = Pin(service="web", image="shop", tag="1", digest="sha256:" + "1" * 64)
    assert not wants_others(now, record, release.with_images([pin]))
    # Nothing is known of a record of an earlier version.
    assert not wants_others(now, replace(record, profiles=None), release)
    unbuilt = replace(record, services=(replace(record.services[0], build="", name=image),))
    assert not wants_others(now, unbuilt, release)


@pytest.mark.parametrize("restart", ["no", "always"])
def test_it_is_recorded_whether_a_service_may_end(restart: str) -> None:
    config = ComposeConfig(services=(ComposeService(name="web", restart=restart),))
    (web,) = manifest_of(config, FACTS, {"web": ("sha256:1", "")}, (), COMPOSE).services
    assert web.ends is (restart == "no")


def test_what_runs_is_recorded_whoever_started_it() -> None:
    web = container("web", "1", labels={FILES: "/home/me/a.yaml,/home/me/b.yaml", FOLDER: "/home/me"})
    found = observed(
        replace(web, created=300.0),
        replace(web, id="second", created=50.0),
        container("db", "2", image="postgres:16", labels={FILES: "/old.yaml", FOLDER: "/old"}),
        container("job", "3", oneoff=True),
        images=(image("1"), image("2", digests=["postgres@sha256:d", "mirror@sha256:d"])),
    )
    assert snapshot_of(found) == Manifest(
        services=(
            ServiceImage(service="db", image=image_id("2"), name="postgres:16", digest="postgres@sha256:d"),
            ServiceImage(service="web", image=image_id("1"), name="web", replicas=2),
        ),
        files=("/home/me/a.yaml", "/home/me/b.yaml"),
        folder="/home/me",
    )


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("ghcr.io/me/web:1", "ghcr.io/me/web@sha256:d"),
        ("shop-production-web", ""),
        ("shop-production_web:latest", ""),
        ("deploybot/shop-production/web:1", "copy@sha256:d"),
    ],
)
def test_a_digest_of_what_runs_is_one_of_a_registry(name: str, digest: str) -> None:
    digests = ["deploybot/shop-production/web@sha256:d", "copy@sha256:d", "ghcr.io/me/web@sha256:d"]
    made = snapshot_of(observed(container("web", "1", image=name), images=[image("1", digests=digests)]))
    assert made
    assert made.services[0].digest == digest


@pytest.mark.parametrize(
    ("state", "ended", "unwell"),
    [
        ({"state": "exited", "exit_code": 0}, True, False),
        ({"state": "exited", "exit_code": 3}, False, True),
        ({"health": "unhealthy"}, False, True),
        ({"state": "paused"}, False, True),
        ({"health": "healthy"}, False, False),
    ],
)
def test_how_it_runs_is_recorded(state: dict[str, Any], ended: bool, unwell: bool) -> None:
    found = observed(replace(container("web", "1"), **state), container("db", "2"))
    made = snapshot_of(found)
    assert made
    one = made.of("web")
    assert one
    assert (one.ended, one.unwell) == (ended, unwell)
    again = with_health(Manifest(services=(replace(one, unwell=not unwell),)), found).services[0]
    assert again.unwell is unwell


def test_settings_that_we_labelled_are_recorded() -> None:
    made = snapshot_of(observed(container("web", "1", labels={"deploybot.settings": "s-1"})))
    assert made
    assert made.services[0].settings == "s-1"


def test_where_nothing_runs_nothing_is_recorded() -> None:
    assert snapshot_of(observed()) is None
    stopped = container("web", "1", state="exited")
    assert snapshot_of(observed(stopped)) is None
    assert snapshot_of(observed(stopped, container("task", "1", oneoff=True))) is None
    # One service that ended does not hide those that run.
    made = snapshot_of(observed(stopped, container("db", "2")))
    assert made
    assert [one.service for one in made.services] == ["db", "web"]


def test_files_are_those_that_compose_noted() -> None:
    assert files_of(container("web", "1")) == ()
    assert files_of(container("web", "1", labels={FILES: "/a.yaml,,/b.yaml"})) == ("/a.yaml", "/b.yaml")
