"""The exact steps of `compose`; test_compose_lab.py runs them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from deploybot.domain import (
    NO_RELEASE,
    Container,
    Effect,
    EffectKind,
    Gate,
    Manifest,
    Mount,
    Pin,
    Release,
    Step,
    UploadKind,
)
from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.strategies import STRATEGIES
from deploybot.strategies.compose.config_hash import compose_hashes
from deploybot.strategies.compose.service_images import images_below
from tests.strategies.conftest import env_of, make_app
from tests.strategies.sites import (
    DIRECTORY,
    FACTS,
    NEW,
    OLD,
    PROJECT,
    SERVICES,
    answered,
    configured,
    container,
    image,
    image_id,
    looked,
    manifest,
    observed,
    ran,
    site_of,
)

COMPOSE = STRATEGIES["compose"]
BELOW = "deploybot/shop-production"
EVERY = {
    "DEPLOYBOT_APP": "shop",
    "DEPLOYBOT_DIRECTORY": DIRECTORY,
    "DEPLOYBOT_ENVIRONMENT": "production",
    "DEPLOYBOT_PREVIOUS": OLD.id,
    "DEPLOYBOT_REF": "v2",
    "DEPLOYBOT_RELEASE": NEW.id,
    "DEPLOYBOT_COMMIT": NEW.id,
    "DEPLOYBOT_SHORT": NEW.id[:10],
    "DEPLOYBOT_TAG": "",
    "DEPLOYBOT_COMMIT_TIME": "",
    "DEPLOYBOT_RESTORE": "no",
}
BACK = EVERY | {
    "DEPLOYBOT_PREVIOUS": NEW.id,
    "DEPLOYBOT_REF": "v1",
    "DEPLOYBOT_RELEASE": OLD.id,
    "DEPLOYBOT_COMMIT": OLD.id,
    "DEPLOYBOT_SHORT": OLD.id[:10],
    "DEPLOYBOT_RESTORE": "yes",
}
NAMED = {"COMPOSE_PROJECT_NAME": PROJECT}
COMPOSED = NAMED | {
    "DEPLOYBOT_COMPOSE": "docker compose",
    "DEPLOYBOT_COMPOSE_FILES": "",
    "DEPLOYBOT_COMPOSE_MAJOR": "2",
    "DEPLOYBOT_COMPOSE_ORDER": "",
    "DEPLOYBOT_COMPOSE_WAIT": "120",
}
UP = COMPOSED | {"DEPLOYBOT_ACTION": "up"}
LINK = NAMED | {"DEPLOYBOT_SCRIPT": "", "DEPLOYBOT_COMMAND": ""}
RECORD = manifest(ran("web", "1"), ran("db", "2", digest="postgres@sha256:" + "d" * 64))
LINES = (
    f"web {image_id('1')} - {BELOW}/web:111111111111\n"
    f"db {image_id('2')} postgres@sha256:{'d' * 64} {BELOW}/db:222222222222"
)
HERE = (image("1"), image("2"))


def step(name: str, script: str, env: dict[str, str], *, switches: bool = False, bind: str = "") -> Step:
    return Step(name=name, script=script, env=tuple(sorted(env.items())), switches=switches, bind=bind)


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


def test_from_source() -> None:
    app = make_app("compose", health={"docker": True, "within": "30s"})
    plan = COMPOSE.deploy(answered(replace(running(), app=app), NEW), NEW, OLD)
    fetch, *rest = plan.steps
    assert (fetch.name, fetch.script) == ("fetch", "fetch")
    assert (env_of(fetch)["DEPLOYBOT_BUILT"], env_of(fetch)["DEPLOYBOT_AGAIN"]) == ("no", "no")
    assert (fetch.uploads[0].kind, fetch.uploads[0].have) == (UploadKind.BUNDLE, (OLD.id,))
    folder = {"DEPLOYBOT_FOLDER": f"{DIRECTORY}/releases/{NEW.id}"}
    assert rest == [
        step("build", "compose_build", EVERY | COMPOSED, bind="build"),
        step("up", "compose_up", EVERY | UP | folder, switches=True, bind="up"),
        step("switch", "switch", EVERY | LINK, switches=True),
    ]
    folder = {"DEPLOYBOT_FOLDER": f"{DIRECTORY}/releases/{OLD.id}"}
    assert plan.restore == (
        step("find images", "compose_images", BACK | NAMED | {"DEPLOYBOT_IMAGES": LINES}),
        step("restore", "compose_up", BACK | UP | folder, switches=True, bind="restore"),
        step("restored", "switch", BACK | LINK, switches=True),
    )
    assert plan.gate == Gate(kind="docker", target=PROJECT, within=30.0)
    assert (plan.replaces, plan.before, plan.verify, plan.made) == (OLD, RECORD, True, True)
    assert plan.effects == (
        Effect("db", EffectKind.RECREATED, "settings"),
        Effect("web", EffectKind.RECREATED, "settings"),
    )


def test_everything_that_bot_toml_can_say() -> None:
    app = make_app(
        "compose",
        compose={
            "files": ["deploy/compose.yaml", "deploy/prod.yaml"],
            "profiles": ["web", "jobs"],
            "env_file": "/etc/shop.env",
            "project": "the_shop",
            "source": "images",
            "order": ["db", "web"],
            "wait": "10m",
        },
        tasks={"migrate": "docker compose run --rm web ./migrate"},
    )
    config = configured(NEW, {"web": {"image": "shop:1"}})
    site = answered(replace(running(), app=app), NEW, config)
    plan = COMPOSE.deploy(site, NEW, OLD)
    _, build, up, switch = map(env_of, plan.steps)
    project = {
        "COMPOSE_PROJECT_NAME": "the_shop",
        "COMPOSE_PROFILES": "web,jobs",
        "COMPOSE_ENV_FILES": "/etc/shop.env",
    }
    for env in (build, up):
        assert env["DEPLOYBOT_COMPOSE_FILES"] == "deploy/compose.yaml\ndeploy/prod.yaml"
        assert (env["DEPLOYBOT_COMPOSE_ORDER"], env["DEPLOYBOT_COMPOSE_WAIT"]) == ("db\nweb", "600")
    assert all(project.items() <= env.items() for env in (build, up, switch))
    assert env_of(plan.restore[0])["DEPLOYBOT_IMAGES"].startswith(f"web {image_id('1')} - deploybot/the_shop/web:1")
    assert (plan.steps[1].timeout, plan.steps[2].timeout) == (900, 600 * 3 + 60)
    assert COMPOSE.image_names(site, NEW) == {"web": "deploybot/the_shop/web:next"}
    (task,) = COMPOSE.task(site, OLD, "migrate").steps
    assert (task.name, task.script) == ("migrate", "command")
    assert project.items() <= env_of(task).items()
    assert env_of(task)["DEPLOYBOT_COMMAND"] == "docker compose run --rm web ./migrate"


def test_a_release_that_ran_well_takes_its_recorded_images() -> None:
    plan = COMPOSE.deploy(answered(recorded(), NEW), NEW, OLD)
    assert [one.name for one in plan.steps] == ["fetch", "images", "up", "switch"]
    assert plan.steps[1].script == "compose_images"
    assert env_of(plan.steps[1])["DEPLOYBOT_IMAGES"].splitlines()[0] == (
        f"web {image_id('3')} - {BELOW}/web:333333333333"
    )
    assert (plan.made, plan.steps[1].bind) == (False, "")
    # What it would change is known by the images' ids.
    assert Effect("db", EffectKind.RECREATED, "settings") in plan.effects
    assert Effect("web", EffectKind.RECREATED, "image, settings") in plan.effects


def test_a_release_that_never_ran_well_is_made_again() -> None:
    site = replace(recorded(), good=frozenset({OLD.id}))
    for back in (False, True):
        assert COMPOSE.deploy(answered(site, NEW), NEW, OLD, back=back).made


def test_images_that_are_gone_are_made_again_but_not_for_going_back() -> None:
    site = answered(replace(recorded(), images=HERE), NEW)
    assert COMPOSE.deploy(site, NEW, OLD).made
    with pytest.raises(UserError, match="its image of web is not on web1 any more") as caught:
        COMPOSE.deploy(site, NEW, OLD, back=True)
    assert caught.value.hint == f"Build it again: deploy shop@{NEW.id} to production"


def test_images_that_a_registry_has_are_not_gone() -> None:
    kept = manifest(ran("web", "3", digest="acme/web@sha256:" + "3" * 64), ran("db", "2"))
    site = replace(recorded(), images=HERE, manifests={OLD.id: RECORD, NEW.id: kept})
    assert not COMPOSE.deploy(answered(site, NEW), NEW, OLD, back=True).made
    assert not COMPOSE.deploy(answered(site, NEW), NEW, OLD).made


def test_tags_are_asked_again_only_for_what_runs() -> None:
    app = make_app("compose", compose={"source": "images"})
    config = {"web": {"image": "shop:1"}, "db": {"image": "postgres:16"}}

    def made(release: Release, *, back: bool = False, app: object = app) -> bool:
        site = answered(recorded(app=app), release, configured(release, config))
        return COMPOSE.deploy(site, release, OLD, back=back).made

    assert made(OLD)
    assert not made(OLD, back=True)
    assert not made(NEW)
    assert not made(OLD, app=make_app("compose"))


def test_the_same_commit_by_another_ref_has_the_images_that_its_files_name_now() -> None:
    kept = replace(manifest(ran("web", "3", name="shop:latest"), ran("db", "2", name="postgres:16")), profiles=())
    site = replace(recorded(), manifests={OLD.id: RECORD, NEW.id: kept})

    def made(tag: str, *, back: bool = False) -> bool:
        config = configured(NEW, {"web": {"image": f"shop:{tag}"}, "db": {"image": "postgres:16"}})
        return COMPOSE.deploy(answered(site, NEW, config), NEW, OLD, back=back).made

    assert not made("latest")
    assert made("v1")
    # A rollback runs what was recorded, whatever it is called.
    assert not made("v1", back=True)


def test_a_release_with_images_of_its_own_is_the_same_again() -> None:
    app = make_app("compose", compose={"source": "images"})
    release = OLD.with_images([Pin("web", "shop", "1", f"sha256:{'1' * 64}")])
    site = recorded(app=app, running=release.id, good=frozenset({release.id}), manifests={release.id: RECORD})
    assert not COMPOSE.deploy(answered(site, release, configured(release)), release, release).made


def test_what_ran_before_the_bot_came_is_gone_back_to() -> None:
    files = {"com.docker.compose.project.config_files": "/home/me/shop/compose.yaml"}
    files["com.docker.compose.project.working_dir"] = "/home/me/shop"
    web = container("web", "9", labels=files)
    site = site_of(web, facts=replace(FACTS, current="", releases=()))
    plan = COMPOSE.deploy(answered(site, NEW, configured(NEW, running={"/home/me/shop": SERVICES})), NEW, None)
    assert plan.before == Manifest(
        services=(ran("web", "9", name="web", settings=""),),
        files=("/home/me/shop/compose.yaml",),
        folder="/home/me/shop",
    )
    find, up = plan.restore
    assert (find.name, find.script, up.name, up.script) == ("find images", "compose_images", "restore", "compose_up")
    assert env_of(up)["DEPLOYBOT_FOLDER"] == "/home/me/shop"
    assert (env_of(up)["DEPLOYBOT_RELEASE"], env_of(find)["DEPLOYBOT_RELEASE"]) == ("", "")
    assert (up.switches, up.bind) == (True, "restore")


def came_from(folder: str, said: bytes, files: str = "/home/me/shop/compose.yaml") -> Site:
    """What a person started, and what Compose says about its folder."""
    labels = {"com.docker.compose.project.config_files": files, "com.docker.compose.project.working_dir": folder}
    site = site_of(container("web", "9", labels=labels), facts=replace(FACTS, current="", releases=()))
    return answered(site, NEW, said)


def answer_for(folder: str, *, code: int = 0, errors: str = "", gone: str = "") -> bytes:
    said = configured(NEW, running={folder: SERVICES}).removesuffix(b"END=\0")
    said = said.replace(b"RUNNING_CODE=0", f"RUNNING_CODE={code}".encode())
    return (
        said.replace(b"RUNNING_ERRORS=", f"RUNNING_ERRORS={errors}".encode()) + f"RUNNING_GONE={gone}\0END=\0".encode()
    )


HOME = "/home/me/shop"
GONE: dict[str, tuple[Site, str]] = {
    "no folder": (
        came_from("/data/compose/3", answer_for("/data/compose/3", code=1, errors="The folder cannot be entered.")),
        "The folder cannot be entered.",
    ),
    "no file": (
        came_from(HOME, answer_for(HOME, gone=f"{HOME}/compose.yaml")),
        f"{HOME}/compose.yaml does not exist.",
    ),
    "from a pipe": (came_from(HOME, answer_for(HOME, gone="-"), "-"), "- does not exist."),
    "no folder of this system": (came_from("C:\\shop", configured(NEW)), ""),
}


@pytest.mark.parametrize(("site", "why"), GONE.values(), ids=GONE.keys())
def test_what_could_not_be_restored_is_not_replaced(site: Site, why: str) -> None:
    with pytest.raises(UserError, match="They could not be restored if the release fails") as caught:
        COMPOSE.deploy(site, NEW, None)
    assert caught.value.sentence.endswith(why)
    assert "docker rm -f shop-production-web-1" in caught.value.hint


def test_files_of_another_start_and_folders_of_releases_do_not_matter() -> None:
    assert COMPOSE.deploy(came_from(HOME, answer_for(HOME, gone="/home/me/other.yaml")), NEW, None).before
    assert COMPOSE.deploy(came_from(f"{DIRECTORY}/releases/{OLD.id}", configured(NEW)), NEW, None).before


def test_where_nothing_runs_there_is_nothing_to_go_back_to() -> None:
    plan = COMPOSE.deploy(answered(site_of(), NEW), NEW, None)
    assert (plan.before, plan.restore, plan.replaces) == (None, (), None)
    assert plan.effects == (Effect("db", EffectKind.NEW), Effect("web", EffectKind.NEW))


LACKING = {"web": {"image": "shop:1"}}


def test_a_recorded_service_that_the_profiles_of_now_hide_is_not_run_with_another_image() -> None:
    site = answered(recorded(), NEW, configured(NEW, LACKING))
    assert COMPOSE.deploy(site, NEW, OLD).made
    with pytest.raises(UserError, match="The release ran db, which its Compose files do not have") as caught:
        COMPOSE.deploy(site, NEW, OLD, back=True)
    assert "compose.profiles" in caught.value.hint
    with pytest.raises(UserError, match="The release ran db"):
        COMPOSE.bind(Step(name="restore", script="compose_up", bind="restore"), site, NEW)


PROFILED = {"profiles": ["app"], "env_file": "env/prod.env"}
GIVEN = ("COMPOSE_PROFILES", "COMPOSE_ENV_FILES")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"env_file": "", "profiles": ("web",)}, ["web", None]),
        ({"env_file": "old.env", "profiles": ()}, [None, "old.env"]),
        ({}, ["app", "env/prod.env"]),
        ({"env_file": "", "profiles": (), "folder": "/home/me"}, ["app", "env/prod.env"]),
    ],
    ids=["without an env file", "without profiles", "not recorded", "before the bot came"],
)
def test_what_is_restored_has_the_env_file_and_the_profiles_it_ran_with(
    more: dict[str, object], expected: list[str | None]
) -> None:
    app = make_app("compose", compose=PROFILED, tasks={"migrate": "true"})
    record = replace(RECORD, **more)  # type: ignore[arg-type]
    site = running(app=app, manifests={OLD.id: record})
    plan = COMPOSE.deploy(answered(site, NEW), NEW, OLD)
    for step in plan.restore:
        assert [env_of(step).get(name) for name in GIVEN] == expected
    for step in plan.steps[1:]:
        assert [env_of(step).get(name) for name in GIVEN] == ["app", "env/prod.env"]
    # What runs is restarted, and has its tasks run, the same way.
    for one in (COMPOSE.restart(site, OLD), COMPOSE.task(site, OLD, "migrate")):
        assert [env_of(one.steps[0]).get(name) for name in GIVEN] == expected


def test_a_release_is_recorded_with_the_settings_it_is_prepared_with() -> None:
    site = answered(running(app=make_app("compose", compose=PROFILED)), NEW)
    made = COMPOSE.manifest(site, NEW, {"web": (image_id("1"), ""), "db": (image_id("2"), "")})
    assert (made.env_file, made.profiles) == ("env/prod.env", ("app",))


def test_files_that_are_gone_are_fetched_for_the_way_back() -> None:
    site = running(facts=replace(FACTS, releases=()))
    plan = COMPOSE.deploy(answered(site, NEW), NEW, OLD)
    assert [one.name for one in plan.restore] == ["fetch", "find images", "restore", "restored"]
    assert env_of(plan.restore[0])["DEPLOYBOT_RELEASE"] == OLD.id
    # Of a release that the bot did not record it puts back nothing.
    assert COMPOSE.deploy(answered(running(manifests={}), NEW), NEW, OLD).restore == ()


def test_a_server_that_cannot_take_a_release_is_refused_before_anything() -> None:
    with pytest.raises(UserError, match=r"cannot write to /srv/shop on web1\."):
        COMPOSE.check(running(facts=replace(FACTS, writable=False)), NEW)
    with pytest.raises(UserError, match="Docker"):
        COMPOSE.check(running(facts=replace(FACTS, docker="")), NEW)


def test_a_release_is_fetched_by_its_own_id() -> None:
    values = dict(COMPOSE.fetch(running(), NEW, again=True).env)
    assert (values["DEPLOYBOT_RELEASE"], values["DEPLOYBOT_PREVIOUS"]) == (NEW.id, OLD.id)


def test_the_binary_with_a_dash() -> None:
    facts = replace(FACTS, compose=("docker-compose",), compose_version="1.29.2")
    _, build, up, _ = map(env_of, COMPOSE.deploy(answered(running(facts=facts), NEW), NEW, OLD).steps)
    assert (build["DEPLOYBOT_COMPOSE"], build["DEPLOYBOT_COMPOSE_MAJOR"]) == ("docker-compose", "1")
    assert (up["DEPLOYBOT_COMPOSE"], up["DEPLOYBOT_COMPOSE_MAJOR"]) == ("docker-compose", "1")
    with pytest.raises(UserError, match="has no Docker Compose"):
        COMPOSE.deploy(answered(running(facts=replace(FACTS, compose=())), NEW), NEW, OLD)


def test_what_would_go_wrong_is_said_at_once_and_before_anything_is_touched() -> None:
    services: dict[str, dict[str, object]] = {
        "web": {"image": "shop", "volumes": [{"type": "bind", "source": f"{DIRECTORY}/releases/{NEW.id}/data"}]},
        "db": {"image": "postgres", "container_name": "database"},
    }
    other = container("x", "7", name="database", project="other")
    data = f"{DIRECTORY}/releases/{NEW.id}/data"
    paths = looked(NEW, ("path", data, "missing", data, ""))
    site = answered(running(observed=replace(observed(), others=(other,))), NEW, configured(NEW, services), paths)
    with pytest.raises(UserError) as caught:
        COMPOSE.deploy(site, NEW, OLD)
    assert len(caught.value.sentence.splitlines()) == 2
    assert "web mounts ./data, which is not in the repository" in caught.value.sentence
    assert "db needs the container name database" in caught.value.sentence
    assert len(caught.value.hint.splitlines()) == 2


def test_a_variable_that_is_blank_now_as_well_is_a_warning() -> None:
    said = 'time="x" level=warning msg="The \\"TOKEN\\" variable is not set. Defaulting to a blank string."'
    config = configured(NEW, errors=said, running={"/home/me": {}})
    with pytest.raises(UserError, match="The Compose files use TOKEN, which is not set and would be blank"):
        COMPOSE.deploy(answered(running(), NEW, config), NEW, OLD)
    before = config.replace(b"RUNNING_ERRORS=", f"RUNNING_ERRORS={said}".encode())
    (warning,) = COMPOSE.deploy(answered(running(), NEW, before), NEW, OLD).warnings
    assert warning.startswith("The Compose files use TOKEN, which is not set and would be blank. Set it in")


HASH, VERSION = "com.docker.compose.config-hash", "com.docker.compose.version"
FOLDER, FILES = "com.docker.compose.project.working_dir", "com.docker.compose.project.config_files"
BLANK = 'time="x" level=warning msg="The \\"TOKEN\\" variable is not set. Defaulting to a blank string."'
THERE = {"web": {"image": "shop:1"}, "db": {"image": "postgres:16", "restart": "always"}}
FITS = min(compose_hashes(json.dumps({"services": THERE}), {})["db"])


def started(*containers: Container, errors: str = "", files: Sequence[str] = ("compose.yaml",)) -> Site:
    """Containers that a person started in HOME, where Compose reads the services of `THERE` with any of the files."""
    said = configured(NEW, errors=errors, running={str(number): THERE for number in range(len(files))})
    for number, one in enumerate(files):
        group = f"RUNNING={HOME}\0RUNNING_FILES={one}\0"
        said = said.replace(f"RUNNING={number}\0".encode(), group.encode())
    said = said.replace(b"RUNNING_ERRORS=", f"RUNNING_ERRORS={errors}".encode())
    return answered(site_of(*containers), NEW, said)


def by_hand(label: str = FITS, version: str = "2.26.1", file: str = "compose.yaml") -> Container:
    labels = {FOLDER: HOME, FILES: file, HASH: label, VERSION: version}
    return container("db", "2", image="postgres:16", labels=labels)


def test_a_variable_that_a_shell_may_have_had_is_not_blank_now() -> None:
    sentence = "The Compose files use TOKEN, which is not set and would be blank."
    with pytest.raises(UserError) as caught:
        COMPOSE.deploy(started(by_hand("other"), errors=BLANK), NEW, None)
    assert caught.value.sentence == sentence
    # By Compose's own rule it runs with a blank one, or that cannot be known.
    for one in (by_hand(), by_hand("other", "1.29.2"), by_hand(""), by_hand("other", "")):
        (warning,) = COMPOSE.deploy(started(one, errors=BLANK), NEW, None).warnings
        assert warning.startswith(sentence)


def test_what_would_be_restored_with_other_settings_is_a_warning() -> None:
    (warning,) = COMPOSE.deploy(started(by_hand("other")), NEW, None).warnings
    assert warning == (
        f"`docker compose up` in {HOME} would recreate db, too: the variables, the files or Compose changed since the "
        "start. If the release fails, what Compose reads there now is restored. Put variables of a shell into "
        f"{HOME}/.env and {DIRECTORY}/shared/.env first."
    )
    for one in (by_hand(), by_hand("other", "1.29.2"), by_hand("other", file="another.yaml")):
        assert COMPOSE.deploy(started(one), NEW, None).warnings == ()


def test_what_was_started_from_other_files_than_the_newest_is_not_replaced() -> None:
    newest = replace(by_hand(), id="id-web", name="shop-web-1", service="web", created=200.0)
    both = ("compose.yaml", "compose.yaml,x.yaml")
    with pytest.raises(UserError, match="db could not be restored if the release fails") as caught:
        COMPOSE.deploy(started(newest, by_hand("other", file=both[1]), files=both), NEW, None)
    assert "docker rm -f shop-production-db-1" in caught.value.hint
    for one in (by_hand(file=both[1]), by_hand("other", "1.29.2", both[1]), by_hand("other")):
        assert COMPOSE.deploy(started(newest, one, files=both), NEW, None).before


def test_restart_and_prune() -> None:
    (restart,) = COMPOSE.restart(running(), OLD).steps
    assert (restart.name, restart.script, restart.switches, restart.bind) == ("restart", "compose_up", False, "")
    env = env_of(restart)
    assert (env["DEPLOYBOT_ACTION"], env["DEPLOYBOT_CHANGED"], env["DEPLOYBOT_OVERRIDE"]) == ("restart", "", "")
    assert env["DEPLOYBOT_FOLDER"] == f"{DIRECTORY}/releases/{OLD.id}"
    assert restart.timeout == 900
    assert COMPOSE.restart(running(), OLD).verify
    (prune,) = COMPOSE.prune(running(), (NEW.id, OLD.id))
    env = env_of(prune)
    assert (env["DEPLOYBOT_KEEP"], env["DEPLOYBOT_IMAGES"]) == (f"{NEW.id}\n{OLD.id}", BELOW)
    assert prune.bind == "prune"
    with pytest.raises(UserError, match="Nothing of shop is deployed"):
        COMPOSE.restart(site_of(facts=replace(FACTS, current="")), OLD)
    with pytest.raises(UserError, match="has no Docker Compose"):
        COMPOSE.restart(running(facts=replace(FACTS, compose=())), OLD)


@pytest.mark.parametrize(
    ("state", "ended", "services"),
    [
        ("exited", True, "web"),
        ("exited", False, ""),
        ("running", True, ""),
    ],
)
def test_a_restart_leaves_jobs_that_have_ended_alone(state: str, ended: bool, services: str) -> None:
    """If all services are restarted, none is named. One that a person stopped is no job."""
    record = manifest(ran("web", "1"), ran("db", "2", ended=ended), ran("gone", "3"))
    site = running(
        manifests={OLD.id: record}, observed=observed(container("web", "1"), container("db", "2", state=state))
    )
    (restart,) = COMPOSE.restart(site, OLD).steps
    assert env_of(restart)["DEPLOYBOT_RESTART"] == services


def test_tags_that_stay_are_those_of_releases_that_are_kept_and_of_what_runs() -> None:
    site = recorded(observed=observed(container("web", "8"), container("db", "2")))
    (prune,) = COMPOSE.prune(site, (NEW.id,))
    kept = COMPOSE.bind(prune, site, NEW)["DEPLOYBOT_IMAGES_KEEP"].split("\n")
    assert kept == [f"{BELOW}/web:333333333333", f"{BELOW}/db:222222222222", f"{BELOW}/web:888888888888"]


def test_repositories_for_images_are_valid_and_never_shared() -> None:
    assert images_below("shop-production") == "deploybot/shop-production"
    assert images_below("a_b__c--d") == "deploybot/a_b__c--d"
    odd = ["shop-", "shop_-x", "shop___x", "shop_", "shop--_"]
    assert len({images_below(name) for name in odd}) == len(odd)
    for name in odd:
        assert images_below(name).startswith("deploybot/shop")
        assert "." in images_below(name)


def test_a_release_with_images_goes_by_its_identity() -> None:
    pins = (Pin("db", "acme/db", "latest", f"sha256:{'2' * 64}"), Pin("web", "shop", "1", f"sha256:{'1' * 64}"))
    old, new = NEW.with_images(pins[:1]), NEW.with_images(pins)
    facts = replace(FACTS, current=old.id, releases=(old.id,), have=(NEW.id,))
    site = running(facts=facts, running=old.id, manifests={old.id: RECORD}, good=frozenset({old.id}))
    site = answered(site, new, configured(new))
    plan = COMPOSE.deploy(site, new, old)
    fetch, build, *_ = map(env_of, plan.steps)
    assert (fetch["DEPLOYBOT_RELEASE"], fetch["DEPLOYBOT_COMMIT"]) == (new.id, NEW.id)
    # The commit is on the server already, in the folder of another release.
    assert (fetch["DEPLOYBOT_FROM"], plan.steps[0].uploads) == ("have", ())
    assert build["DEPLOYBOT_RELEASE"] == new.id
    values = COMPOSE.bind(plan.steps[1], site, new)
    assert values["DEPLOYBOT_PINNED"] == f"acme/db@sha256:{'2' * 64}\nshop@sha256:{'1' * 64}"
    assert {env_of(step)["DEPLOYBOT_RELEASE"] for step in plan.restore} == {old.id}


def test_a_pinned_image_is_recorded_by_the_digest_that_was_approved() -> None:
    pin = Pin("web", "shop", "1", f"sha256:{'1' * 64}")
    release = NEW.with_images([pin])
    site = answered(running(), release, configured(release))
    found = {"web": (image_id("5"), "mirror/shop@sha256:" + "7" * 64), "db": (image_id("6"), "postgres@sha256:6")}
    made = COMPOSE.manifest(site, release, found)
    assert [(one.service, one.image, one.digest) for one in made.services] == [
        ("db", image_id("6"), "postgres@sha256:6"),
        ("web", image_id("5"), pin.reference),
    ]
    assert made.files == ("compose.yaml",)


def test_a_name_that_only_the_server_knows_is_no_digest_of_a_registry() -> None:
    """Docker's containerd image store has a digest for each local name, also of images that were built."""
    ours = [f"{BELOW}/{service}@sha256:{number * 64}" for service, number in (("web", "5"), ("db", "6"))]
    postgres = f"postgres@sha256:{'6' * 64}"
    web = image("5", digests=[ours[0], f"acme/web@sha256:{'5' * 64}"])
    db = image("6", digests=[f"copy@sha256:{'6' * 64}", ours[1], postgres])
    site = answered(running(images=(web, db)), NEW, configured(NEW))
    found = {"web": (image_id("5"), ours[0]), "db": (image_id("6"), ours[1])}
    assert [(one.service, one.digest) for one in COMPOSE.manifest(site, NEW, found).services] == [
        ("db", postgres),
        ("web", ""),
    ]
    unknown = COMPOSE.manifest(replace(site, images=()), NEW, found)
    assert [one.digest for one in unknown.services] == ["", ""]


