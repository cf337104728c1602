"""The exact steps of `compose`, and what it refuses before them; test_compose_lab.py runs the steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import (
    NO_RELEASE,
    Effect,
    EffectKind,
    Gate,
    Mount,
    Pin,
    Step,
    UploadKind,
)
from deploybot.errors import UserError
from tests.strategies.conftest import env_of, make_app
from tests.strategies.sites import (
    BELOW,
    COMPOSE,
    DIRECTORY,
    FACTS,
    NEW,
    OLD,
    PROJECT,
    RECORD,
    answered,
    configured,
    container,
    image_id,
    looked,
    manifest,
    observed,
    ran,
    running,
    site_of,
)

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
LINES = (
    f"web {image_id('1')} - {BELOW}/web:111111111111\n"
    f"db {image_id('2')} postgres@sha256:{'d' * 64} {BELOW}/db:222222222222"
)


def step(name: str, script: str, env: dict[str, str], *, switches: bool = False, bind: str = "") -> Step:
    return Step(name=name, script=script, env=tuple(sorted(env.items())), switches=switches, bind=bind)


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


def test_a_release_without_any_compose_file_says_where_to_name_it() -> None:
    said = configured(NEW, code=14, errors="no configuration file provided: not found")
    said = said.replace(b"FOUND=compose.yaml", b"FOUND=")
    with pytest.raises(UserError, match=r"There is no compose\.yaml in this release") as caught:
        COMPOSE.deploy(answered(running(), NEW, said), NEW, OLD)
    assert "compose.files" in caught.value.hint
