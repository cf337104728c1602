"""Which images are built, pulled and pinned."""

from __future__ import annotations

import json

import pytest

from deploybot.domain import Pin
from deploybot.errors import UserError
from deploybot.strategies.compose.compose_model import ComposeConfig, ComposeService, ServiceBuild
from deploybot.strategies.compose.service_images import repositories_of, tag_of, work_of

BUILD = ServiceBuild(context="/r")
PIN = Pin(service="web", image="ghcr.io/ana/web", tag="v1", digest="sha256:" + "a" * 64)


def config(*services: ComposeService) -> ComposeConfig:
    return ComposeConfig(version="3.8", services=services)


def one(name: str = "web", image: str = "x", policy: str = "", *, built: bool = False) -> ComposeService:
    return ComposeService(name=name, image=image, pull_policy=policy, build=BUILD if built else None)


ROWS = [
    # source, built, policy: built, pulled, pulled where it is missing
    ("build", True, "", "built"),
    ("build", True, "always", "built"),
    ("build", False, "", "missing"),
    ("build", False, "always", "missing"),
    ("build", False, "never", "missing"),
    ("images", False, "", "pulled"),
    ("images", False, "always", "pulled"),
    ("images", False, "build", "pulled"),
    ("images", False, "never", "missing"),
    ("images", False, "missing", "missing"),
    ("images", False, "if_not_present", "missing"),
    ("images", True, "", "pulled"),
]


@pytest.mark.parametrize(("source", "built", "policy", "expected"), ROWS)
def test_where_an_image_comes_from(source: str, built: bool, policy: str, expected: str) -> None:
    work = work_of(config(one(policy=policy, built=built)), source=source, pins=(), below="deploybot/shop")
    found = {"built": work.build, "pulled": work.pull, "missing": work.missing}
    assert [name for name, services in found.items() if services] == [expected]
    assert work.names == {"web": "x"}


@pytest.mark.parametrize("source", ["build", "images"])
def test_what_the_release_pins_is_neither_built_nor_pulled_by_its_name(source: str) -> None:
    work = work_of(config(one(built=True, image="")), source=source, pins=(PIN,), below="deploybot/shop")
    assert (work.build, work.pull, work.missing, work.pinned) == ((), (), (), (PIN,))
    assert (work.names, work.naming) == ({"web": PIN.reference}, "")


def test_what_is_built_without_a_name_gets_one() -> None:
    services = (one("web", "", built=True), one("My.App", "", built=True), one("db", "mine", built=True))
    work = work_of(config(*services), source="build", pins=(), below="deploybot/shop")
    assert work.build == ("web", "My.App", "db")
    assert work.invented == {"web": "deploybot/shop/web:build", "My.App": "deploybot/shop/my-app:build"}
    assert json.loads(work.naming) == {
        "version": "3.8",
        "services": {name: {"image": image} for name, image in work.invented.items()},
    }


def test_nothing_to_pull_nothing_to_run_and_pins_of_nobody_are_refused() -> None:
    for given, pins, words in (
        (config(one(image="")), (), "no image to pull"),
        (config(), (), "no service to run"),
        (config(one("db")), (PIN,), "image for the service web"),
    ):
        with pytest.raises(UserError, match=words):
            work_of(given, source="images", pins=pins, below="deploybot/shop")


def test_names_that_look_alike_do_not_share_tags() -> None:
    found = repositories_of("deploybot/shop", ["a.b", "a-b", "web", "__"])
    assert len(set(found.values())) == 4
    assert found["web"] == "deploybot/shop/web"
    assert all(name == name.lower() for name in found.values())


def test_a_tag_of_ours_names_the_image() -> None:
    assert tag_of("deploybot/shop/web", "sha256:" + "0123456789abcdef" * 4) == "deploybot/shop/web:0123456789ab"