def test_a_recorded_name_that_only_the_server_knew_is_gone_with_its_image() -> None:
    kept = manifest(ran("web", "3", digest=f"{BELOW}/web@sha256:{'3' * 64}"), ran("db", "2"))
    site = answered(replace(recorded(), images=HERE, manifests={OLD.id: RECORD, NEW.id: kept}), NEW)
    assert COMPOSE.deploy(site, NEW, OLD).made
    with pytest.raises(UserError, match="its image of web is not on web1 any more"):
        COMPOSE.deploy(site, NEW, OLD, back=True)
    here = replace(site, images=(*HERE, image("3")))
    (images,) = (one for one in COMPOSE.deploy(here, NEW, OLD, back=True).steps if one.name == "images")
    assert env_of(images)["DEPLOYBOT_IMAGES"].splitlines()[0] == f"web {image_id('3')} - {BELOW}/web:333333333333"


def test_the_scripts_are_asked_one_after_the_other() -> None:
    site = running()
    config = COMPOSE.ask(site, NEW)
    assert config
    assert (config.name, config.script) == ("compose_config", "compose_config")
    assert env_of(config)["DEPLOYBOT_RUNNING_FOLDERS"] == ""
    assert env_of(config)["DEPLOYBOT_RELEASE"] == NEW.id
    folder = f"{DIRECTORY}/releases/{NEW.id}"
    mount = {"type": "bind", "source": f"{folder}/conf", "target": "/conf"}
    said = configured(NEW, {"web": {"image": "x", "volumes": [mount]}})
    paths = COMPOSE.ask(replace(site, answers={"compose_config": said}), NEW)
    assert paths
    assert (paths.name, paths.script) == ("compose_paths", "compose_paths")
    assert (env_of(paths)["DEPLOYBOT_PATHS"], env_of(paths)["DEPLOYBOT_MOUNTED"]) == (f"{folder}/conf", "")
    web = container("web", "1", mounts=(Mount(kind="bind", source="/home/me/conf", target="/conf"),))
    paths = COMPOSE.ask(replace(site, observed=observed(web), answers={"compose_config": said}), NEW)
    assert paths
    assert env_of(paths)["DEPLOYBOT_MOUNTED"] == f"{folder}/conf\n/home/me/conf"
    assert COMPOSE.ask(answered(site, NEW, said), NEW) is None
    # What ran before the bot came is no release: nothing is asked of it.
    assert COMPOSE.ask(site, NO_RELEASE) is None


