"""A deployment that is asked for in Slack: one message from its beginning to its end, the log in its thread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from deploybot.domain import Identity, State
from tests.doubles.slack import TEAM, SlackDouble
from tests.doubles.timeline import Post
from tests.e2e.conftest import ROOM, SLACK, FilesShop, RunningBot, ended, open_running_bot, served


@pytest.fixture
async def running(double: SlackDouble, files_shop: FilesShop) -> AsyncIterator[RunningBot]:
    path = files_shop.write()
    path.write_text(path.read_text() + SLACK.format(room=ROOM, url=double.api_url))
    async with open_running_bot(path) as made:
        await made.say(f"allow slack:{TEAM}/UANA:ana admin")
        await double.wire.connected.wait()
        yield made


def says(*words: str) -> Callable[[Post], bool]:
    return lambda post: all(word in post.text for word in words)


async def test_a_deployment_is_one_message_and_its_log_is_in_its_thread(
    running: RunningBot, double: SlackDouble, files_shop: FilesShop
) -> None:
    await double.say("UANA", ROOM, "/deploy shop@v1 because it is time")
    begun = await double.timeline.until(says("#1", "shop"), within=30)
    deployment = await running.end_of(1)
    ended(deployment, State.SUCCEEDED)
    log = await double.timeline.until(lambda post: bool(post.files), within=30)
    done = await double.timeline.until(lambda post: post.id == begun.id and "✅" in post.text, within=30)
    assert served(files_shop.servers[0].address) == "v1"
    assert [post.id for post in double.timeline.posts if "#1" in post.text] == [begun.id]
    assert done.edits >= 1
    assert log.thread == begun.id
    assert log.files[0][1].decode() == await running.log_of(1)


async def test_a_deployment_is_cancelled_by_its_button_once(running: RunningBot, double: SlackDouble) -> None:
    await double.say("UANA", ROOM, "/deploy shop@v5")
    card = await double.timeline.until(lambda post: "Cancel" in {press.label for press in post.buttons}, within=30)
    await running.step(1, "build")
    await double.press("UANA", card, "Cancel")
    deployment = await running.end_of(1)
    ended(deployment, State.CANCELLED)
    gone = await double.timeline.until(lambda post: post.id == card.id and "cancelled" in post.text, within=30)
    assert "Cancel" not in {press.label for press in gone.buttons}


async def test_production_waits_for_a_second_person(double: SlackDouble, files_shop: FilesShop) -> None:
    path = files_shop.write()
    path.write_text(f"{path.read_text()}approvals = 1\n{SLACK.format(room=ROOM, url=double.api_url)}")
    async with open_running_bot(path) as running:
        for user, name, role in (("UANA", "ana", "admin"), ("UDIA", "dia", "approver")):
            await running.say(f"allow slack:{TEAM}/{user}:{name} {role}")
        await double.wire.connected.wait()
        await double.say("UANA", ROOM, "/deploy shop@v1 to live")
        card = await double.timeline.until(lambda post: "Approve" in {press.label for press in post.buttons}, within=30)
        await double.press("UANA", card, "Approve")
        await double.timeline.until(says("approve your own request"), within=30)
        assert served(files_shop.servers[0].address).startswith("nothing")
        await double.press("UDIA", card, "Approve")
        ended(await running.end_of(1), State.SUCCEEDED)
        await double.timeline.until(lambda post: post.id == card.id and "✅" in post.text, within=30)
        await double.say("UANA", ROOM, "/deploy shop@v2 to live")
        card = await double.timeline.until(
            lambda post: post.id != card.id and "Reject" in {press.label for press in post.buttons}, within=30
        )
        await double.press("UDIA", card, "Reject", answer="not on a Friday")
        await double.timeline.until(lambda post: post.id == card.id and "not on a Friday" in post.text, within=30)
        assert served(files_shop.servers[0].address) == "v1"


async def test_the_person_is_the_same_in_both(running: RunningBot) -> None:
    person = await running.world.store.read(lambda tables: tables.people.of(Identity("slack", "UANA", TEAM)))
    assert person is not None
    assert person.name == "ana"
