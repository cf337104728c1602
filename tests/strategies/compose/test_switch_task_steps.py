"""Tasks around the switch, a restart, and a change of the strategy to Compose: the exact steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.errors import UserError
from deploybot.ports import Site
from deploybot.settings import SwitchTask
from tests.strategies.conftest import env_of, make_app
from tests.strategies.sites import (
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
    folder_of,
    manifest,
    observed,
    ran,
    running,
    site_of,
)

APP = make_app("compose", tasks={"migrate": "./migrate", "warm": "./warm"}, step_timeout="5m")
MIGRATE, WARM = SwitchTask(task="migrate"), SwitchTask(task="warm", within=30.0)


def test_before_the_switch_everything_that_a_task_needs_is_made_ready() -> None:
    ready, migrate, warm = COMPOSE.before(running(app=APP), NEW, (MIGRATE, WARM))
    assert (ready.name, ready.script, ready.bind, ready.switches) == ("ready", "compose_up", "up", False)
    env = env_of(ready)
    assert (env["DEPLOYBOT_ACTION"], env["DEPLOYBOT_FOLDER"]) == ("ready", folder_of(NEW))
    assert (env["DEPLOYBOT_COMPOSE"], env["COMPOSE_PROJECT_NAME"]) == ("docker compose", PROJECT)
    assert (env["DEPLOYBOT_RELEASE"], env["DEPLOYBOT_PREVIOUS"]) == (NEW.id, OLD.id)
    assert (migrate.name, warm.name, warm.timeout) == ("migrate", "warm", 30.0)
    for task, command in ((migrate, "./migrate"), (warm, "./warm")):
        env = env_of(task)
        assert (env["DEPLOYBOT_COMMAND"], env["COMPOSE_PROJECT_NAME"]) == (command, PROJECT)
        assert env["DEPLOYBOT_RELEASE"] == NEW.id
    assert COMPOSE.before(running(app=APP), NEW, ()) == ()


def test_after_the_switch_tasks_run_in_the_new_release() -> None:
    (warm,) = COMPOSE.after(running(app=APP), NEW, (WARM,))
    env = env_of(warm)
    assert (warm.name, env["DEPLOYBOT_COMMAND"], env["COMPOSE_PROJECT_NAME"]) == ("warm", "./warm", PROJECT)
    assert env["DEPLOYBOT_RELEASE"] == NEW.id
    assert COMPOSE.after(running(app=APP), NEW, ()) == ()


def test_a_task_of_a_person_is_of_its_server() -> None:
    assert COMPOSE.task(running(app=APP), OLD, "migrate").server == "web1"


def test_nothing_is_restarted_where_there_are_no_containers() -> None:
    with pytest.raises(UserError) as caught:
        COMPOSE.restart(running(observed=observed()), OLD)
    assert caught.value.sentence == "shop has no containers on web1."
    assert caught.value.hint == "Deploy it first: deploy shop to production"


def test_several_services_are_restarted_by_their_names() -> None:
    record = manifest(ran("web", "1"), ran("db", "2"), ran("job", "3", ended=True))
    seen = running().observed
    assert seen is not None
    job = replace(seen.containers[0], id="id-job", name="job", service="job", state="exited")
    site = running(manifests={OLD.id: record}, observed=observed(*seen.containers, job))
    (restart,) = COMPOSE.restart(site, OLD).steps
    assert env_of(restart)["DEPLOYBOT_RESTART"] == "web\ndb"
    assert restart.timeout == 900
    # Without a record, all are restarted.
    (restart,) = COMPOSE.restart(running(manifests={}), OLD).steps
    assert env_of(restart)["DEPLOYBOT_RESTART"] == ""


def plain(**more: object) -> Site:
    """The old release runs without containers: the app had the strategy `files` or `script`."""
    known = {"observed": observed(), "running": OLD.id, "good": frozenset({OLD.id}), "bare": frozenset({OLD.id})}
    return answered(replace(site_of(), **{**known, **more}), NEW)  # type: ignore[arg-type]


def test_after_a_change_of_the_strategy_a_restore_removes_the_containers_and_moves_the_link_back() -> None:
    plan = COMPOSE.deploy(plain(), NEW, OLD)
    assert (
        plan.warnings[-1]
        == "`current` leads to v1 (aaaaaaaaaa), which runs without containers: it ends with the switch"
    )
    remove, restored = plan.restore
    assert (remove.name, remove.script, remove.bind, remove.switches) == ("remove", "compose_up", "restore", True)
    env = env_of(remove)
    assert (env["DEPLOYBOT_RELEASE"], env["DEPLOYBOT_PREVIOUS"]) == ("", NEW.id)
    assert (env["DEPLOYBOT_FOLDER"], env["DEPLOYBOT_RESTORE"]) == (DIRECTORY, "yes")
    assert (restored.name, restored.script) == ("restored", "switch")
    env = env_of(restored)
    assert (env["DEPLOYBOT_RELEASE"], env["DEPLOYBOT_PREVIOUS"]) == (OLD.id, NEW.id)


@pytest.mark.parametrize(
    "more",
    [
        {"bare": frozenset()},
        {"facts": replace(FACTS, current=NEW.id)},
        {"facts": replace(FACTS, releases=())},
    ],
)
def test_otherwise_the_link_alone_is_no_way_back(more: dict[str, object]) -> None:
    """It leads elsewhere, its files are gone, or it once ran in containers."""
    plan = COMPOSE.deploy(plain(**more), NEW, OLD)
    assert "remove" not in {step.name for step in plan.restore}
    assert not [one for one in plan.warnings if "without containers" in one]


def test_containers_that_run_are_the_way_back_whatever_the_link_was_once() -> None:
    site = running(bare=frozenset({OLD.id}))
    assert "remove" not in {step.name for step in COMPOSE.deploy(answered(site, NEW), NEW, OLD).restore}


@pytest.mark.parametrize(("held", "names"), [(True, []), (False, ["fetch"])])
def test_a_restore_fetches_files_that_are_gone(*, held: bool, names: list[str]) -> None:
    site = running(facts=replace(FACTS, releases=(OLD.id,) if held else ()))
    plan = COMPOSE.deploy(answered(site, NEW, configured(NEW)), NEW, OLD)
    fetched = [step for step in plan.restore if step.name == "fetch"]
    assert [step.name for step in fetched] == names
    assert [env_of(step)["DEPLOYBOT_AGAIN"] for step in fetched] == ["no"] * len(names)
    assert {env_of(step)["DEPLOYBOT_RELEASE"] for step in plan.restore} == {OLD.id}


@pytest.mark.parametrize(("letter", "pulled"), [("3", True), ("1", False)])
def test_room_is_needed_for_recorded_images_that_are_pulled_again(letter: str, *, pulled: bool) -> None:
    record = manifest(
        ran("web", letter, digest=f"acme/web@sha256:{'e' * 64}"), ran("db", "2", digest=f"postgres@sha256:{'d' * 64}")
    )
    full = replace(FACTS, releases=(OLD.id, NEW.id), docker_free=1 << 20)
    site = running(
        facts=full,
        observed=replace(observed(container("web", "1"), container("db", "2")), facts=full),
        good=frozenset({OLD.id, NEW.id}),
        manifests={OLD.id: RECORD, NEW.id: record},
    )
    site = answered(site, NEW)
    if pulled:
        with pytest.raises(UserError, match="Docker is low on disk space"):
            COMPOSE.deploy(site, NEW, OLD)
    else:
        assert not COMPOSE.deploy(site, NEW, OLD).made