def test_files_that_compose_refuses_are_looked_at_for_what_they_lack() -> None:
    said = configured(NEW, code=1, errors="secret file not found")
    said = said.replace(b"END=\0", b"RAW=secrets: {pw: {file: ./pw.txt}}\nservices: {web: {env_file: a.env}}\0END=\0")
    paths = COMPOSE.ask(running(answers={"compose_config": said}), NEW)
    assert paths
    folder = f"{DIRECTORY}/releases/{NEW.id}"
    assert env_of(paths)["DEPLOYBOT_PATHS"] == f"{folder}/pw.txt\n{folder}/a.env"
    missing = looked(NEW, ("path", f"{folder}/pw.txt", "missing", f"{folder}/pw.txt", ""))
    with pytest.raises(UserError, match=r"pw needs pw\.txt, which is not in the release"):
        COMPOSE.deploy(answered(running(), NEW, said, missing), NEW, OLD)


def test_containers_of_a_person_are_asked_for_in_their_folder() -> None:
    home = {"com.docker.compose.project.working_dir": "/home/me/shop"}
    home["com.docker.compose.project.config_files"] = "/home/me/shop/compose.yaml"
    config = COMPOSE.ask(site_of(container("web", "1", labels=home)), NEW)
    assert config
    assert env_of(config)["DEPLOYBOT_RUNNING_FOLDERS"] == "/home/me/shop\t/home/me/shop/compose.yaml"


