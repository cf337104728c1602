"""A server or an Engine that fails or hangs is one line of the status, and the rest is answered."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from deploybot.card import Card, Line, Tone
from deploybot.domain import (
    Container,
    ServerFacts,
    Usage,
)
from deploybot.errors import EngineError, Unreachable
from deploybot.status.status_board import StatusBoard
from deploybot.store.database import Database
from deploybot.testing import FakeEngine, FakeHost, FakeServers
from tests.status.conftest import StatusBot


async def test_a_server_that_is_down_is_one_red_line_and_the_rest_answers(bot: StatusBot) -> None:
    await bot.deployed()
    bot.hosts["web1"].down = "no route to host"
    card = await bot.show()
    assert [(line.name, line.tone) for line in card.lines] == [("web1", Tone.BAD), ("shop/production web2", Tone.GOOD)]
    assert "no route to host; last known: shop/production v2 (2222222222)" in card.lines[0].text
    assert (card.title, card.tone) == ("2 targets: 1 server does not answer", Tone.BAD)


@pytest.mark.parametrize("first", ["production", "staging"])
async def test_an_app_whose_folder_hangs_does_not_hide_the_others_of_its_server(
    store: Database, tmp_path: Path, first: str
) -> None:
    staging = {"servers": ["web1"], "directory": "/srv/shop-staging"}
    bot = StatusBot(store, tmp_path, environments={"production": {}, "staging": staging})
    await bot.deployed()
    web1 = bot.hosts["web1"]
    facts = web1.facts

    async def hang(directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
        if directory == "/srv/shop-staging":
            raise Unreachable("web1", "no answer within 5 s")
        return await facts(directory, timeout=timeout, docker=docker)

    web1.facts = hang  # type: ignore[method-assign]  # of a fake
    environments = sorted(bot.app.environments.values(), key=lambda one: one.name != first)
    card = await bot.board.board([(bot.app, one) for one in environments])
    texts = {line.name: (line.text, line.tone) for line in card.lines}
    assert texts.keys() == {"shop/production web1", "shop/production web2", "shop/staging web1"}
    assert texts["shop/production web1"] == texts["shop/production web2"]
    assert texts["shop/production web1"][1] is Tone.GOOD
    text, tone = texts["shop/staging web1"]
    assert text.startswith("unknown · /srv/shop-staging could not be read: no answer within 5 s")
    assert (tone, card.title) == (Tone.BAD, "3 targets: 1 needs attention")


class Hanging(FakeHost):
    """A server that takes every call and answers none."""

    async def facts(self, directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
        await asyncio.Event().wait()
        raise AssertionError(directory, timeout, docker)


async def test_a_server_that_hangs_is_one_red_line_within_seconds_and_keeps_nobody_waiting(bot: StatusBot) -> None:
    await bot.deployed()
    bot.board = StatusBoard(
        FakeServers([Hanging("web1"), bot.hosts["web2"]], {"web2": bot.engines["web2"]}), bot.store, bot.clock
    )
    began = time.monotonic()
    early: list[tuple[float, Card]] = []

    async def tell(card: Card) -> None:
        early.append((time.monotonic() - began, card))

    card = await bot.board.board([(bot.app, bot.production)], tell)
    assert 4 < time.monotonic() - began < 30
    assert "cannot be reached: no answer within 5 s" in card.lines[0].text
    assert card.lines[1].tone is Tone.GOOD
    ((after, told),) = early
    assert after < 4  # before the 5 s are over
    assert (told.title, told.final, told.key) == ("Waiting for 1 server. 1 target: all OK so far", False, card.key)
    assert told.lines == (Line("web1", "no answer yet", Tone.BUSY), card.lines[1])


async def test_nothing_is_reported_twice_where_all_servers_answer(bot: StatusBot) -> None:
    await bot.deployed()
    told: list[Card] = []

    async def tell(card: Card) -> None:
        told.append(card)

    card = await bot.board.board([(bot.app, bot.production)], tell)
    assert (told, card.key) == ([], "")


async def test_an_engine_that_does_not_answer_leaves_the_rest_known(bot: StatusBot) -> None:
    await bot.deployed()
    bot.engines["web1"].down = "the daemon is stopped"
    line = (await bot.show()).lines[0]
    assert " · health unknown: Docker does not answer · disk 50 GB free" in line.text
    assert line.tone is Tone.BAD


class Slow(FakeEngine):
    """An Engine that takes its time for usage, as Docker 20.10 does: until `told`."""

    def __init__(self, server: str) -> None:
        super().__init__(server)
        self.told = asyncio.Event()

    async def usage(self, container: str, *, quick: bool = False) -> Usage:
        await self.told.wait()
        return await super().usage(container, quick=quick)


async def test_nobody_waits_for_memory_on_a_board_and_the_next_one_has_it(store: Database, tmp_path: Path) -> None:
    bot = StatusBot(store, tmp_path)
    bot.engines["web1"] = slow = Slow("web1")
    bot.board = StatusBoard(FakeServers(bot.hosts, bot.engines), store, bot.clock)
    await bot.deployed()
    bot.engines["web1"].usages["web1-1"] = Usage(12.0, 120_000_000, 1_000_000_000)
    async with asyncio.timeout(5):
        assert "MB" not in (await bot.show()).lines[0].text
        slow.told.set()
        while "120 MB" not in (await bot.show()).lines[0].text:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0)


async def test_in_the_story_every_part_that_is_silent_says_why(bot: StatusBot) -> None:
    await bot.deployed()
    bot.hosts["web1"].down = "no route to host"
    bot.engines["web2"].down = "the daemon is stopped"
    card = await bot.tell()
    texts = [(line.name, line.text) for line in card.lines]
    assert ("web1", "cannot be reached: no route to host") in texts
    assert any(name == "web1" and "v2 (2222222222) (last known)" in text for name, text in texts)
    assert ("web2", "cannot be reached: the daemon is stopped") in texts
    assert card.tone is Tone.BAD


async def test_an_engine_error_is_reported_like_silence(bot: StatusBot) -> None:
    await bot.deployed()

    class Broken(FakeEngine):
        async def usage(self, container: str, *, quick: bool = False) -> Usage:
            raise EngineError(f"no stats of {container}{quick}")

    broken = Broken("web1")
    broken.all = bot.engines["web1"].all
    bot.board = StatusBoard(FakeServers(bot.hosts, {"web1": broken}), bot.store, bot.clock)
    assert " · healthy · disk" in (await bot.show()).lines[0].text


@pytest.mark.parametrize("slip", [KeyError("Id"), RecursionError(), ZeroDivisionError(), OverflowError("x")])
async def test_whatever_one_server_breaks_is_its_own_red_line(
    bot: StatusBot, slip: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    await bot.deployed()

    class Odd(FakeHost):
        async def facts(self, directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
            del directory, timeout, docker
            raise slip

    before = {line.name: line for line in (await bot.show()).lines}
    hosts = [Odd("web1"), bot.hosts["web2"]]
    bot.board = StatusBoard(FakeServers(hosts, bot.engines), bot.store, bot.clock)
    await bot.show()
    card = await bot.show()
    red, *others = card.lines
    assert (red.name, red.tone) == ("web1", Tone.BAD)
    assert f"gave no usable answer: it cannot be read ({type(slip).__name__})" in red.text
    assert others
    assert all(line == before[line.name] for line in others)
    table = await bot.board.servers(["web1", "web2"])
    assert table.title == "2 servers: 1 of 2 answer"
    assert caplog.text.count("Traceback") <= 1


async def test_whatever_an_engine_breaks_is_its_own_red_line(bot: StatusBot) -> None:
    await bot.deployed()

    class Odd(FakeEngine):
        async def containers(self, project: str) -> tuple[Container, ...]:
            raise KeyError(project)

    bot.board = StatusBoard(FakeServers(bot.hosts, {"web1": Odd()}), bot.store, bot.clock)
    line = (await bot.show()).lines[0]
    assert (line.tone, "Docker gives no usable answer" in line.text) == (Tone.BAD, True)
