"""Logs and long texts are uploaded into the message's thread, once."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Coroutine
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from deploybot.card import Card, File
from deploybot.chat.resumed_uploads import Uploads
from deploybot.chat.slack.connection_problems import SlackProblems
from deploybot.chat.slack.slack_api import SlackApi
from deploybot.chat.slack.slack_files import WHOLE, Sharing, SlackFiles
from deploybot.chat.slack.slack_rendering import whole
from deploybot.domain import Channel
from deploybot.errors import DeploybotError, Unreachable, UserError
from deploybot.store.database import Database
from deploybot.testing import FakeClock
from tests.chat.slack.workspace import QUICK, ROOM, Workspace
from tests.doubles.slack import APP_TOKEN, BOT_TOKEN

CHANNEL = Channel("slack", ROOM)
LONG = Card(title="#1 done", key="deployment:1", code=tuple(f"line {number}" for number in range(5_000)))


async def test_what_does_not_fit_comes_whole_as_a_file(workspace: Workspace) -> None:
    post = await workspace.send(LONG)
    told = await workspace.double.timeline.until(lambda one: bool(one.files))
    assert told.thread == post.id
    assert told.files == ((WHOLE, whole(LONG).encode()),)
    assert "full text is in the thread" in post.text


async def test_in_a_thread_the_file_is_in_that_thread(workspace: Workspace) -> None:
    root = await workspace.say("shall we?")
    await workspace.send(LONG, Channel("slack", ROOM, thread=root))
    assert (await workspace.double.timeline.until(lambda one: bool(one.files))).thread == root


async def test_a_log_is_uploaded_once_however_often_its_card_is_edited(workspace: Workspace, tmp_path: Path) -> None:
    log = tmp_path / "1.log"
    log.write_bytes(b"all of it \xff\n" * 100)
    card = Card(title="#1 done", key="deployment:1", files=(File(str(log), "deployment-1.log"),))
    post = await workspace.send(card)
    for _ in range(2):
        await workspace.slack.edit(CHANNEL, post.id, card)
    await workspace.rest()
    told = [one for one in workspace.posts if one.files]
    assert [(one.thread, one.files) for one in told] == [(post.id, (("deployment-1.log", log.read_bytes()),))]


async def test_a_running_card_that_is_cut_has_no_file_yet(workspace: Workspace) -> None:
    await workspace.send(Card(title="#1 runs", key="deployment:1", code=LONG.code, final=False))
    await workspace.rest()
    assert len(workspace.posts) == 1


async def test_a_file_that_is_gone_is_explained_and_an_empty_one_left_out(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    files = (File(str(tmp_path / "gone"), "gone.log"), File(str(tmp_path / "empty"), "empty.log"))
    await workspace.send(Card(title="#1 done", files=files))
    await workspace.rest()
    assert ["was not uploaded" in post.text for post in workspace.posts] == [False, True]
    assert "gone.log" in workspace.posts[1].text


async def test_an_upload_is_tried_again_while_slack_does_not_answer(workspace: Workspace) -> None:
    post = await workspace.send(Card(title="x"))
    workspace.double.unkind.broken = 2
    assert workspace.slack._posting._files is not None
    await workspace.slack._posting._files.follow(CHANNEL, post.id, LONG, was_cut=True)
    assert (await workspace.double.timeline.until(lambda one: bool(one.files))).thread == post.id


async def told(channel: Channel, sentence: str) -> bool:
    """An explanation that arrives."""
    assert channel.thread
    assert "was not uploaded: " in sentence
    return True


class Moody:
    """An uploader that fails as told."""

    def __init__(self, *fails: DeploybotError) -> None:
        self.fails = [*fails]
        self.tries = 0

    async def upload(self, name: str, content: bytes | Path, channel: str, thread: str, sharing: Sharing) -> None:
        assert (name, channel, thread) == (WHOLE, ROOM, "1.1")
        await sharing()
        assert content
        self.tries += 1
        if self.fails:
            raise self.fails.pop(0)


@pytest.mark.parametrize(
    ("fails", "tries"),
    [
        ((UserError("no room"),), 1),
        ((Unreachable("Slack", "x"), Unreachable("Slack", "x")), 3),
        ((Unreachable("Slack", "x", retry_after=999.0),), 1),
    ],
)
async def test_how_often_an_upload_is_tried(fails: tuple[DeploybotError, ...], tries: int) -> None:
    tasks: list[asyncio.Task[None]] = []

    def spawn(work: Coroutine[None, None, None]) -> None:
        tasks.append(asyncio.create_task(work))

    uploader = Moody(*fails)
    await SlackFiles(uploader, spawn, told, QUICK).follow(CHANNEL, "1.1", LONG, was_cut=True)
    await asyncio.gather(*tasks)
    assert uploader.tries == tries


class Slow:
    """An uploader that comes to a moment of its only upload, and stays there for as long as `stays` says."""

    def __init__(self, moment: str, *, stays: bool) -> None:
        self._moment = moment
        self._stays = stays
        self.reached = asyncio.Event()
        self.shared: list[tuple[str, bytes, str]] = []

    async def upload(self, name: str, content: bytes | Path, channel: str, thread: str, sharing: Sharing) -> None:
        await self._come_to("before")
        await sharing()
        assert channel == ROOM
        data = content if isinstance(content, bytes) else await asyncio.to_thread(content.read_bytes)
        self.shared.append((name, data, thread))
        await self._come_to("after")

    async def _come_to(self, moment: str) -> None:
        if moment == self._moment:
            self.reached.set()
            if self._stays:
                await asyncio.Event().wait()


class Bots:
    """One bot after the other with the same database."""

    def __init__(self, store: Database) -> None:
        self._uploads = Uploads(store, FakeClock(), "slack")
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, uploader: Slow) -> SlackFiles:
        """Another bot; the one before is killed."""
        for task in self.tasks:
            task.cancel()
        return SlackFiles(uploader, self._spawn, told, QUICK, self._uploads)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def rest(self) -> None:
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.mark.parametrize(("moment", "shares"), [("before", [0, 1, 0]), ("after", [1, 0, 0])])
async def test_what_a_killed_bot_was_uploading_is_there_once(tmp_path: Path, moment: str, shares: list[int]) -> None:
    (tmp_path / "1.log").write_bytes(b"all of it")
    card = Card(title="#1 done", key="deployment:1", files=(File(str(tmp_path / "1.log"), "deployment-1.log"),))
    lives = [Slow(moment, stays=True), Slow(moment, stays=False), Slow(moment, stays=False)]
    async with Database(tmp_path / "deploybot.db", durable=False) as store:
        bots = Bots(store)
        await bots.start(lives[0]).follow(CHANNEL, "1.1", card, was_cut=False)
        await lives[0].reached.wait()
        await bots.start(lives[1]).resume()
        await bots.rest()
        again = bots.start(lives[2])
        await again.resume()
        # Where the end of the card could not be noted, it is edited in again.
        await again.follow(CHANNEL, "1.1", card, was_cut=False)
        await bots.rest()
    assert [len(life.shared) for life in lives] == shares
    assert {one for life in lives for one in life.shared} == {("deployment-1.log", b"all of it", "1.1")}


async def test_a_file_that_is_gone_is_not_looked_for_at_every_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = Card(title="#1 done", key="deployment:1", files=(File(str(tmp_path / "gone"), "gone.log"),))
    async with Database(tmp_path / "deploybot.db", durable=False) as store:
        bots = Bots(store)
        await bots.start(Slow("", stays=False)).follow(CHANNEL, "1.1", card, was_cut=False)
        await bots.rest()
        await bots.start(Slow("", stays=False)).resume()
        await bots.rest()
    assert caplog.text.count("gone.log was not uploaded") == 1


async def test_a_file_that_slack_refuses_is_explained_in_its_thread(workspace: Workspace, tmp_path: Path) -> None:
    log = tmp_path / "1.log"
    log.write_bytes(b"all of it")
    workspace.double.web.full = True
    card = Card(title="#1 done", key="deployment:1", files=(File(str(log), "deployment-1.log"),))
    post = await workspace.send(card)
    told = await workspace.reads("deployment-1.log was not uploaded", "storage_limit_reached", str(log))
    assert told.thread == post.id
    await workspace.rest()
    assert len(workspace.posts) == 2


async def test_a_file_larger_than_slack_accepts_is_explained(workspace: Workspace, tmp_path: Path) -> None:
    log = tmp_path / "1.log"
    with log.open("wb") as file:
        file.truncate(1_000_000_001)
    await workspace.send(Card(title="#1 done", files=(File(str(log), "deployment-1.log"),)))
    await workspace.reads("deployment-1.log was not uploaded: ", "more than Slack accepts", str(log))


async def test_an_upload_is_retried_after_a_restart_if_its_failure_could_not_be_explained(tmp_path: Path) -> None:
    (tmp_path / "1.log").write_bytes(b"all of it")
    card = Card(title="#1 done", key="deployment:1", files=(File(str(tmp_path / "1.log"), "deployment-1.log"),))

    class Silent:
        async def upload(self, name: str, content: bytes | Path, channel: str, thread: str, sharing: Sharing) -> None:
            del name, content, channel, thread
            await sharing()
            raise Unreachable("Slack", "x", retry_after=999.0)

    async def untold(channel: Channel, sentence: str) -> bool:
        del channel, sentence
        return False

    async with Database(tmp_path / "deploybot.db", durable=False) as store:
        for explain, left in ((untold, 1), (told, 0)):
            uploads, tasks = Uploads(store, FakeClock(), "slack"), set[asyncio.Task[None]]()
            files = SlackFiles(Silent(), lambda work: tasks.add(asyncio.create_task(work)), explain, QUICK, uploads)  # noqa: B023
            await files.follow(CHANNEL, "1.1", card, was_cut=False)
            await asyncio.gather(*tasks)
            assert len(await uploads.left()) == left


async def test_a_large_file_is_not_read_into_memory(tmp_path: Path) -> None:
    size, got = 64_000_000, 0
    log = tmp_path / "1.log"
    with log.open("wb") as file:
        file.truncate(size)

    async def take(request: web.Request) -> web.Response:
        nonlocal got
        async for piece in request.content.iter_any():
            got += len(piece)
        return web.Response(headers={"Content-Length": "0"})

    app = web.Application()
    app.router.add_post("/upload", take)
    async with TestServer(app) as server:
        api = SlackApi(str(server.make_url("/")), BOT_TOKEN, APP_TOKEN, SlackProblems(), QUICK)
        gc.collect()
        tracemalloc.start()
        status, _, _ = await api._send_file(str(server.make_url("/upload")), log, 30)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await api.close()
    assert (status, got) == (200, size)
    assert most < 8_000_000