def test_a_release_that_is_gone_back_to_has_its_own_compose_files() -> None:
    site = running(app=make_app("compose", compose={"files": ["ops/compose.yaml"]}), files=("a.yaml", "b.yaml"))
    config = COMPOSE.ask(site, OLD)
    assert config
    assert env_of(config)["DEPLOYBOT_COMPOSE_FILES"] == "a.yaml\nb.yaml"
    plan = COMPOSE.deploy(answered(site, OLD, configured(OLD)), OLD, OLD)
    assert COMPOSE.bind(plan.steps[2], answered(site, OLD), OLD)["DEPLOYBOT_COMPOSE_FILES"] == "a.yaml\nb.yaml"


def test_what_does_not_serve_is_restored_only_where_it_was_good() -> None:
    stopped = observed(container("web", "1", state="exited", exit_code=1))
    web, db = RECORD.services
    before = replace(RECORD, services=(replace(web, unwell=True), db))
    assert COMPOSE.deploy(answered(running(observed=stopped), NEW), NEW, OLD).before == before
    never = running(observed=stopped, good=frozenset())
    plan = COMPOSE.deploy(answered(never, NEW), NEW, OLD)
    assert (plan.before, plan.restore) == (None, ())


def test_a_release_without_any_compose_file_says_where_to_name_it() -> None:
    said = configured(NEW, code=14, errors="no configuration file provided: not found")
    said = said.replace(b"FOUND=compose.yaml", b"FOUND=")
    with pytest.raises(UserError, match=r"There is no compose\.yaml in this release") as caught:
        COMPOSE.deploy(answered(running(), NEW, said), NEW, OLD)
    assert "compose.files" in caught.value.hint


