"""Which images are built, pulled and pinned."""

from __future__ import annotations

import hashlib
import json

import pytest

from deploybot.domain import Pin
from deploybot.errors import UserError
from deploybot.strategies.compose.compose_model import ComposeConfig, ComposeService, ServiceBuild
from deploybot.strategies.compose.service_images import images_below, repositories_of, tag_of, work_of

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


PROVIDED = ComposeService(name="ai", provided=True)
REFUSED = {
    "nothing to pull": (
        config(one(image="")), (),
        "Service web has no image to pull.", "Give it one, or set compose.source to build.",
    ),
    "nothing to run": (config(PROVIDED), (), "The Compose files have no service to run.", "Are their profiles active?"),
    "a pin of nobody": (
        config(one("db"), one("api"), PROVIDED), (PIN,),
        "The release has an image for the service web, which its Compose files do not have or do not run.",
        "Its services: api, db.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "pins", "words", "hint"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_says_what_to_do(given: ComposeConfig, pins: tuple[Pin, ...], words: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        work_of(given, source="images", pins=pins, below="deploybot/shop")
    assert (caught.value.sentence, caught.value.hint) == (words, hint)


def test_names_that_look_alike_do_not_share_tags() -> None:
    found = repositories_of("deploybot/shop", ["a.b", "a-b", "web", "__", "My..App", "-x-"])
    assert found == {
        "a.b": "deploybot/shop/a-b.2e7336dc8eba",
        "a-b": "deploybot/shop/a-b.d44362d67d92",
        "web": "deploybot/shop/web",
        "__": "deploybot/shop/service.9911f4d2b184",
        "My..App": "deploybot/shop/my-app",
        "-x-": "deploybot/shop/x",
    }
    assert images_below("shop-live") == "deploybot/shop-live"
    assert images_below("a__b") == "deploybot/a__b"
    for project, plain in (("a___b", "a-b"), ("_-_", "project"), ("-a", "a"), ("a-", "a")):
        made = images_below(project)
        assert made == f"deploybot/{plain}.{hashlib.sha256(project.encode()).hexdigest()[:12]}"


def test_a_tag_of_ours_names_the_image() -> None:
    assert tag_of("deploybot/shop/web", "sha256:" + "0123456789abcdef" * 4) == "deploybot/shop/web:0123456789ab"
