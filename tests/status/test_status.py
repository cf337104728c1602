"""The board and the story of an app, on servers in memory with the real database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.card import Card, Line, Tone
from deploybot.domain import (
    Container,
    Deployment,
    Identity,
    Kind,
    Lock,
    Pin,
    Plan,
    Release,
    Running,
    ServerFacts,
    State,
    Usage,
)
from deploybot.errors import EngineError, Unreachable
from deploybot.ports import Tables
from deploybot.status.status_board import StatusBoard
from deploybot.store.database import Database
from deploybot.testing import FakeClock, FakeEngine, FakeHost, FakeRefs, FakeServers, memory_store
from tests.kit.bot import BotUnderTest
from tests.kit.stores import FailingStore
from tests.status.log_bot import container, container_app

V1 = Release.of_commit("1" * 40, "v1", "First", "Ada")
V2 = Release.of_commit("2" * 40, "v2", "Second", "Ada")
NOW = 1_795_224_300.0


class StatusBot(BotUnderTest):
    """A bot with two servers that have Engines; `board` is what it answers `status` with."""

    def __init__(self, store: Database, data: Path, **app: object) -> None:
        self.engines = {name: FakeEngine(name) for name in ("web1", "web2")}
        super().__init__(
            container_app(data, **app),
            FailingStore(store),
            hosts=FakeServers(map(FakeHost, self.engines), self.engines),
            refs=FakeRefs(data),
            clock=FakeClock(NOW),
        )
        self.board = StatusBoard(self.hosts, self.store, self.clock)

    def facts(self, server: str, **more: object) -> None:
        """Change what a server says of itself."""
        self.hosts[server].server_facts = replace(self.hosts[server].server_facts, **more)  # type: ignore[arg-type]

    async def deployed(self, release: Release = V2, *servers: str, state: State = State.SUCCEEDED) -> Deployment:
        """Let the bot have put a release onto servers, three minutes ago."""
        on = servers or ("web1", "web2")

        def work(tables: Tables) -> Deployment:
            ana = tables.people.of(Identity("console", "1")) or tables.people.add("ana", Identity("console", "1"))
            plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=release, servers=())
            made = tables.deployments.add(plan, requester=ana, reason="it is time", channel=None, now=NOW - 200)
            tables.deployments.move(made.number, State.RUNNING, now=NOW - 190)
            if state is not State.RUNNING:
                made = tables.deployments.move(made.number, state, now=NOW - 180, outcome="as it went")
            for server in on:
                tables.running.put(Running("shop", "production", server, release, made.number, NOW - 180, healthy=True))
            return made

        for server in on:
            self.facts(server, current=release.id, releases=(V1.id, release.id))
            self.engines[server].all["shop-production"] = (
                container(f"{server}-1", health="healthy", started=NOW - 100),
            )
        return await self.store.write(work)

    async def show(self) -> Card:
        return await self.board.board([(self.app, self.production)])

    async def tell(self) -> Card:
        return await self.board.detail(self.app, [self.production])


@pytest.fixture
async def store() -> AsyncIterator[Database]:
    async with memory_store() as store:
        yield store


@pytest.fixture
def bot(store: Database, tmp_path: Path) -> StatusBot:
    return StatusBot(store, tmp_path)


async def test_one_line_for_each_server_says_all_that_is_wanted(bot: StatusBot) -> None:
    await bot.deployed()
    bot.engines["web1"].usages["web1-1"] = Usage(12.0, 120_000_000, 1_000_000_000)
    card = await bot.show()
    assert card.title == "2 targets: all OK"
    assert [line.name for line in card.lines] == ["shop/production web1", "shop/production web2"]
    assert card.lines[0].text == "v2 (2222222222) · 3 min ago (#1 by ana) · healthy · 120 MB · disk 50 GB free"
    assert [line.tone for line in card.lines] == [Tone.GOOD, Tone.GOOD]


async def test_before_the_first_deployment(bot: StatusBot) -> None:
    card = await bot.show()
    assert card.lines[0].text == "nothing deployed yet · disk 50 GB free"


async def test_a_person_who_may_see_nothing(bot: StatusBot) -> None:
    assert (await bot.board.board([])).title == "You have no permission to see any app here."
    assert (await bot.board.servers([])).title == "You have no permission to see any server here."


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


async def test_what_runs_though_the_bot_put_something_else_there_is_called_out(bot: StatusBot) -> None:
    await bot.deployed()
    bot.facts("web1", current="3" * 40)
    bot.facts("web2", current="")
    card = await bot.show()
    assert card.lines[0].text.startswith("runs 3333333333, but #1 deployed v2 (2222222222) · ")
    assert card.lines[1].text.startswith("#1 deployed v2 (2222222222), but it is gone from /srv/shop · ")
    assert [line.tone for line in card.lines] == [Tone.BAD, Tone.BAD]
    assert card.title == "2 targets: 2 need attention"


async def test_what_somebody_else_put_there_is_called_out(bot: StatusBot) -> None:
    bot.facts("web1", current="3" * 40)
    assert (
        (await bot.show())
        .lines[0]
        .text.startswith("nothing deployed yet · `current` points to 3333333333, which has no containers · ")
    )


async def test_a_half_switched_server_is_called_out(bot: StatusBot) -> None:
    await bot.deployed()
    bot.facts("web1", switching="3" * 40)
    line = (await bot.show()).lines[0]
    assert "partly switched from 2222222222 to 3333333333" in line.text
    assert line.tone is Tone.BAD


@pytest.mark.parametrize(
    ("changes", "says", "tone"),
    [
        ({"health": "unhealthy"}, "web unhealthy", Tone.BAD),
        ({"health": "starting"}, "starting", Tone.BUSY),
        ({"health": ""}, "running", Tone.GOOD),
        ({"health": "", "state": "exited", "exit_code": 137}, "web is stopped (exit code 137)", Tone.BAD),
        ({"health": "", "state": "restarting"}, "web is restarting", Tone.BAD),
        ({"restarts": 3}, "3 restarts", Tone.WARN),
        ({"health": "", "state": "exited"}, "web is stopped", Tone.BAD),
    ],
)
async def test_the_health_of_containers(bot: StatusBot, changes: dict[str, object], says: str, tone: Tone) -> None:
    await bot.deployed()
    (one,) = bot.engines["web1"].all["shop-production"]
    bot.engines["web1"].all["shop-production"] = (replace(one, **changes),)  # type: ignore[arg-type]
    line = (await bot.show()).lines[0]
    assert f" · {says} · " in line.text
    assert line.tone is tone


async def test_containers_that_the_bot_did_not_deploy_are_named_whatever_the_link_says(bot: StatusBot) -> None:
    """As after a take-over that failed: what ran before runs again, but the link stays on the failed release."""
    bot.facts("web1", current=V2.id, releases=(V2.id,))
    bot.facts("web2", current=V2.id, releases=(V2.id,))
    bot.engines["web1"].all["shop-production"] = (
        container("a", image="acme/shop:old"),
        container("b", "db", image="postgres:16"),
        container("c", "migrate", image="acme/shop:new", oneoff=True),
    )
    bot.engines["web2"].down = "the daemon is stopped"
    first, second = (await bot.show()).lines
    assert first.text.startswith(
        "runs db (image postgres:16), web (image acme/shop:old), which deploybot did not deploy · "
    )
    assert second.text.startswith("runs 2222222222, which deploybot did not deploy · ")


async def test_no_containers_where_there_should_be_some(bot: StatusBot) -> None:
    await bot.deployed()
    bot.engines["web1"].all.clear()
    assert " · no containers · " in (await bot.show()).lines[0].text


async def test_an_engine_that_does_not_answer_leaves_the_rest_known(bot: StatusBot) -> None:
    await bot.deployed()
    bot.engines["web1"].down = "the daemon is stopped"
    line = (await bot.show()).lines[0]
    assert " · health unknown: Docker does not answer · disk 50 GB free" in line.text
    assert line.tone is Tone.BAD


@pytest.mark.parametrize(
    ("status", "says", "tone"),
    [(200, "healthy", Tone.GOOD), (503, "answers 503", Tone.BAD), (0, "does not answer", Tone.BAD)],
)
async def test_the_http_check_is_made_now(store: Database, tmp_path: Path, status: int, says: str, tone: Tone) -> None:
    bot = StatusBot(store, tmp_path, strategy="files", health={"http": "http://127.0.0.1:80/"})
    await bot.deployed()
    bot.hosts["web1"].http["http://127.0.0.1:80/"] = (status, "x")
    line = (await bot.show()).lines[0]
    assert f" · {says} · " in line.text
    assert line.tone is tone


async def test_nothing_is_wrong_where_nothing_was_deployed_and_nothing_answers(store: Database, tmp_path: Path) -> None:
    bot = StatusBot(store, tmp_path, strategy="files", health={"http": "http://127.0.0.1:80/"})
    for host in bot.hosts:
        host.http["http://127.0.0.1:80/"] = (0, "")
    for card in (await bot.show(), await bot.board.detail(bot.app, [bot.production])):
        assert {line.tone for line in card.lines} <= {Tone.PLAIN}
        assert "nothing deployed yet · disk" in card.lines[0].text
        assert not any("answer" in line.text for line in card.lines)


@pytest.mark.parametrize(("closed", "says"), [(False, "healthy"), (True, "does not answer")])
async def test_the_tcp_check_is_made_now(store: Database, tmp_path: Path, says: str, *, closed: bool) -> None:
    bot = StatusBot(store, tmp_path, strategy="files", health={"tcp": "127.0.0.1:80"})
    await bot.deployed()
    if closed:
        bot.hosts["web1"].closed.add(("127.0.0.1", 80))
    assert f" · {says} · " in (await bot.show()).lines[0].text


async def test_what_cannot_be_checked_is_called_unknown(store: Database, tmp_path: Path) -> None:
    bot = StatusBot(store, tmp_path, strategy="files", health={"command": "./check"})
    await bot.deployed()
    line = (await bot.show()).lines[0]
    assert " · health unknown · " in line.text
    assert line.tone is Tone.UNKNOWN


async def test_what_has_no_check_is_not_called_ill(store: Database, tmp_path: Path) -> None:
    bot = StatusBot(store, tmp_path, strategy="files", health=None)
    await bot.deployed()
    card = await bot.show()
    assert " · no health check · " in card.lines[0].text
    assert card.title == "2 targets: all OK"


async def test_locks_and_what_goes_on_are_reported(bot: StatusBot) -> None:
    await bot.deployed(V1)
    await bot.deployed(V2, "web1", state=State.RUNNING)
    lock = Lock("shop", "production", 1, "ben", "release day", NOW - 60, NOW + 3600)
    await bot.store.write(lambda tables: tables.locks.take(lock))
    line = (await bot.show()).lines[0]
    assert line.text.endswith(
        " · #2 v2 (2222222222) running for 3 min 10 s · locked by ben 1 min ago, 1 h left: release day"
    )
    assert line.tone is Tone.BUSY


async def test_a_disk_that_runs_full_is_warned_about(bot: StatusBot) -> None:
    bot.facts("web1", disk_free=5_000_000_000)
    bot.facts("web2", disk_free=-1)
    first, second = (await bot.show()).lines
    assert (first.text, first.tone) == ("nothing deployed yet · disk 5.0 GB free", Tone.WARN)
    assert (second.text, second.tone) == ("nothing deployed yet · disk unknown", Tone.UNKNOWN)


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


async def test_the_whole_story(bot: StatusBot) -> None:
    await bot.deployed(V1)
    await bot.deployed(V2)
    bot.engines["web1"].usages["web1-1"] = Usage(12.4, 120_000_000, 1_000_000_000)
    bot.facts("web1", releases=("1" * 40, "2" * 40), memory_available=700_000_000)
    card = await bot.tell()
    assert card.title == "shop in production"
    told = {line.name: line for line in card.lines}
    assert told["web1"].text == (
        "v2 (2222222222) · 3 min ago (#2 by ana) · healthy · CPU 12 % · 120 MB · disk 50 GB free"
        " · memory 700 MB free · 2 releases kept"
    )
    assert told["before that"].text == "v1 (1111111111)"
    assert told["#2"].text == "deploy v2 (2222222222): succeeded 3 min ago by ana, because it is time"
    assert card.table is not None
    assert card.table.columns == ("server", "container", "state", "up", "restarts", "CPU", "memory")
    assert card.table.rows[0] == ("web1", "web1-1", "healthy", "1 min 40 s", "0", "12 %", "120 MB")
    assert card.table.rows[1] == ("web2", "web2-1", "healthy", "1 min 40 s", "0", "unknown", "unknown")
    assert card.tone is Tone.GOOD


async def test_a_past_failure_is_shown_with_its_outcome_and_does_not_colour_the_card(bot: StatusBot) -> None:
    await bot.deployed(V1, state=State.FAILED)
    await bot.deployed(V2)
    card = await bot.tell()
    failed = next(line for line in card.lines if line.name == "#1")
    assert failed.text.endswith(", because it is time; as it went")
    assert (failed.tone, card.tone) == (Tone.BAD, Tone.GOOD)


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


async def test_a_stopped_container_has_no_uptime(bot: StatusBot) -> None:
    await bot.deployed()
    bot.engines["web1"].all["shop-production"] = (container("once", state="exited", started=NOW - 50),)
    bot.engines["web2"].all.clear()
    card = await bot.tell()
    assert card.table is not None
    assert card.table.rows == (("once", "exited with 0", "-", "0", "-", "-"),)
    assert card.table.tones == (Tone.WARN,)


@pytest.mark.parametrize(
    ("condition", "says", "tone"),
    [
        ("migrate:service_completed_successfully:false", "healthy", Tone.GOOD),
        ("db:service_healthy:false,migrate:service_completed_successfully:true", "healthy", Tone.GOOD),
        ("migrate:service_started:false", "migrate is stopped", Tone.WARN),
        ("", "migrate is stopped", Tone.WARN),
    ],
)
async def test_a_service_that_ends_is_fine_only_where_another_waits_for_its_end(
    bot: StatusBot, condition: str, says: str, tone: Tone
) -> None:
    await bot.deployed()
    (web,) = bot.engines["web1"].all["shop-production"]
    web = replace(web, labels=(("com.docker.compose.depends_on", condition),))
    bot.engines["web1"].all["shop-production"] = (web, container("m", "migrate", state="exited"))
    line = (await bot.show()).lines[0]
    assert f" · {says} · " in line.text
    assert line.tone is tone


async def test_a_container_of_another_image_is_called_out(bot: StatusBot) -> None:
    pin = Pin("web", "acme/shop", "1.4.3", f"sha256:{'3' * 64}")
    release = V2.with_images([pin, replace(pin, service="side")])
    await bot.deployed(release)
    (web,) = bot.engines["web1"].all["shop-production"]
    good = f"v2 (2222222222) with 2 images ({release.id[41:47]}) · "
    bad = "runs something other than #1 deployed: web "
    other = f"{bad}runs a different image than 1.4.3 sha256:3333333333 (image shop) · "
    by_hand = f"{bad}was started by hand (image shop) · "
    cases = {pin.reference: good, f"acme/shop@sha256:{'4' * 64}": other, "": by_hand}
    for label, says in cases.items():
        labels = (("deploybot.image", label),) if label else ()
        bot.engines["web1"].all["shop-production"] = (replace(web, labels=labels),)
        line = (await bot.show()).lines[0]
        assert line.text.startswith(says)
        assert line.tone is (Tone.GOOD if says == good else Tone.BAD)


async def test_servers_as_a_table(bot: StatusBot) -> None:
    bot.facts("web1", system="Debian 12", docker="20.10.24", compose_version="2.26.1")
    bot.hosts["web2"].down = "no route to host"
    card = await bot.board.servers(["web1", "web2"])
    assert card.title == "2 servers: 1 of 2 answer"
    assert card.table is not None
    assert card.table.rows == (
        ("web1", "as deploy", "Debian 12", "20.10.24", "2.26.1", "50 GB of 100 GB", "2.0 GB"),
        ("web2", "no", "unknown", "unknown", "unknown", "unknown", "unknown"),
    )
    assert card.table.tones == (Tone.GOOD, Tone.BAD)
    assert "no route to host" in card.lines[0].text


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