def test_up_compares_what_runs_right_before_with_the_recorded_images() -> None:
    same = settings_of_services(NEW)
    there = (
        container("web", "3", labels={"deploybot.settings": same["web"]}),
        container("db", "9", image="postgres:16", labels={"deploybot.settings": same["db"]}),
    )
    site = answered(recorded(observed=observed(*there)), NEW)
    up = COMPOSE.deploy(site, NEW, OLD).steps[2]
    values = COMPOSE.bind(up, site, NEW)
    assert (values["DEPLOYBOT_CHANGED"], values["DEPLOYBOT_START"]) == ("db", "")
    # The image that runs now keeps a tag while it may be needed again.
    assert f"{image_id('9')} {BELOW}/db:999999999999" in values["DEPLOYBOT_TAGS"].splitlines()


def test_a_restore_compares_what_runs_right_before_with_what_ran() -> None:
    there = (container("web", "3"), container("db", "2", labels={"deploybot.settings": "s-1"}))
    site = answered(recorded(observed=observed(*there)), OLD, configured(OLD))
    restore = COMPOSE.deploy(answered(site, NEW), NEW, OLD).restore[1]
    values = COMPOSE.bind(restore, site, OLD)
    assert (values["DEPLOYBOT_CHANGED"], values["DEPLOYBOT_COMPOSE_FILES"]) == ("web", "compose.yaml")
    assert OLD.id in values["DEPLOYBOT_OVERRIDE"]
    nobody = NO_RELEASE
    site = site_of(*there, manifests={"": manifest(ran("web", "1"), folder="/home/me")})
    values = COMPOSE.bind(restore, site, nobody)
    assert "deploybot.release" not in values["DEPLOYBOT_OVERRIDE"]
    assert COMPOSE.bind(replace(restore, bind=""), site, nobody) == {}


def settings_of_services(release: Release) -> dict[str, str]:
    """The label `deploybot.settings` of each service of a release."""
    site = answered(running(), release, configured(release))
    made = COMPOSE.manifest(site, release, {"web": ("", ""), "db": ("", "")})
    return {one.service: one.settings for one in made.services}
