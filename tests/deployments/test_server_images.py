"""The images of apps without a repository: servers name them, registries have them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import cast

import pytest

from deploybot.deployments.server_images import ServerImages, split
from deploybot.deployments.target_inspection import Inspector
from deploybot.domain import Pin, Release, Running
from deploybot.errors import BuiltHere, EngineError, NoImage, Unreachable, UserError
from deploybot.ports import Store
from deploybot.settings import App, Environment
from deploybot.testing import FakeImages
from tests.kit.settings import bot_settings

OLD, NEW, THIRD = (f"sha256:{digit * 64}" for digit in "123")
WEB, SIDE = "registry.example.com:5000/acme/web", "acme/side"
KNOWN = {WEB: {"stable": OLD, "1.4.3": NEW}, SIDE: {"latest": THIRD}, "acme/web": {"1.4.3": NEW}}


class WritingInspector:
    """The part of an inspector that reads Compose files: what a test says that servers have."""

    def __init__(self, **written: Mapping[str, str] | Exception) -> None:
        self.written = written
        self.asked: list[str] = []

    async def named_images(self, app: App, environment: Environment, server: str) -> Mapping[str, str]:
        self.asked.append(f"{app.name}/{environment.name} {server}")
        found = self.written[server]
        if isinstance(found, Exception):
            raise found
        return found


class RunningStore:
    """The part of a store that says what the bot last put where."""

    def __init__(self, *rows: Running) -> None:
        self.rows = rows

    async def read(self, ask: Callable[[object], object]) -> object:
        return ask(SimpleNamespace(running=SimpleNamespace(get=lambda *_: self.rows)))


def images(written: WritingInspector) -> ServerImages:
    return ServerImages(FakeImages(**KNOWN), cast("Inspector", written))


def app_of(**more: object) -> App:
    """The app as a whole: no repository, on two servers."""
    table = {"repo": None, "strategy": "compose", **more}
    return bot_settings(servers=("web1", "web2"), apps={"web": table}).apps["web"]


@pytest.fixture
def app() -> App:
    return app_of().at("production")


async def test_what_the_files_name_is_asked_of_the_registries(app: App) -> None:
    written = WritingInspector(web1={"web": f"{WEB}:stable", "side": SIDE}, web2={"web": f"{WEB}:stable"})
    found = await images(written).pins(app)
    assert found == (Pin("side", SIDE, "latest", THIRD), Pin("web", WEB, "stable", OLD))
    assert sorted(written.asked) == ["web/production web1", "web/production web2"]


async def test_a_digest_in_a_file_needs_no_registry(app: App) -> None:
    written = WritingInspector(web1={"web": f"{WEB}:9@{NEW}", "side": f"{WEB}@{OLD}"}, web2={})
    assert await images(written).pins(app) == (Pin("side", WEB, "", OLD), Pin("web", WEB, "9", NEW))


async def test_a_tag_or_digest_is_found_for_each_service_that_has_it(app: App) -> None:
    written = WritingInspector(web1={"web": f"{WEB}:stable", "twin": f"{WEB}:stable", "side": SIDE}, web2={})
    assert {pin.service for pin in await images(written).named(app, "1.4.3")} == {"web", "twin"}
    assert [pin.service for pin in await images(written).named(app, THIRD)] == ["side"]


async def test_servers_that_name_different_images_are_refused(app: App) -> None:
    written = WritingInspector(web1={"web": f"{WEB}:stable"}, web2={"web": f"{WEB}:1.4.3"})
    with pytest.raises(UserError, match=re.escape(f"web1 {WEB}:stable, web2 {WEB}:1.4.3")) as refused:
        await images(written).pins(app)
    assert "apps.web.images.web" in refused.value.hint


async def test_the_same_image_written_differently_is_no_difference(app: App) -> None:
    written = WritingInspector(web1={"side": SIDE}, web2={"side": f"{SIDE}:latest"})
    assert [pin.digest for pin in await images(written).pins(app)] == [THIRD]


async def test_a_silent_server_keeps_the_services_that_it_ran(app: App) -> None:
    written = WritingInspector(web1={"web": f"{WEB}:stable"}, web2=Unreachable("web2", "no route"))
    ran = Release.of_images((Pin("side", SIDE, "latest", OLD), Pin("old", SIDE, "", NEW)))
    row = Running(
        app="web", environment="production", server="web2", release=ran, deployment=1, since=0.0, healthy=True
    )
    asked = ServerImages(FakeImages(**KNOWN), cast("Inspector", written), cast("Store", RunningStore(row)))
    found = {pin.service: pin.digest for pin in await asked.pins(app)}
    assert found == {"web": OLD, "side": THIRD, "old": NEW}
    assert await asked.services(app) is None
    written.written["web2"] = {}
    assert await asked.services(app) == frozenset({"web"})


async def test_bot_toml_may_name_another_tag_and_settles_a_difference() -> None:
    there = app_of(images={"web": {"image": "acme/web", "tag": "^1.4"}}).at("production")
    written = WritingInspector(web1={"web": f"{WEB}:stable"}, web2={"web": f"{WEB}:1.4.3"})
    assert await images(written).pins(there) == (Pin("web", "acme/web", "1.4.3", NEW),)


async def test_an_image_for_a_service_that_no_server_has_is_refused() -> None:
    there = app_of(images={"wep": {"image": "acme/web", "tag": "^1.4"}}).at("production")
    with pytest.raises(UserError, match="has an image for wep, which no Compose file of web/production has"):
        await images(WritingInspector(web1={"web": WEB}, web2={})).pins(there)
    silent = WritingInspector(web1={"web": f"{WEB}:stable"}, web2=Unreachable("web2", "gone"))
    assert [pin.service for pin in await images(silent).pins(there)] == ["web", "wep"], "web2 may have it"


async def test_one_server_with_usable_files_is_enough(app: App) -> None:
    silent = WritingInspector(web1={"web": f"{WEB}:stable"}, web2=Unreachable("web2", "no route"))
    assert [pin.digest for pin in await images(silent).pins(app)] == [OLD]
    none = WritingInspector(web1=Unreachable("web1", "no route"), web2=Unreachable("web2", "no route"))
    with pytest.raises(Unreachable, match="web1"):
        await images(none).pins(app)
    for problem in (UserError("Compose cannot read it."), EngineError("It is down.")):
        broken = WritingInspector(web1={"web": f"{WEB}:stable"}, web2=problem)
        assert [pin.digest for pin in await images(broken).pins(app)] == [OLD]
        assert await images(broken).services(app) is None
    unusable = WritingInspector(web1=Unreachable("web1", "no route"), web2=UserError("Compose cannot read it."))
    with pytest.raises(UserError, match="Compose cannot read it"):
        await images(unusable).pins(app)


async def test_a_name_that_may_be_a_strangers_is_asked_of_no_registry(app: App) -> None:
    built = WritingInspector(web1={"web": f"{WEB}:stable"}, web2=BuiltHere("It was built there."))
    with pytest.raises(BuiltHere):
        await images(built).pins(app)
    with pytest.raises(BuiltHere):
        await images(built).named(app, "stable")


async def test_a_tag_that_is_gone_is_said(app: App) -> None:
    with pytest.raises(NoImage):
        await images(WritingInspector(web1={"web": f"{WEB}:none"}, web2={})).pins(app)


async def test_the_app_as_a_whole_names_no_images() -> None:
    with pytest.raises(UserError, match="needs an environment"):
        await images(WritingInspector()).pins(app_of())


async def test_apps_with_a_repository_are_asked_as_before() -> None:
    settings = bot_settings(apps={"shop": {"strategy": "compose", "images": {"web": {"image": SIDE}}}})
    written = WritingInspector()
    found = images(written)
    assert await found.pins(settings.apps["shop"]) == (Pin("web", SIDE, "latest", THIRD),)
    assert [pin.service for pin in await found.named(settings.apps["shop"], "latest")] == ["web"]
    assert written.asked == []


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("nginx", ("nginx", "latest")),
        ("nginx:1.27", ("nginx", "1.27")),
        ("localhost:5000/nginx", ("localhost:5000/nginx", "latest")),
        ("localhost:5000/nginx:1", ("localhost:5000/nginx", "1")),
    ],
)
def test_names_are_split_as_docker_does(name: str, parts: tuple[str, str]) -> None:
    assert split(name) == parts
