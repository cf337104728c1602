"""The values of the steps, from what is observed right before each starts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from deploybot.domain import NO_RELEASE, Container, Effect, EffectKind, Mount, Pin, Release, ServerFacts
from deploybot.ports import Site
from deploybot.strategies.compose import step_values
from deploybot.strategies.compose.release_study import study_of
from deploybot.strategies.compose.service_images import full_name
from deploybot.strategies.compose.settings_label import settings_of
from deploybot.strategies.compose.step_values import ReleaseStudy
from tests.strategies.conftest import make_app
from tests.strategies.sites import (
    FACTS,
    NEW,
    OLD,
    answered,
    configured,
    container,
    folder_of,
    image,
    image_id,
    looked,
    manifest,
    observed,
    ran,
    site_of,
)

BELOW = "deploybot/shop-production"
OURS = {"deploybot.settings": "s-1"}
LISTS = (
    "CHANGED",
    "START",
    "START_FIRST",
    "SCALE",
    "REMOVE",
    "REMOVE_LAST",
    "UNNEEDED",
    "TAGS",
    "MOUNTS",
    "OVERRIDE",
    "COMPOSE_FILES",
    "KEPT",
)
NAMES = ("conf", "data", "same", "www")
RECORD = manifest(ran("web", "1"), ran("db", "2"))


def lists(given: dict[str, str], *names: str) -> list[list[str]]:
    return [given[f"DEPLOYBOT_{name}"].split() for name in names]


def studied(site: Site, release: Release = NEW, *, config: bytes = b"", paths: bytes = b"") -> ReleaseStudy:
    return study_of(answered(site, release, config, paths), release)


def building(services: dict[str, dict[str, object]], release: Release = NEW, **more: object) -> dict[str, str]:
    """The values of a build."""
    site = site_of(**more)  # type: ignore[arg-type]
    return step_values.build_values(site, studied(site, release, config=configured(release, services)), release)


def test_nothing_is_empty_lists() -> None:
    assert step_values.nothing() == {f"DEPLOYBOT_{name}": "" for name in LISTS}


def test_what_is_built_gets_a_name_of_ours_where_it_has_none() -> None:
    given = building({"web": {"build": {"context": "."}}, "api": {"build": {"context": "api"}, "image": "acme/api"}})
    assert lists(given, "BUILD", "PULL", "PINNED") == [["api", "web"], [], []]
    assert json.loads(given["DEPLOYBOT_NAMES"]) == {"services": {"web": {"image": f"{BELOW}/web:build"}}}
    assert given["DEPLOYBOT_TAGS"] == f"acme/api {BELOW}/api:next\n{BELOW}/web:build {BELOW}/web:next"
    assert given["DEPLOYBOT_COMPOSE_FILES"] == "compose.yaml"


def test_only_images_that_are_not_here_are_pulled_beside_a_build() -> None:
    services: dict[str, dict[str, object]] = {
        "web": {"build": {"context": "."}, "image": "shop:local"},
        "worker": {"image": "shop:local"},
        "db": {"image": "postgres"},
        "cache": {"image": "redis:7"},
    }
    here = (image("1", "postgres:latest"), image("2", "redis:6"))
    given = building(services, images=here)
    assert lists(given, "BUILD", "PULL") == [["web"], ["cache"]]
    assert given["DEPLOYBOT_NAMES"] == ""
    assert lists(building(services), "PULL") == [["cache", "db"]]


def test_images_are_pulled_by_their_tags_and_pinned_ones_by_their_digests() -> None:
    app = make_app("compose", compose={"source": "images"})
    services: dict[str, dict[str, object]] = {
        "web": {"build": {"context": "."}, "image": "shop:1"},
        "db": {"image": "postgres", "pull_policy": "missing"},
        "side": {"image": "side"},
    }
    pin = Pin("side", "acme/side", "2", "sha256:" + "5" * 64)
    here = (image("1", "postgres:latest", "shop:1"),)
    given = building(services, NEW.with_images([pin]), app=app, images=here)
    assert lists(given, "BUILD", "PULL") == [[], ["web"]]
    assert given["DEPLOYBOT_PINNED"] == pin.reference
    assert f"{pin.reference} {BELOW}/side:next" in given["DEPLOYBOT_TAGS"].splitlines()


def test_a_service_of_another_program_has_no_image() -> None:
    site = site_of()
    config = configured(NEW, {"web": {"image": "shop"}, "ai": {"provider": {"type": "model"}}})
    assert step_values.next_tags(site, studied(site, config=config).config) == {"web": f"{BELOW}/web:next"}


UP_EFFECTS = (
    Effect("db", EffectKind.KEPT),
    Effect("web", EffectKind.RECREATED, "image"),
    Effect("new", EffectKind.NEW),
    Effect("old", EffectKind.REMOVED),
    Effect("foreign", EffectKind.LEFT),
    Effect("stopped", EffectKind.STARTED),
)


def upped(**more: object) -> dict[str, str]:
    """The values of an `up` for all kinds of effects."""
    half = container("web", "1", id="half", state="created", started=0.0)
    there = (container("old", "4"), container("db", "2"), container("foreign", "5"), half)
    site = site_of(*there, manifests={NEW.id: RECORD}, **more)  # type: ignore[arg-type]
    before = manifest(ran("web", "7"), ran("db", "2"))
    return step_values.up_values(site, studied(site), NEW, UP_EFFECTS, before)


def test_up_names_what_changes_and_nothing_else() -> None:
    given = upped()
    assert given.keys() == step_values.nothing().keys()
    assert lists(given, "CHANGED", "START", "REMOVE_LAST") == [["web", "new"], ["stopped"], ["id-old"]]
    # What a broken attempt left behind holds a name.
    assert lists(given, "REMOVE") == [["half"]]


def test_up_tags_the_images_of_what_runs_before_as_well() -> None:
    assert upped()["DEPLOYBOT_TAGS"].splitlines() == [
        f"{image_id('1')} {BELOW}/web:111111111111",
        f"{image_id('2')} {BELOW}/db:222222222222",
        f"{image_id('7')} {BELOW}/web:777777777777",
    ]


def test_up_pins_each_image_by_a_tag_of_its_id() -> None:
    override = json.loads(upped()["DEPLOYBOT_OVERRIDE"])["services"]
    assert override["web"]["image"] == f"{BELOW}/web:111111111111"
    assert override["web"]["pull_policy"] == "never"
    assert override["web"]["labels"]["deploybot.release"] == NEW.id
    old = json.loads(upped(facts=replace(FACTS, compose_version="1.29.2"))["DEPLOYBOT_OVERRIDE"])["services"]
    assert "pull_policy" not in old["web"]


def test_content_of_the_release_that_is_mounted_is_copied_once() -> None:
    folder = folder_of(NEW)
    mounts = [{"type": "bind", "source": f"{folder}/{name}", "target": f"/{name}"} for name in NAMES]
    config = configured(NEW, {"web": {"image": "shop", "volumes": mounts}})
    shared = "/srv/shop/shared/data"
    paths = looked(
        NEW,
        ("path", f"{folder}/conf", "folder", f"{folder}/conf", "c" * 64),
        ("path", f"{folder}/data", "folder", shared, ""),
        ("path", f"{folder}/same", "folder", f"{folder}/same", "c" * 64),
        ("path", f"{folder}/www", "folder", f"{folder}/www", "e" * 64),
    )
    site = site_of(manifests={NEW.id: manifest(ran("web", "1"))})
    study = studied(site, config=config, paths=paths)
    given = step_values.up_values(site, study, NEW, (), None)
    assert given["DEPLOYBOT_MOUNTS"] == f"{'c' * 64} {folder}/same\n{'e' * 64} {folder}/www"
    volumes = json.loads(given["DEPLOYBOT_OVERRIDE"])["services"]["web"]["volumes"]
    copy, other = (f"/srv/shop/.deploybot/mounts/{letter * 64}" for letter in "ce")
    assert [one["source"] for one in volumes] == [copy, shared, copy, other]


def test_a_mounted_file_is_copied_under_each_of_its_names() -> None:
    folder = folder_of(NEW)
    names = ("a.conf", "b c.conf", "link.conf", "sub/a.conf")
    mounts = [{"type": "bind", "source": f"{folder}/{name}", "target": f"/{name}"} for name in names]
    config = configured(NEW, {"web": {"image": "shop", "volumes": mounts}})
    real = {name: f"{folder}/{name}" for name in names} | {"link.conf": f"{folder}/conf/prod.conf"}
    paths = looked(NEW, *(("path", f"{folder}/{name}", "file", real[name], "c" * 64) for name in names))
    site = site_of(manifests={NEW.id: manifest(ran("web", "1"))})
    given = step_values.up_values(site, studied(site, config=config, paths=paths), NEW, (), None)
    assert given["DEPLOYBOT_MOUNTS"].splitlines() == [
        f"{'c' * 64}/a.conf {folder}/sub/a.conf",
        f"{'c' * 64}/b c.conf {folder}/b c.conf",
        f"{'c' * 64}/link.conf {folder}/conf/prod.conf",
    ]
    volumes = json.loads(given["DEPLOYBOT_OVERRIDE"])["services"]["web"]["volumes"]
    copies = f"/srv/shop/.deploybot/mounts/{'c' * 64}"
    assert [one["source"] for one in volumes] == [f"{copies}/{name.removeprefix('sub/')}" for name in names]


AS_BEFORE = container("web", "1", labels=OURS)


@pytest.mark.parametrize(
    ("there", "is_changed"),
    [
        ((AS_BEFORE,), False),
        ((replace(AS_BEFORE, health="healthy"),), False),
        ((replace(AS_BEFORE, state="exited"),), True),
        ((replace(AS_BEFORE, state="exited", exit_code=1),), True),
        ((replace(AS_BEFORE, state="restarting"),), True),
        ((replace(AS_BEFORE, state="paused"),), True),
        ((replace(AS_BEFORE, health="unhealthy"),), True),
        ((replace(AS_BEFORE, health="healthy", cut_off=True),), True),
        ((replace(AS_BEFORE, image_id=image_id("9")),), True),
        ((replace(AS_BEFORE, labels=()),), True),
        ((AS_BEFORE, replace(AS_BEFORE, id="second")), True),
        ((), True),
    ],
)
def test_what_is_as_before_is_not_restored(there: tuple[object, ...], is_changed: bool) -> None:
    site = site_of(*there, manifests={OLD.id: manifest(ran("web", "1"))})  # type: ignore[arg-type]
    given = step_values.restore_values(site, studied(site, OLD), OLD)
    assert lists(given, "CHANGED", "START") == [["web"] if is_changed else [], []]
    assert given["DEPLOYBOT_TAGS"] == f"{image_id('1')} {BELOW}/web:111111111111"


def test_what_runs_as_a_restore_would_start_it_is_not_restored() -> None:
    """Its settings depend on variables that changed since it was recorded."""
    site = site_of(manifests={OLD.id: manifest(ran("web", "1"), ran("db", "2"))})
    study = studied(site, OLD)
    web = study.config.of("web")
    assert web is not None
    labels = {"deploybot.settings": settings_of(web, study.facts)}
    there = (container("web", "1", labels=labels), container("db", "2", labels={"deploybot.settings": "other"}))
    site = replace(site, observed=observed(*there))
    assert step_values.restore_values(site, study, OLD)["DEPLOYBOT_CHANGED"] == "db"


def test_a_restore_brings_as_many_containers_as_there_were() -> None:
    """The number depends on a variable that changed since; if it did not, Compose finds it in the files."""
    three = replace(ran("web", "1"), replicas=3)
    site = site_of(container("web", "9"), manifests={OLD.id: manifest(three, ran("db", "2"))})
    assert step_values.restore_values(site, studied(site, OLD), OLD)["DEPLOYBOT_SCALE"] == "web=3"


BEHIND = {"image": "app", "network_mode": "service:vpn"}
AFTER = {"image": "log", "depends_on": {"app": {"condition": "service_started", "restart": True}}}


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_restore_recreates_what_uses_the_network_of_what_it_recreates(*, is_ours: bool) -> None:
    names = ("app", "beside", "log", "vpn")
    record = manifest(*(ran(name, "1") for name in names))
    behind = container("app", "1", labels=OURS, network_of="id-vpn")
    others = (container("beside", "1", labels=OURS), container("log", "1", labels=OURS))
    site = site_of(behind, *others, container("vpn", "9", labels=OURS), manifests={OLD.id: record, "": record})
    config = configured(OLD, {"app": BEHIND, "beside": {"image": "b"}, "log": AFTER, "vpn": {"image": "vpn"}})
    study = studied(site, OLD, config=config) if is_ours else None
    release = OLD if is_ours else NO_RELEASE
    changed = ["app", "log", "vpn"] if is_ours else ["app", "vpn"]
    assert lists(step_values.restore_values(site, study, release), "CHANGED") == [changed]
    # The Engine need not say it where the files do.
    site = replace(site, observed=observed(replace(behind, network_of=""), *others, container("vpn", "9")))
    assert lists(step_values.restore_values(site, study, release), "CHANGED") == [changed if is_ours else ["vpn"]]


@pytest.mark.parametrize("is_ours", [True, False])
@pytest.mark.parametrize(
    ("state", "ended", "is_again"), [("exited", True, False), ("running", True, True), ("exited", False, True)]
)
def test_a_restore_does_not_run_jobs_again_in_a_recreated_network(
    state: str, *, ended: bool, is_again: bool, is_ours: bool
) -> None:
    record = manifest(replace(ran("app", "1"), ended=ended), replace(ran("log", "1"), ended=ended), ran("vpn", "1"))
    jobs = [container(name, "1", labels=OURS, state=state, network_of="id-vpn") for name in ("app", "log")]
    site = site_of(*jobs, container("vpn", "9", labels=OURS), manifests={OLD.id: record, "": record})
    config = configured(OLD, {"app": BEHIND, "log": AFTER, "vpn": {"image": "vpn"}})
    study = studied(site, OLD, config=config) if is_ours else None
    given = step_values.restore_values(site, study, OLD if is_ours else NO_RELEASE)
    assert lists(given, "CHANGED") == [["app", "log", "vpn"] if is_again else ["vpn"]]


@pytest.mark.parametrize("cut_off", [False, True])
@pytest.mark.parametrize(("exit_code", "changed"), [(0, []), (1, ["web"])])
def test_a_job_that_had_ended_is_not_restored(exit_code: int, changed: list[str], *, cut_off: bool) -> None:
    there = replace(AS_BEFORE, state="exited", exit_code=exit_code, cut_off=cut_off)
    site = site_of(there, manifests={OLD.id: manifest(replace(ran("web", "1"), ended=True))})
    assert lists(step_values.restore_values(site, studied(site, OLD), OLD), "CHANGED") == [changed]


def test_a_restore_removes_what_the_failed_release_made_and_only_that() -> None:
    site = site_of(
        container("web", "1", labels=OURS),
        container("added", "4", labels=OURS),
        container("pinned", "4", labels={"deploybot.image": "x"}),
        container("foreign", "5"),
        container("web", "1", id="half", state="created", started=0.0),
        container("web", "1", id="dead", state="dead", started=0.0),
        container("web", "1", id="was up", state="dead", started=5.0),
        container("web", "1", id="cut off", state="exited", exit_code=137, started=5.0, cut_off=True),
        container("web", "1", id="ended", state="exited", started=5.0, cut_off=True),
        container("web", "1", id="a person's", oneoff=True, state="exited", exit_code=1, started=5.0, cut_off=True),
        manifests={OLD.id: manifest(ran("web", "1"))},
    )
    given = step_values.restore_values(site, studied(site, OLD), OLD)
    assert given["DEPLOYBOT_REMOVE"].split("\n") == ["half", "dead", "cut off", "id-added", "id-pinned"]
    assert given["DEPLOYBOT_REMOVE_LAST"] == ""
    assert given["DEPLOYBOT_COMPOSE_FILES"] == "compose.yaml"
    assert json.loads(given["DEPLOYBOT_OVERRIDE"])["services"]["web"]["labels"]["deploybot.release"] == OLD.id


@pytest.mark.parametrize(
    ("facts", "deleted"),
    [
        (replace(FACTS, docker_free=0), True),
        (replace(FACTS, docker_free=(1 << 20) - 1), True),
        (replace(FACTS, docker_free=1 << 20), False),
        (replace(FACTS, docker_free=-1, disk_free=-1), False),
        # What is free for Docker counts. That of the bot's own user is the rest without what root keeps for itself.
        (replace(FACTS, docker_free=1 << 30, disk_free=0), False),
        (replace(FACTS, docker_free=-1, disk_free=0), True),
        (replace(FACTS, docker_free=1 << 30, docker_inodes=0), True),
    ],
)
def test_on_a_full_disk_a_restore_deletes_images_of_ours_that_no_good_release_has(
    facts: ServerFacts, *, deleted: bool
) -> None:
    older = Release.of_commit("3" * 40, "v0")
    site = site_of(
        manifests={
            OLD.id: manifest(ran("web", "1")),
            older.id: manifest(ran("web", "5")),
            NEW.id: manifest(ran("web", "2")),
        },
        good=frozenset({OLD.id, older.id}),
        images=(
            image("1", f"{BELOW}/web:111111111111"),
            image("2", f"{BELOW}/web:222222222222", f"{BELOW}/web:next"),
            image("3", "deploybot/shop-staging/web:333333333333"),
            image("4", f"{BELOW}/web:444444444444", "deploybot/shop-staging/web:444444444444"),
            image("6", f"{BELOW}/web:666666666666", "acme/web:3"),
            image("5", f"{BELOW}/web:555555555555"),
        ),
    )
    site = replace(site, observed=observed(container("web", "1", labels=OURS), facts=facts))
    given = step_values.restore_values(site, studied(site, OLD), OLD)["DEPLOYBOT_UNNEEDED"]
    lines = [f"{image_id('2')} {BELOW}/web:222222222222", f"{image_id('2')} {BELOW}/web:next"]
    assert given.splitlines() == (lines if deleted else [])


ANONYMOUS = (Mount(kind="volume", source="0a" * 32, target="/data"),)
NUMBERED = OURS | {"com.docker.compose.container-number": "1"}
HALF = container("db", "2", labels=NUMBERED, id="half", state="created", started=0.0, mounts=ANONYMOUS)
CUT_OFF = replace(HALF, state="exited", exit_code=128, started=5.0, cut_off=True)
SECOND = (("deploybot.settings", "s-1"), ("com.docker.compose.container-number", "2"))
WHOLE = container("db", "2", labels=NUMBERED, created=200.0, mounts=ANONYMOUS)


@pytest.mark.parametrize(
    ("there", "removed", "held"),
    [
        ((HALF,), [], True),
        ((CUT_OFF,), [], True),
        ((HALF, replace(WHOLE, labels=SECOND)), [], True),
        ((HALF, WHOLE), ["half"], False),
        ((CUT_OFF, WHOLE), ["half"], False),
        ((replace(HALF, id="newer", created=150.0), HALF), ["newer"], True),
        ((HALF, replace(WHOLE, oneoff=True)), [], True),
        ((replace(HALF, mounts=(Mount(kind="volume", source="shop_data", target="/data"),)),), ["half"], False),
        ((replace(HALF, mounts=(Mount(kind="bind", source="f" * 64, target="/data"),)),), ["half"], False),
        ((replace(HALF, mounts=()),), ["half"], False),
    ],
)
def test_a_half_made_container_stays_if_it_alone_refers_to_data(
    there: tuple[Container, ...], removed: list[str], *, held: bool
) -> None:
    record = manifest(replace(ran("db", "2"), replicas=len(there)))
    site = site_of(*there, manifests={OLD.id: record, NEW.id: record})
    given = step_values.restore_values(site, studied(site, OLD), OLD)
    assert lists(given, "REMOVE", "CHANGED") == [removed, ["db"]]
    # The next release recreates it, too: a half-made container may lack a network.
    given = step_values.up_values(site, studied(site), NEW, [Effect("db", EffectKind.STARTED)], None)
    assert lists(given, "REMOVE", "CHANGED", "START") == [removed, *([["db"], []] if held else [[], ["db"]])]
    given = step_values.up_values(site, studied(site), NEW, [Effect("db", EffectKind.REMOVED)], None)
    assert lists(given, "CHANGED", "START") == [[], []]
    gone = {*given["DEPLOYBOT_REMOVE"].split(), *given["DEPLOYBOT_REMOVE_LAST"].split()}
    assert gone == {one.id for one in there if not one.oneoff}


def test_what_a_person_ran_is_restored_from_its_own_files() -> None:
    nobody = NO_RELEASE
    site = site_of(container("web", "9"), manifests={"": manifest(ran("web", "1"), folder="/home/me")})
    given = step_values.restore_values(site, None, nobody)
    assert given.keys() == step_values.nothing().keys()
    assert json.loads(given["DEPLOYBOT_OVERRIDE"]) == {
        "services": {"web": {"image": f"{BELOW}/web:111111111111", "pull_policy": "never"}}
    }
    assert (given["DEPLOYBOT_COMPOSE_FILES"], given["DEPLOYBOT_CHANGED"]) == ("compose.yaml", "web")
    assert given["DEPLOYBOT_SCALE"] == "web=1"
    old = replace(site, facts=replace(FACTS, compose_version="1.29.2"))
    given = step_values.restore_values(old, None, nobody)
    assert json.loads(given["DEPLOYBOT_OVERRIDE"]) == {"services": {"web": {"image": f"{BELOW}/web:111111111111"}}}


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("docker.io/library/nginx:1", "docker.io/library/nginx:1"),
        ("acme/shop", "docker.io/acme/shop:latest"),
        ("localhost:5000/shop", "localhost:5000/shop:latest"),
        ("localhost:5000/shop:2", "localhost:5000/shop:2"),
        ("nginx@sha256:abc", "docker.io/library/nginx@sha256:abc"),
        ("nginx:1@sha256:abc", "docker.io/library/nginx@sha256:abc"),
    ],
)
def test_one_image_has_one_full_name(name: str, full: str) -> None:
    assert full_name(name) == full
    assert step_values.names_of([image("1", name)]) == {full}
    assert step_values.names_of([image("1", digests=[name])]) == {full}


def test_recorded_images_are_found_by_id_digest_and_tag() -> None:
    kept = manifest(ran("web", "1"), ran("Web", "2", digest="acme/web@sha256:d"))
    first, second = step_values.image_lines(site_of(), kept).splitlines()
    assert first.split()[:3] == ["web", image_id("1"), "-"]
    assert second.split()[:3] == ["Web", image_id("2"), "acme/web@sha256:d"]
    # Two names that differ in nothing that a repository may hold have two repositories.
    assert first.split()[3].partition(":")[0] != second.split()[3].partition(":")[0]


def test_tags_that_stay() -> None:
    site = site_of(
        container("web", "8"),
        manifests={OLD.id: manifest(ran("web", "1")), NEW.id: manifest(ran("web", "2"))},
    )
    assert [*step_values.kept_tags(site, [NEW.id])] == [f"{BELOW}/web:222222222222", f"{BELOW}/web:888888888888"]
    assert [*step_values.kept_tags(replace(site, observed=None), [])] == []


def test_containers_are_ours_by_any_label_of_ours() -> None:
    assert step_values.is_ours(container("web", "1", labels={"deploybot.image": "x"}))
    assert step_values.is_ours(container("web", "1", labels={"deploybot.settings": "x"}))
    assert not step_values.is_ours(container("web", "1", labels={"com.docker.compose.project": "x"}))


def test_where_no_engine_was_asked_nothing_is_observed() -> None:
    site = site_of(observed=None)
    assert step_values.observed_of(site) == replace(observed(), project="")
    assert (step_values.below(site), step_values.major(site)) == (BELOW, 2)
