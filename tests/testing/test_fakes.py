"""The other fakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploybot.card import Card
from deploybot.domain import Changes, Channel, Container, EngineEvent, Image, Release, Usage
from deploybot.errors import EngineError, Unreachable, UserError
from deploybot.ports import Chat, Clock, Engine, RefSource, Store
from deploybot.settings import App, Environment
from deploybot.testing import FakeChat, FakeClock, FakeEngine, FakeRefs, memory_store

CHANNEL = Channel("console", "main")
ONE, TWO = "1" * 40, "2" * 40


@pytest.fixture
def app() -> App:
    environments = {"production": Environment(servers=("web1",))}
    return App(name="shop", repo="/shop.git", strategy="files", directory="/srv/shop", environments=environments)


@pytest.fixture
def refs(tmp_path: Path) -> FakeRefs:
    return FakeRefs(tmp_path, v1=ONE, v2=TWO)


def test_they_are_what_they_stand_for(refs: FakeRefs) -> None:
    fakes: tuple[Clock, Chat, Engine, RefSource] = (FakeClock(), FakeChat(), FakeEngine(), refs)
    assert len(fakes) == 4


def test_the_clock_moves_when_advanced() -> None:
    clock = FakeClock(100.0)
    clock.advance(2.5)
    assert clock.now() == 102.5


async def test_the_store_is_a_real_one_and_goes_with_the_block() -> None:
    async with memory_store() as database:
        store: Store = database
        await store.write(lambda tables: tables.people.add("ann"))
        assert database.path.exists()
    assert not database.path.parent.parent.exists()


async def test_a_chat_remembers_every_state() -> None:
    chat = FakeChat()
    message = await chat.send(CHANNEL, Card(title="one"))
    await chat.edit(CHANNEL, message, Card(title="two"))
    later = await chat.send(CHANNEL, Card(title="later"))
    await chat.edit(CHANNEL, later, Card(title="three"))
    assert [card.title for card in chat.shown(CHANNEL)] == ["two", "three"]
    assert [card.title for card in chat.messages[0].states] == ["one", "two"]
    assert chat.shown(Channel("console", "other")) == []


async def test_a_chat_fails_when_reported_and_edits_only_what_is_there() -> None:
    chat = FakeChat("slack", interval=1.0)
    assert (chat.platform, chat.interval) == ("slack", 1.0)
    chat.failures.append(Unreachable("slack", "429", retry_after=3))
    with pytest.raises(Unreachable):
        await chat.send(CHANNEL, Card(title="one"))
    with pytest.raises(UserError, match="no message 1"):
        await chat.edit(CHANNEL, "1", Card(title="one"))


@pytest.mark.parametrize(("ref", "commit"), [("v2", TWO), ("", ONE), (TWO, TWO), (TWO[:7], TWO)])
async def test_refs_are_resolved(refs: FakeRefs, app: App, ref: str, commit: str) -> None:
    assert await refs.resolve(app, ref) == Release.of_commit(commit, ref or "v1")


@pytest.mark.parametrize(("ref", "near"), [("v22", "v2"), ("main", "none"), ("3" * 40, "none")])
async def test_an_unknown_ref_names_the_nearest(refs: FakeRefs, app: App, ref: str, near: str) -> None:
    with pytest.raises(UserError, match=f"shop has no ref `{ref}`") as raised:
        await refs.resolve(app, ref)
    assert raised.value.hint == f"Near: {near}"


async def test_what_lies_between_is_what_a_test_says(refs: FakeRefs, app: App) -> None:
    refs.between[ONE, TWO] = Changes(total=3)
    assert await refs.changes(app, ONE, TWO) == Changes(total=3)
    assert not (await refs.changes(app, TWO, ONE)).known


async def test_bundles_and_archives_are_files(refs: FakeRefs, app: App) -> None:
    assert ONE in (await refs.bundle(app, ONE, [TWO])).read_text()
    assert (await refs.archive(app, ONE)).read_text() == (await refs.archive(app, ONE)).read_text()


async def test_a_repository_can_be_down(refs: FakeRefs, app: App) -> None:
    refs.down = "connection refused"
    with pytest.raises(Unreachable, match="the repository of shop"):
        await refs.resolve(app, "v1")


async def test_an_engine_answers_what_it_was_given() -> None:
    engine = FakeEngine()
    container = Container(id="c1", name="shop-web-1", service="web", image="shop:1", state="running")
    engine.all["shop"] = [container]
    engine.all_images = [Image(id="i1")]
    engine.usages["c1"] = Usage(5.0, 100, 200)
    engine.all_events = [EngineEvent(at=at, kind="container", action="start", id="c1") for at in (1.0, 2.0)]
    assert await engine.containers("shop") == (container,)
    assert await engine.containers("blog") == ()
    assert await engine.images() == (Image(id="i1"),)
    assert await engine.image("i1") == Image(id="i1")
    assert await engine.image("i2") is None
    assert [(one.id, one.project, one.health) for one in await engine.all_containers()] == [("c1", "shop", "")]
    assert (await engine.info()).id == "engine-web1"
    engine.all_networks, engine.all_volumes = ["front"], ["data"]
    assert (await engine.networks(), await engine.volumes()) == (("front",), ("data",))
    assert await engine.usage("c1") == Usage(5.0, 100, 200)
    assert await engine.usage("c1", quick=True) == Usage(-1.0, 100, 200)
    assert await engine.usage("c2") == Usage()
    assert [event.at async for event in engine.events(since=1.5)] == [2.0]
    assert await engine.version() == "27.0.0"


@pytest.mark.parametrize(("tail", "lines"), [(None, b"a\nb\nc\n"), (2, b"b\nc\n"), (9, b"a\nb\nc\n"), (0, b"")])
async def test_an_engine_gives_the_end_of_a_log(tail: int | None, lines: bytes) -> None:
    engine = FakeEngine()
    engine.chunks["c1"] = (b"a\nb", b"\nc\n")
    assert b"".join([chunk async for chunk in engine.logs("c1", tail=tail)]) == lines
    with pytest.raises(EngineError, match="no container c2"):
        await anext(engine.logs("c2", tail=tail))


async def test_an_engine_can_be_down() -> None:
    engine = FakeEngine()
    engine.down = "the Docker socket does not answer"
    with pytest.raises(Unreachable, match="does not answer"):
        await engine.version()
