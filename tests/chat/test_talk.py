"""One answer: overtaken states are left out, the last one arrives, and nothing that fails ends it early."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from deploybot.card import Button, Card
from deploybot.chat.chat_dependencies import Parts, Reply
from deploybot.chat.message_conversation import LINES, Conversation
from deploybot.command import Incoming
from deploybot.domain import Channel, Identity
from deploybot.errors import StoreError, Unreachable, UserError
from tests.chat.clock import on_a_jumping_clock
from tests.chat.stub import SystemClock

OPEN, PRIVATE = Channel("slack", "C1"), Channel("slack", "D1", private=True)
DOWN = Unreachable("slack", "no answer")


@dataclass
class Room:
    """A chat that keeps every state of every message, and fails as `fault` says."""

    platform: str = "slack"
    interval: float = 0.0
    edit_interval: float = 2.0
    fault: Callable[[Card], Exception | None] = lambda _: None
    messages: list[list[Card]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    whispers: list[Card] = field(default_factory=list)
    nods: list[Card] = field(default_factory=list)
    calls: int = 0

    async def send(self, channel: Channel, card: Card) -> str:
        await self._do(card)
        assert channel in {OPEN, PRIVATE}
        self.messages.append([card])
        return str(len(self.messages))

    async def edit(self, channel: Channel, message: str, card: Card) -> None:
        assert channel in {OPEN, PRIVATE}
        await self._do(card)
        self.messages[int(message) - 1].append(card)

    async def whisper(self, incoming: Incoming, card: Card) -> None:
        assert incoming.identity.user == "U1"
        await self._do(card)
        self.whispers.append(card)

    async def nod(self, card: Card) -> None:
        self.nods.append(card)

    async def _do(self, card: Card) -> None:
        self.calls += 1
        await asyncio.sleep(0.05)
        if error := self.fault(card):
            raise error
        self.times.append(asyncio.get_running_loop().time())

    @property
    def titles(self) -> list[list[str]]:
        return [[card.title for card in states] for states in self.messages]


Command = Callable[[Reply], Awaitable[Card | None]]


async def talk(room: Room, command: Command, channel: Channel = OPEN, press: str = "") -> None:
    """Answer a message to which the command is run."""

    async def handle(_: Incoming, reply: Reply) -> Card | None:
        return await command(reply)

    async def complete(_: Identity, __: str) -> tuple[int, tuple[str, ...]]:
        return 0, ()

    async def recall(_: str) -> Card | None:
        return None

    incoming = Incoming(identity=Identity("slack", "U1"), channel=channel, text="x", id="1", at=0.0, press=press)
    parts = Parts(handle=handle, complete=complete, recall=recall, clock=SystemClock(), bot="0")
    await Conversation(room, incoming).answer(parts)


def state(number: int, *, final: bool = False) -> Card:
    return Card(title=str(number), key="k", final=final)


def test_states_that_were_overtaken_are_left_out_and_the_last_one_arrives() -> None:
    room = Room()

    async def command(reply: Reply) -> Card:
        for number in range(100):
            await reply(state(number))
            await asyncio.sleep(0.1)
        return state(100, final=True)

    on_a_jumping_clock(talk(room, command))
    (titles,) = room.titles
    assert 4 <= len(titles) <= 8
    assert titles == sorted(titles, key=int)
    assert titles[-1] == "100"
    assert all(b - a >= room.edit_interval for a, b in zip(room.times, room.times[1:-1], strict=False))


def test_the_last_state_does_not_wait() -> None:
    room = Room(edit_interval=1000.0)
    ends: list[float] = []

    async def command(reply: Reply) -> Card:
        await reply(state(0))
        await asyncio.sleep(1)
        return state(1, final=True)

    async def timed() -> None:
        await talk(room, command)
        ends.append(asyncio.get_running_loop().time())

    on_a_jumping_clock(timed())
    assert room.titles == [["0", "1"]]
    assert ends[0] < 2


@pytest.mark.parametrize(
    ("ok", "press", "said"), [(True, "", "whispers"), (True, "hash", "nods"), (False, "hash", "whispers")]
)
def test_what_another_card_shows_everybody_is_answered_aside(ok: bool, press: str, said: str) -> None:
    room, card = Room(), Card(title="#4 is approved.", aside=True, ok=ok)

    async def command(_: Reply) -> Card:
        return card

    on_a_jumping_clock(talk(room, command, press=press))
    assert [name for name in ("messages", "whispers", "nods") if getattr(room, name)] == [said]


def test_a_state_that_comes_after_a_final_one_is_said_too() -> None:
    room = Room()

    async def command(reply: Reply) -> Card:
        await reply(state(0, final=True))
        await asyncio.sleep(10)
        await reply(state(1))
        await asyncio.sleep(10)
        return state(2, final=True)

    on_a_jumping_clock(talk(room, command))
    assert room.titles == [["0", "1", "2"]]


def test_nothing_is_said_twice() -> None:
    room = Room()

    async def command(reply: Reply) -> None:
        await reply(state(0, final=True))
        await reply(state(0, final=True))
        await asyncio.sleep(10)

    on_a_jumping_clock(talk(room, command))
    assert room.titles == [["0"]]
    assert room.calls == 1


def test_what_is_left_open_loses_its_buttons() -> None:
    room = Room()

    async def command(reply: Reply) -> None:
        await reply(Card(title="log", key="k", final=False, buttons=(Button("Stop", "cancel log-1"),)))
        await asyncio.sleep(5)

    on_a_jumping_clock(talk(room, command))
    assert [card.buttons for card in room.messages[0]] == [(Button("Stop", "cancel log-1"),), ()]
    assert room.messages[0][-1].final


def test_a_log_of_a_hundred_thousand_lines_in_bounded_memory() -> None:
    room = Room()
    total = 100_000

    async def command(reply: Reply) -> Card:
        for at in range(0, total, 100):
            lines = tuple(f"line {number} {'x' * 100}" for number in range(at, at + 100))
            await reply(Card(title="log", key="k", stream=True, final=False, code=lines))
            await asyncio.sleep(0.01)
        return Card(title="ended", key="k", stream=True)

    gc.collect()
    tracemalloc.start()
    try:
        on_a_jumping_clock(talk(room, command))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    last = room.messages[0][-1]
    assert len(last.code) == LINES
    assert last.code[-1].startswith(f"line {total - 1} ")
    assert all(len(card.code) <= LINES for card in room.messages[0])
    assert peak < 2 << 20


def test_a_room_that_is_down_for_a_minute() -> None:
    room = Room()
    room.fault = lambda _: DOWN if 3 < asyncio.get_running_loop().time() < 63 else None

    async def command(reply: Reply) -> Card:
        for number in range(50):
            await reply(state(number))
            await asyncio.sleep(1)
        return state(50, final=True)

    on_a_jumping_clock(talk(room, command))
    (titles,) = room.titles
    assert titles[-1] == "50"
    assert len(titles) <= 4
    assert room.calls < 20


def test_a_room_that_is_down_for_an_hour_loses_states_but_not_the_last() -> None:
    room = Room()
    room.fault = lambda _: DOWN if 3 < asyncio.get_running_loop().time() < 3600 else None

    async def command(reply: Reply) -> Card:
        for number in range(400):
            await reply(state(number))
            await asyncio.sleep(10)
        return state(400, final=True)

    on_a_jumping_clock(talk(room, command))
    assert room.titles[0][-1] == "400"


def test_it_is_left_alone_for_as_long_as_it_asked() -> None:
    room = Room()
    asked = [Unreachable("slack", "429", retry_after=30.0)]
    room.fault = lambda _: asked.pop() if asked else None

    async def command(_: Reply) -> Card:
        return Card(title="answer")

    on_a_jumping_clock(talk(room, command))
    assert room.calls == 2
    assert room.times[0] >= 30


@pytest.mark.parametrize("channel", [OPEN, PRIVATE])
def test_what_is_private_is_whispered_where_others_listen(channel: Channel) -> None:
    room = Room()
    asked = [DOWN] * 5
    room.fault = lambda _: asked.pop() if asked else None

    async def command(reply: Reply) -> Card:
        await reply(Card(title="half", key="k", private=True, final=False))
        return Card(title="secret", key="k", private=True)

    on_a_jumping_clock(talk(room, command, channel))
    if channel.private:
        assert room.titles[0][-1] == "secret"
        assert room.whispers == []
    else:
        assert room.titles == []
        assert [card.title for card in room.whispers] == ["secret"]


def test_a_card_that_the_outbox_carries_is_not_said_again() -> None:
    room = Room()

    async def command(_: Reply) -> Card:
        return Card(title="#1", key="deployment:1", queued=True)

    on_a_jumping_clock(talk(room, command))
    assert room.calls == 0


def test_a_message_that_somebody_deleted_is_said_anew() -> None:
    room = Room()

    async def command(reply: Reply) -> Card:
        await reply(state(0))
        await asyncio.sleep(5)
        faults = [UserError("there is no such message")]
        room.fault = lambda _: faults.pop() if faults else None
        return state(1, final=True)

    on_a_jumping_clock(talk(room, command))
    assert room.titles == [["0"], ["1"]]


@pytest.mark.parametrize("error", [UserError("no such channel"), RuntimeError("a bug"), DOWN, StoreError("full")])
def test_a_room_that_takes_nothing_ends_the_talk_and_breaks_nothing(error: Exception) -> None:
    room = Room(fault=lambda _: error)

    async def command(reply: Reply) -> Card:
        await reply(state(0))
        return Card(title="end")

    on_a_jumping_clock(talk(room, command))
    assert room.titles == []


def test_a_database_that_is_full_for_a_moment_delays_only() -> None:
    room = Room()
    faults = [StoreError("the disk is full")] * 3
    room.fault = lambda _: faults.pop() if faults else None

    async def command(reply: Reply) -> Card:
        await reply(state(0))
        return state(1, final=True)

    on_a_jumping_clock(talk(room, command))
    assert room.titles[0][-1] == "1"


@pytest.mark.parametrize("down", [False, True])
def test_a_cancelled_command_leaves_its_messages_closed_and_soon(down: bool) -> None:
    room = Room()

    async def command(reply: Reply) -> Card:
        await reply(state(0))
        await asyncio.sleep(3600)
        return state(1, final=True)

    async def cancelled() -> None:
        task = asyncio.create_task(talk(room, command))
        await asyncio.sleep(10)
        room.fault = lambda _: DOWN if down else None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert asyncio.get_running_loop().time() < 15
        assert asyncio.all_tasks() == {asyncio.current_task()}

    on_a_jumping_clock(cancelled())
    assert [card.final for card in room.messages[0]] == ([False] if down else [False, True])
