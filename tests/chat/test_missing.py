"""A channel that bot.toml names and that takes no message is reported once, in another channel."""

from __future__ import annotations

import asyncio
from pathlib import Path

from deploybot.card import Card, Tone
from deploybot.chat.card_channels import keys_of_channels
from deploybot.chat.outbox_worker import OutboxWorker
from deploybot.chat.unwritable_channels import MissingChannels
from deploybot.domain import Channel
from deploybot.errors import ChannelClosed
from deploybot.ports import ELSEWHERE
from deploybot.setup_notices import NoticeBoard
from deploybot.store.database import Database
from deploybot.testing import FakeClock
from tests.kit.settings import bot_settings

HOME, OPS, CONSOLE = Channel("slack", "C0HOME0001"), Channel("slack", "C0OPS00001"), Channel("console", "console")
MADE = bot_settings(
    apps={"shop": {"environments": {"live": {}}, "channel": str(OPS), "notify": {"ops": {"channel": str(OPS)}}}},
    slack={"bot_token": {"env": "X"}, "app_token": {"env": "Y"}, "channel": str(HOME)},
)


class Rooms:
    """A chat in some of whose channels the bot is not."""

    platform, interval = "slack", 0.0

    def __init__(self, *closed: str) -> None:
        self.closed = {*closed}
        self.said: list[tuple[str, Card]] = []

    async def send(self, channel: Channel, card: Card) -> str:
        if channel.id in self.closed and card.key.startswith("deployment:"):
            return ELSEWHERE  # the person who asked for it sees it
        if channel.id in self.closed:
            raise ChannelClosed("Slack refused chat.postMessage: not_in_channel.")
        self.said.append((channel.id, card))
        return str(len(self.said))

    async def edit(self, channel: Channel, message: str, card: Card) -> None:
        assert message
        if message != ELSEWHERE:
            self.said.append((channel.id, card))


async def deliver(folder: Path, rooms: Rooms, *cards: tuple[Channel, Card]) -> None:
    """Have a bot, which starts now and ends when all is said, say these."""
    clock = FakeClock()
    async with Database(folder / "deploybot.db", durable=False) as store:
        board = NoticeBoard(clock, lambda _: (HOME,), CONSOLE)
        missing = MissingChannels(board, keys_of_channels(MADE))
        worker = OutboxWorker(store, {"slack": rooms}, clock, missing=missing)
        for channel, card in cards:
            await store.write(lambda tables, channel=channel, card=card: tables.outbox.put(channel, card, clock.now()))  # type: ignore[misc]
        task = asyncio.create_task(worker.run())
        async with asyncio.timeout(10):
            while await store.read(lambda tables: tables.outbox.waiting()):
                worker.wake()
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_is_reported_once_with_its_keys_and_closed_when_a_message_arrives(tmp_path: Path) -> None:
    rooms = Rooms("C0OPS00001")
    for number in range(2):
        await deliver(tmp_path, rooms, *((OPS, Card(title=f"{number}.{one}")) for one in range(3)))
    ((where, notice),) = rooms.said
    assert where == HOME.id
    keys = "apps.shop.channel and apps.shop.notify.ops.channel"
    assert notice.title == f"I cannot write in slack:C0OPS00001, which bot.toml names in {keys}."
    assert "not_in_channel" in notice.text
    assert notice.hint == f"Invite the bot there (`/invite @deploybot`), or correct {keys}."
    rooms.closed.clear()
    await deliver(tmp_path, rooms, (OPS, Card(title="again")))
    assert ("C0OPS00001", "again") in [(channel, card.title) for channel, card in rooms.said]
    assert rooms.said[-1][0] == HOME.id
    assert rooms.said[-1][1].tone is Tone.GOOD


async def test_a_card_that_one_person_sees_in_a_closed_channel_does_not_close_the_report(tmp_path: Path) -> None:
    rooms = Rooms("C0OPS00001")
    await deliver(tmp_path, rooms, (OPS, Card(title="a push")))
    for state in ("running", "succeeded"):
        await deliver(tmp_path, rooms, (OPS, Card(title=state, key="deployment:1")))
    await deliver(tmp_path, rooms, (OPS, Card(title="another push")))
    ((where, notice),) = rooms.said
    assert (where, notice.title.split(",")[0]) == (HOME.id, "I cannot write in slack:C0OPS00001")


async def test_a_channel_that_bot_toml_does_not_name_is_not_reported(tmp_path: Path) -> None:
    rooms = Rooms("C0ELSE")
    await deliver(tmp_path, rooms, (Channel("slack", "C0ELSE"), Card(title="hello")))
    assert rooms.said == []


async def test_if_every_channel_is_closed_the_console_gets_it(tmp_path: Path) -> None:
    rooms = Rooms("C0HOME0001", "C0OPS00001")
    await deliver(tmp_path, rooms, (HOME, Card(title="hello")))
    async with Database(tmp_path / "deploybot.db", durable=False) as store:
        assert await store.read(lambda tables: tables.notices.open()) == ("channel slack C0HOME0001",)
    assert rooms.said == []
