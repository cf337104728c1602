"""Logs and long texts are uploaded into the message's thread, once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path

import pytest

from deploybot.card import Card, File
from deploybot.chat.slack.blocks import whole
from deploybot.chat.slack.files import WHOLE, Files
from deploybot.domain import Place
from deploybot.errors import DeploybotError, Unreachable, UserError
from tests.chat.slack.workspace import QUICK, ROOM, Workspace

PLACE = Place("slack", ROOM)
LONG = Card(title="#1 done", key="deployment:1", code=tuple(f"line {number}" for number in range(5_000)))


async def test_what_does_not_fit_comes_whole_as_a_file(workspace: Workspace) -> None:
    post = await workspace.send(LONG)
    told = await workspace.double.scene.until(lambda one: bool(one.files))
    assert told.thread == post.id
    assert told.files == ((WHOLE, whole(LONG).encode()),)
    assert "the whole is in the thread" in post.text


async def test_in_a_thread_the_file_is_in_that_thread(workspace: Workspace) -> None:
    root = await workspace.say("shall we?")
    await workspace.send(LONG, Place("slack", ROOM, thread=root))
    assert (await workspace.double.scene.until(lambda one: bool(one.files))).thread == root


async def test_a_log_is_uploaded_once_however_often_its_card_is_edited(workspace: Workspace, tmp_path: Path) -> None:
    log = tmp_path / "1.log"
    log.write_bytes(b"all of it \xff\n" * 100)
    card = Card(title="#1 done", key="deployment:1", files=(File(str(log), "deployment-1.log"),))
    post = await workspace.send(card)
    for _ in range(2):
        await workspace.slack.edit(PLACE, post.id, card)
    await workspace.rest()
    told = [one for one in workspace.posts if one.files]
    assert [(one.thread, one.files) for one in told] == [(post.id, (("deployment-1.log", log.read_bytes()),))]


async def test_a_running_card_that_is_cut_has_no_file_yet(workspace: Workspace) -> None:
    await workspace.send(Card(title="#1 runs", key="deployment:1", code=LONG.code, final=False))
    await workspace.rest()
    assert len(workspace.posts) == 1


async def test_a_file_that_is_gone_or_empty_keeps_nobody_waiting(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    files = (File(str(tmp_path / "gone"), "gone.log"), File(str(tmp_path / "empty"), "empty.log"))
    await workspace.send(Card(title="#1 done", files=files))
    await workspace.rest()
    assert len(workspace.posts) == 1


async def test_an_upload_is_tried_again_while_slack_does_not_answer(workspace: Workspace) -> None:
    post = await workspace.send(Card(title="x"))
    workspace.double.unkind.broken = 2
    assert workspace.slack._files is not None
    workspace.slack._files.follow(PLACE, post.id, LONG, was_cut=True)
    assert (await workspace.double.scene.until(lambda one: bool(one.files))).thread == post.id


class Moody:
    """An uploader that fails as told."""

    def __init__(self, *fails: DeploybotError) -> None:
        self.fails = [*fails]
        self.tries = 0

    async def upload(self, name: str, data: bytes, channel: str, thread: str) -> None:
        assert (name, channel, thread) == (WHOLE, ROOM, "1.1")
        assert data
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
    Files(uploader, spawn, QUICK).follow(PLACE, "1.1", LONG, was_cut=True)
    await asyncio.gather(*tasks)
    assert uploader.tries == tries
