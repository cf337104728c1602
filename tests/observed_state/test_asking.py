"""What is asked of a server and its Engine, on servers in memory."""

from __future__ import annotations

import asyncio
import gc
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.domain import Image, ServerFacts
from deploybot.errors import EngineError, Unreachable
from deploybot.observed_state import observe
from deploybot.settings import App, Environment
from deploybot.testing import FakeEngine, FakeHost, FakeServers
from tests.status.log_bot import container, container_app


def shop(data: Path, **app: object) -> tuple[App, Environment]:
    made = container_app(data, **app).apps["shop"]
    return made, made.environments["production"]


@pytest.fixture
def host() -> FakeHost:
    return FakeHost("web1")


@pytest.fixture
def engine() -> FakeEngine:
    made = FakeEngine("web1")
    mine = replace(container("shop-web-1"), image_id="i1", project="shop-production", restarts=2)
    made.all = {"shop-production": (mine,), "blog": (container("blog-web-1"),), "": (container("lone", service=""),)}
    made.all_images = [Image(id="i1", tags=("shop:1",)), Image(id="i2")]
    made.all_networks, made.all_volumes = ("front",), ("data",)
    return made


async def test_all_that_a_plan_needs(tmp_path: Path, host: FakeHost, engine: FakeEngine) -> None:
    app, environment = shop(tmp_path)
    seen = await observe(FakeServers([host], {"web1": engine}), app, environment, "web1")
    assert (seen.facts.directory, seen.project) == ("/srv/shop", "shop-production")
    assert [(one.name, one.restarts) for one in seen.containers] == [("shop-web-1", 2)]
    assert [one.name for one in seen.others] == ["blog-web-1", "lone"]
    assert (seen.images, seen.networks, seen.volumes) == ((engine.all_images[0],), ("front",), ("data",))
    assert seen.engine == engine.engine_facts
    assert abs(seen.at - time.time()) < 60


@pytest.mark.parametrize(("name", "is_lost"), [("", False), ("lone", False), ("blog-", False), ("gone", True)])
async def test_a_container_in_the_network_of_one_that_is_gone_is_cut_off(
    tmp_path: Path, host: FakeHost, engine: FakeEngine, name: str, *, is_lost: bool
) -> None:
    """The Engine names that one by its id; it may be of another project."""
    (mine,) = engine.all["shop-production"]
    blog = replace(container("blog-web-1"), id="blog-0123")
    engine.all = engine.all | {"shop-production": (replace(mine, network_of=name),), "blog": (blog,)}
    app, environment = shop(tmp_path)
    seen = await observe(FakeServers([host], {"web1": engine}), app, environment, "web1")
    assert [one.cut_off for one in seen.containers] == [is_lost]


async def test_no_engine_is_asked_for_an_app_without_containers(tmp_path: Path, host: FakeHost) -> None:
    app, environment = shop(tmp_path, strategy="files")
    down = FakeEngine("web1")
    down.down = "nobody listens"
    seen = await observe(FakeServers([host], {"web1": down}), app, environment, "web1", directory="/elsewhere")
    assert (seen.facts.directory, seen.project, seen.engine) == ("/elsewhere", "", None)


async def test_a_server_or_an_engine_that_does_not_answer_is_an_error(
    tmp_path: Path, host: FakeHost, engine: FakeEngine
) -> None:
    app, environment = shop(tmp_path)
    engine.down = "the daemon is stopped"
    with pytest.raises(Unreachable, match="the daemon is stopped"):
        await observe(FakeServers([host], {"web1": engine}), app, environment, "web1")
    with pytest.raises(EngineError, match=r"bot\.toml sets no Docker Engine for web1"):
        await observe(FakeServers([host]), app, environment, "web1")
    engine.down, host.down = "", "no route to host"
    with pytest.raises(Unreachable, match="no route to host"):
        await observe(FakeServers([host], {"web1": engine}), app, environment, "web1")


class Hangs(FakeHost):
    async def facts(self, directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
        await asyncio.Event().wait()
        raise AssertionError(directory, timeout, docker)


async def test_nobody_waits_longer_than_was_agreed(tmp_path: Path, engine: FakeEngine) -> None:
    app, environment = shop(tmp_path)
    with pytest.raises(Unreachable, match="web1 cannot be reached: no answer within 0 s"):
        await observe(FakeServers([Hangs("web1")], {"web1": engine}), app, environment, "web1", timeout=0.1)


async def test_a_look_that_is_cancelled_before_it_begins_leaves_nothing_behind(
    tmp_path: Path, host: FakeHost, engine: FakeEngine
) -> None:
    app, environment = shop(tmp_path)
    look = asyncio.create_task(observe(FakeServers([host], {"web1": engine}), app, environment, "web1"))
    await asyncio.sleep(0)  # the two questions are tasks now, that have not run yet
    look.cancel()
    await asyncio.gather(look, return_exceptions=True)
    assert look.cancelled()
    gc.collect()  # pytest raises an error for a coroutine that was never awaited
