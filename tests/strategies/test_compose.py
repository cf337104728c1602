"""The exact steps of `compose`; test_compose_lab.py runs them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import Gate, Pin, Release, ServerFacts, Step
from deploybot.errors import UserError
from deploybot.strategies import STRATEGIES
from deploybot.strategies.compose import images_below
from tests.strategies.conftest import env_of, make_app, only

COMPOSE = STRATEGIES["compose"]
OLD, NEW = Release(commit="a" * 40, ref="v1"), Release(commit="b" * 40, ref="v2")
FACTS = ServerFacts(
    home="/home/deploy",
    server="web1",
    git=True,
    docker="24.0.5",
    compose=("docker", "compose"),
    compose_version="2.26.1",
    current=OLD.commit,
    releases=(OLD.commit,),
    have=(OLD.commit,),
)
EVERY = {
    "DEPLOYBOT_APP": "shop",
    "DEPLOYBOT_DIRECTORY": "/srv/shop",
    "DEPLOYBOT_ENVIRONMENT": "production",
    "DEPLOYBOT_PREVIOUS": OLD.commit,
    "DEPLOYBOT_REF": "v2",
    "DEPLOYBOT_RELEASE": NEW.commit,
    "DEPLOYBOT_COMMIT": NEW.commit,
    "DEPLOYBOT_RESTORE": "no",
}
BACK = EVERY | {
    "DEPLOYBOT_PREVIOUS": NEW.commit,
    "DEPLOYBOT_REF": "v1",
    "DEPLOYBOT_RELEASE": OLD.commit,
    "DEPLOYBOT_COMMIT": OLD.commit,
    "DEPLOYBOT_RESTORE": "yes",
}
PROJECT = {"COMPOSE_PROJECT_NAME": "shop-production"}
BUILD = PROJECT | {
    "DEPLOYBOT_AGAIN": "no",
    "DEPLOYBOT_COMPOSE": "docker compose",
    "DEPLOYBOT_COMPOSE_FILES": "",
    "DEPLOYBOT_COMPOSE_MAJOR": "2",
    "DEPLOYBOT_COMPOSE_SOURCE": "build",
    "DEPLOYBOT_IMAGES": "deploybot/shop-production",
    "DEPLOYBOT_PINNED": "",
}
UP = PROJECT | {
    "DEPLOYBOT_ACTION": "up",
    "DEPLOYBOT_COMPOSE": "docker compose",
    "DEPLOYBOT_COMPOSE_ORDER": "",
    "DEPLOYBOT_COMPOSE_WAIT": "120",
    "DEPLOYBOT_COMPOSE_WAITS": "yes",
}
LINK = PROJECT | {"DEPLOYBOT_SCRIPT": "", "DEPLOYBOT_COMMAND": ""}


def step(name: str, script: str, env: dict[str, str], *, switches: bool = False) -> Step:
    return Step(name=name, script=script, env=tuple(sorted(env.items())), switches=switches)


def test_from_source() -> None:
    app = make_app("compose", health={"docker": True, "within": "30s"})
    plan = COMPOSE.deploy(app, only(app), NEW, OLD, FACTS)
    fetch, *rest = plan.steps
    assert (fetch.name, fetch.script, env_of(fetch)["DEPLOYBOT_BUILT"]) == ("fetch", "fetch", "no")
    assert fetch.uploads[0].have == (OLD.commit,)
    assert rest == [
        step("build", "compose_build", EVERY | BUILD),
        step("up", "compose_up", EVERY | UP, switches=True),
        step("switch", "switch", EVERY | LINK, switches=True),
    ]
    assert plan.restore == (
        step("check images", "compose_build", BACK | BUILD),
        step("restore", "compose_up", BACK | UP, switches=True),
        step("restored", "switch", BACK | LINK, switches=True),
    )
    assert plan.gate == Gate(kind="docker", target="shop-production", within=30.0)
    assert plan.replaces == OLD


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
    plan = COMPOSE.deploy(app, only(app), NEW, OLD, FACTS)
    _, build, up, _ = map(env_of, plan.steps)
    assert (build["DEPLOYBOT_COMPOSE_FILES"], build["DEPLOYBOT_COMPOSE_SOURCE"]) == (
        "deploy/compose.yaml\ndeploy/prod.yaml",
        "images",
    )
    project = {
        "COMPOSE_PROJECT_NAME": "the_shop",
        "COMPOSE_PROFILES": "web,jobs",
        "COMPOSE_ENV_FILES": "/etc/shop.env",
    }
    assert project.items() <= build.items()
    assert project.items() <= up.items()
    assert build["DEPLOYBOT_IMAGES"] == "deploybot/the_shop"
    assert (up["DEPLOYBOT_COMPOSE_ORDER"], up["DEPLOYBOT_COMPOSE_WAIT"]) == ("db\nweb", "600")
    assert plan.steps[2].timeout == 600 * 4 + 60
    (task,) = COMPOSE.task(app, only(app), OLD, "migrate", FACTS).steps
    assert (task.name, task.script) == ("migrate", "command")
    assert project.items() <= env_of(task).items()
    assert env_of(task)["DEPLOYBOT_COMMAND"] == "docker compose run --rm web ./migrate"


def test_tags_are_asked_again_only_for_what_runs() -> None:
    app = make_app("compose", compose={"source": "images"})

    def again(release: Release, previous: Release) -> str:
        plan = COMPOSE.deploy(app, only(app), release, previous, replace(FACTS, releases=(OLD.commit, NEW.commit)))
        (build,) = (step for step in plan.steps if step.script == "compose_build")
        assert env_of(plan.restore[0])["DEPLOYBOT_AGAIN"] == "no"
        return env_of(build)["DEPLOYBOT_AGAIN"]

    assert again(OLD, OLD) == "yes"
    assert again(NEW, OLD) == "no"


def test_the_binary_with_a_dash() -> None:
    facts = replace(FACTS, compose=("docker-compose",), compose_version="1.29.2")
    app = make_app("compose")
    _, build, up, _ = map(env_of, COMPOSE.deploy(app, only(app), NEW, None, facts).steps)
    assert (build["DEPLOYBOT_COMPOSE"], build["DEPLOYBOT_COMPOSE_MAJOR"]) == ("docker-compose", "1")
    assert (up["DEPLOYBOT_COMPOSE"], up["DEPLOYBOT_COMPOSE_WAITS"]) == ("docker-compose", "no")
    old_plugin = replace(FACTS, compose_version="2.6.0")
    _, build, up, _ = map(env_of, COMPOSE.deploy(app, only(app), NEW, None, old_plugin).steps)
    assert (build["DEPLOYBOT_COMPOSE_MAJOR"], up["DEPLOYBOT_COMPOSE_WAITS"]) == ("2", "no")


def test_restart_and_prune() -> None:
    app = make_app("compose")
    (restart,) = COMPOSE.restart(app, only(app), OLD, FACTS).steps
    assert (restart.name, restart.script, restart.switches) == ("restart", "compose_up", False)
    assert env_of(restart)["DEPLOYBOT_ACTION"] == "restart"
    assert COMPOSE.prune(app, only(app), (NEW.commit,), FACTS) == ()
    (prune,) = COMPOSE.prune(app, only(app), (NEW.commit,), replace(FACTS, current=NEW.commit))
    env = env_of(prune)
    assert (env["DEPLOYBOT_KEEP"], env["DEPLOYBOT_IMAGES"]) == (NEW.commit, "deploybot/shop-production")
    with pytest.raises(UserError, match="Nothing of shop is deployed"):
        COMPOSE.restart(app, only(app), OLD, replace(FACTS, current=""))


def test_repositories_for_images_are_valid_and_never_shared() -> None:
    assert images_below("shop-production") == "deploybot/shop-production"
    assert images_below("a_b__c--d") == "deploybot/a_b__c--d"
    odd = ["shop-", "shop_-x", "shop___x", "shop_", "shop--_"]
    assert len({images_below(name) for name in odd}) == len(odd)
    for name in odd:
        assert images_below(name).startswith("deploybot/shop")
        assert "." in images_below(name)


def test_a_release_with_images_goes_by_its_identity() -> None:
    app = make_app("compose")
    pins = (Pin("side", "acme/side", "latest", f"sha256:{'2' * 64}"), Pin("web", "shop", "1", f"sha256:{'1' * 64}"))
    old, new = replace(NEW, images=pins[:1]), replace(NEW, images=pins)
    facts = replace(FACTS, current=old.id, releases=(old.id,), have=(NEW.commit,))
    plan = COMPOSE.deploy(app, only(app), new, old, facts)
    fetch, build, *_ = map(env_of, plan.steps)
    assert (fetch["DEPLOYBOT_RELEASE"], fetch["DEPLOYBOT_COMMIT"]) == (new.id, NEW.commit)
    # The commit is on the server already, in the folder of another release.
    assert (fetch["DEPLOYBOT_FROM"], plan.steps[0].uploads) == ("have", ())
    assert build["DEPLOYBOT_PINNED"] == f"side acme/side@sha256:{'2' * 64}\nweb shop@sha256:{'1' * 64}"
    assert env_of(plan.restore[0])["DEPLOYBOT_PINNED"] == f"side acme/side@sha256:{'2' * 64}"
    assert {env_of(step)["DEPLOYBOT_RELEASE"] for step in plan.restore} == {old.id}
    (prune,) = COMPOSE.prune(app, only(app), (new.id,), replace(facts, current=new.id))
    assert env_of(prune)["DEPLOYBOT_KEEP"] == new.id
