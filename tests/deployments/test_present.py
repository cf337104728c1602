"""What is said of servers at the end of a deployment."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import NoReturn

import pytest

from deploybot.deployments.timeouts import Timeouts
from deploybot.deployments.what_runs_now import Present, all_well, present, runs_release, sentence_of, serves
from deploybot.domain import (
    Container,
    Deployment,
    Kind,
    Manifest,
    Observed,
    Plan,
    ServerFacts,
    ServerPlan,
    ServiceImage,
    State,
)
from deploybot.errors import EngineError, StoreError
from deploybot.ports import Site, Tables
from tests.deployments.plain import PlainStrategy, inspector_of
from tests.kit.bot import V1, V2, BotUnderTest
from tests.strategies.conftest import make_app, only


def site(*containers: Container) -> Site:
    app = make_app("compose")
    observed = Observed(facts=ServerFacts(home="/"), project="shop", containers=containers)
    return Site(app=app, environment=only(app), facts=observed.facts, observed=observed)


def container(**more: object) -> Container:
    return Container(**{"id": "1", "name": "web-1", "service": "web", "image": "web", "state": "running", **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("there", "well"),
    [
        (site(), True),
        (site(container(health="healthy")), True),
        (site(container(state="exited", exit_code=0)), True),
        (site(container(state="exited", exit_code=137)), False),
        (site(container(), container(health="unhealthy")), False),
        (site(container(state="dead", oneoff=True)), True),
        ("nothing listens there", False),
    ],
)
def test_servers_are_well_when_they_answer_and_nothing_failed(there: Site | str, well: bool) -> None:
    assert all_well({"web1": there, "web2": site()}) is well


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (replace(site(container()), running=V1.id), "1111111111"),
        (replace(site(container(health="unhealthy")), running=V1.id), "1111111111 (web is unhealthy)"),
        (site(), "nothing"),
        (site(container(oneoff=True)), "nothing"),
        (site(container()), "containers that deploybot did not create"),
        (
            site(container(state="exited", exit_code=3)),
            "containers that deploybot did not create (web exited with code 3)",
        ),
    ],
)
def test_what_runs_in_a_few_words(there: Site, words: str) -> None:
    assert present(there) == words
    assert sentence_of({"web1": there, "web2": "it is off"}) == f"Now running: web1 {words}; web2 unknown (it is off)."


def test_a_service_that_serves_is_named_when_it_has_stopped() -> None:
    there = replace(site(container(state="exited", exit_code=0)), running=V1.id)
    for ends, words in ((True, "1111111111"), (False, "1111111111 (web has stopped)")):
        manifest = Manifest(services=(ServiceImage(service="web", image="sha256:1", ends=ends),))
        known = replace(there, manifests={V1.id: manifest})
        assert present(known) == words
        assert all_well({"web1": known}) is ends
        assert present(replace(known, manifests={V1.id: Manifest()}, attempt=manifest)) == words


def test_a_release_that_came_up_in_part_is_named() -> None:
    there = site(container())
    half = replace(there, facts=replace(there.facts, switching=V2.id))
    assert present(half) == "2222222222, only partly"
    assert present(replace(half, running=V2.id)) == "2222222222"
    assert present(replace(half, observed=None)) == "nothing"


def test_which_servers_run_a_release() -> None:
    seen: dict[str, Site | str] = {
        "web1": replace(site(), running=V1.id),
        "web2": replace(site(), running=V2.id),
        "web3": "it is off",
    }
    assert runs_release(seen, V1.id) == ("web1",)


@pytest.mark.parametrize(
    ("containers", "is_serving"),
    [
        ((), False),
        ((container(),), True),
        ((container(health="healthy"),), True),
        ((container(health="unhealthy"),), False),
        ((container(state="exited"), container(id="2")), True),
        ((container(oneoff=True),), False),
        ((container(oneoff=True), container(id="2")), True),
    ],
)
def test_whether_anything_serves(containers: tuple[Container, ...], is_serving: bool) -> None:
    assert serves(site(*containers).observed) is is_serving
    assert not serves(None)


async def _deployment(bot: BotUnderTest) -> Deployment:
    parts = tuple(ServerPlan(server=name, steps=()) for name in ("web1", "web2"))
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V1, servers=parts)

    def add(tables: Tables) -> Deployment:
        made = tables.deployments.add(plan, requester=bot.person, reason="", channel=None, now=1.0)
        return tables.deployments.move(made.number, State.RUNNING, now=1.0)

    return await bot.store.write(add)


async def test_every_server_is_asked_and_one_that_does_not_answer_says_why(bot: BotUnderTest) -> None:
    strategy = PlainStrategy()
    bot.hosts["web1"].server_facts = replace(bot.hosts["web1"].server_facts, current=V1.id)
    bot.hosts["web2"].down = "it is off"
    found = Present(bot.settings, inspector_of(bot, strategy), {"files": strategy})
    seen = await found.look(await _deployment(bot))
    assert sentence_of(seen) == "Now running: web1 1111111111; web2 unknown (it is off)."


class LostEngine:
    """Looks at a server whose Engine does not answer."""

    async def site(self, *_: object) -> Site:
        raise EngineError("Docker on web1 does not answer")


async def test_an_engine_that_does_not_answer_is_named(bot: BotUnderTest) -> None:
    strategy = PlainStrategy()
    found = Present(bot.settings, LostEngine(), {"files": strategy})  # type: ignore[arg-type]
    assert (await found.look(await _deployment(bot)))["web1"] == "Docker on web1 does not answer"


async def test_an_engine_that_stays_silent_is_noticed(bot: BotUnderTest) -> None:
    found = Present(bot.settings, LostEngine(), {"files": PlainStrategy()})  # type: ignore[arg-type]
    silent = asyncio.Event()
    async with asyncio.timeout(30):
        timeouts = Timeouts(restore_silence=0.05, restore_look=0.01)
        await found.on_silence(await _deployment(bot), "web1", silent.set, timeouts)
    assert silent.is_set()


@pytest.mark.parametrize("fails", [0, 2], ids=["never", "every other time"])
async def test_a_bot_that_is_held_up_takes_no_server_for_silent(bot: BotUnderTest, fails: int) -> None:
    """Between two looks more time passes than a server may be silent."""
    looks = asyncio.Queue[None]()

    class Answering:
        async def site(self, *_: object, **__: object) -> Site:
            looks.put_nowait(None)
            asked = next(numbers)
            if fails and asked % fails:
                raise EngineError("Docker on web1 does not answer")
            return site()

    numbers = itertools.count(1)
    found = Present(bot.settings, Answering(), {"files": PlainStrategy()})  # type: ignore[arg-type]
    silent = asyncio.Event()
    timeouts = Timeouts(restore_silence=0.01, restore_look=0.05)
    looking = asyncio.create_task(found.on_silence(await _deployment(bot), "web1", silent.set, timeouts))
    async with asyncio.timeout(30):
        for _ in range(6):
            await looks.get()
    looking.cancel()
    assert not silent.is_set()


async def test_a_fault_of_the_database_is_no_silence_of_a_server(bot: BotUnderTest) -> None:
    looks = asyncio.Queue[None]()

    class Broken:
        async def site(self, *_: object, **__: object) -> NoReturn:
            looks.put_nowait(None)
            raise StoreError("the disk is full")

    found = Present(bot.settings, Broken(), {"files": PlainStrategy()})  # type: ignore[arg-type]
    silent = asyncio.Event()
    deployment = await _deployment(bot)
    timeouts = Timeouts(restore_silence=0.05, restore_look=0.01)
    looking = asyncio.create_task(found.on_silence(deployment, "web1", silent.set, timeouts))
    async with asyncio.timeout(30):
        for _ in range(20):
            await looks.get()
    looking.cancel()
    assert not silent.is_set()


async def test_the_first_line_names_the_servers_on_which_nothing_serves(bot: BotUnderTest) -> None:
    strategy = PlainStrategy(containers=True)
    found = Present(bot.settings, inspector_of(bot, strategy), {"files": strategy})
    deployment = await _deployment(bot)
    seen: dict[str, Site | str] = {
        "web1": site(),
        "web2": site(container()),
        "web3": "it is off",
        "web4": site(container(state="dead")),
    }
    assert found.headline(deployment, seen, ["web1", "web2", "web3", "web4"]) == (
        "Nothing serves shop/production on web1, web4."
    )
    assert found.headline(deployment, seen, ["web2", "web3"]) == ""
    strategy.containers = False
    assert found.headline(deployment, seen, ["web1"]) == ""
