"""Which registry logins a step gets."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from deploybot.deployments.registry_logins import app_logins, registry_values
from deploybot.domain import Step
from deploybot.domain.registry_access import LOGINS
from deploybot.errors import ConfigError
from deploybot.settings import Settings
from tests.kit.settings import bot_settings

D = "sha256:" + "0" * 64
HOUSE = "registry.example.com:5000"
HUB = "https://index.docker.io/v1/"
BUILD, IMAGES = (Step(name=name, script=name) for name in ("compose_build", "compose_images"))


def settings(apps: object = "shop", **shop: object) -> Settings:
    login = {"user": "bot", "password": {"env": "P"}, **({} if apps is None else {"apps": apps})}
    return bot_settings(
        apps={"shop": {"strategy": "compose", **shop}, "blog": {}},
        values={"P": "pass"},
        registries={
            "house": {"host": "Registry.example.com:5000", **login},
            "hub": {"host": "docker.io", **login},
            "public": {"host": "public.example.com", "plain": True},
        },
    )


def hosts(found: Mapping[str, str]) -> set[str]:
    if not found:
        return set()
    auths, helpers = found[LOGINS].split("\n")
    assert json.loads(f"{{{helpers}}}").keys() == json.loads(f"{{{auths}}}").keys()
    return {*json.loads(f"{{{auths}}}")}


def given(step: Step, values: Mapping[str, str], found: Settings | None = None) -> set[str]:
    known = found or settings()
    return hosts(registry_values(known.registries, known.apps["shop"], step, values))


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, set()),
        ({"DEPLOYBOT_PULLED_FROM": f"{HOUSE}/shop:1\npublic.example.com/x"}, {HOUSE}),
        ({"DEPLOYBOT_PULLED_FROM": "REGISTRY.example.com:5000/shop"}, {"registry.example.com:5000"}),
        ({"DEPLOYBOT_PULLED_FROM": "registry.example.com/shop\nregistry.example.com:5001/shop"}, set()),
        ({"DEPLOYBOT_PULLED_FROM": "evil.com/registry.example.com:5000/shop"}, set()),
        ({"DEPLOYBOT_PULLED_FROM": "nginx"}, {HUB}),
        ({"DEPLOYBOT_PINNED": f"acme/shop@{D}"}, {HUB}),
        ({"DEPLOYBOT_IMAGES": f"web {D} registry.example.com:5000/shop@{D} t"}, set()),
    ],
)  # fmt: skip
def test_a_build_step_gets_the_logins_of_what_it_pulls(values: dict[str, str], wanted: set[str]) -> None:
    assert given(BUILD, values) == wanted


def test_a_step_that_brings_images_back_gets_those_of_their_digests() -> None:
    lines = f"web {D} registry.example.com:5000/shop@{D} ours:1\ndb {D} - ours:2"
    assert given(IMAGES, {"DEPLOYBOT_IMAGES": lines}) == {"registry.example.com:5000"}
    assert given(IMAGES, {"DEPLOYBOT_IMAGES": f"db {D} - ours:2"}) == set()
    assert given(IMAGES, {"DEPLOYBOT_PULLED_FROM": "nginx", "DEPLOYBOT_BUILD": "web"}) == set()
    assert given(IMAGES, {"DEPLOYBOT_IMAGES": ""}) == set()  # nothing to pull


@pytest.mark.parametrize("script", ["fetch", "build", "command", "compose_config", "compose_up", "switch", "prune"])
def test_no_other_step_gets_any(script: str) -> None:
    found = settings("*")
    lines = {"DEPLOYBOT_PULLED_FROM": "nginx", "DEPLOYBOT_BUILD": "web", "DEPLOYBOT_IMAGES": f"web {D} nginx@{D} t"}
    assert given(Step(name="x", script=script), lines, found) == set()


@pytest.mark.parametrize("apps", ["shop", ["shop", "blog"], "*", ["*"]])
def test_a_build_gets_all_logins_of_the_app(apps: object) -> None:
    assert given(BUILD, {"DEPLOYBOT_BUILD": "web"}, settings(apps)) == {"registry.example.com:5000", HUB}
    assert given(BUILD, {"DEPLOYBOT_BUILD": "", "DEPLOYBOT_PULLED_FROM": "nginx"}, settings(apps)) == {HUB}


@pytest.mark.parametrize("apps", [None, [], ["blog"]])
def test_a_server_gets_no_login_that_does_not_name_its_app(apps: object) -> None:
    """As in the version before: the server may have logins of its own, which may do more."""
    values = {
        "DEPLOYBOT_PULLED_FROM": f"{HOUSE}/shop\nnginx",
        "DEPLOYBOT_PINNED": f"nginx@{D}",
        "DEPLOYBOT_BUILD": "web",
    }
    found = settings(apps, images={"web": {"image": f"{HOUSE}/shop"}})
    assert given(BUILD, values, found) == set()
    assert given(IMAGES, {"DEPLOYBOT_IMAGES": f"web {D} {HOUSE}/shop@{D} t"}, found) == set()
    assert app_logins(found.registries, found.apps["shop"]) == {}


def test_apps_of_a_registry_are_known() -> None:
    with pytest.raises(ConfigError, match=r'registries\.house\.apps: unknown app "shopp", did you mean "shop"'):
        settings(["shopp"])


def test_check_knows_the_logins_of_an_app() -> None:
    found = settings()
    logins = app_logins(found.registries, found.apps["shop"])
    assert [(name, one.host, one.user) for name, one in logins.items()] == [
        ("house", "registry.example.com:5000", "bot"),
        ("hub", "docker.io", "bot"),
    ]
    assert app_logins(found.registries, found.apps["blog"]) == {}
    assert {*app_logins(settings("*").registries, found.apps["blog"])} == {"house", "hub"}
