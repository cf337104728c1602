"""The room and a client's mailbox: bounded, newest state last, and nobody waits for a slow reader."""

from __future__ import annotations

import asyncio

import pytest

from deploybot.card import Card
from deploybot.chat.console.client_mailbox import ClientRoom, Gone, Mailbox
from deploybot.chat.console.console_protocol import Done, Show


def state(number: int, *, final: bool = False) -> Card:
    return Card(title=f"state {number}", key="deployment:1", final=final)


def test_the_room_keeps_the_newest_state_and_the_last_cards() -> None:
    room = ClientRoom(size=3)
    for number in range(5):
        room.put(f"m{number}", Card(title=str(number)), seen=True)
    room.put("m2", Card(title="new"), seen=True)
    assert room.get("m1") is None
    assert room.get("m2") == Card(title="new")


def test_an_open_card_stays_in_the_room_when_others_go() -> None:
    room = ClientRoom(size=2)
    room.put("deployment:1", state(1), seen=True)
    for number in range(5):
        room.put(f"m{number}", Card(title=str(number)), seen=True)
    assert room.get("deployment:1") == state(1)


def test_a_late_client_gets_what_is_open_and_what_nobody_saw_once() -> None:
    room = ClientRoom()
    room.put("seen", Card(title="seen"), seen=True)
    room.put("deployment:1", state(1), seen=True)
    for number in range(30):
        room.put(f"m{number}", Card(title=str(number)), seen=False)
    assert room.news(limit=2) == ["deployment:1", "m28", "m29"]
    assert room.news() == ["deployment:1"]


async def test_states_that_were_overtaken_are_not_sent() -> None:
    room = ClientRoom()
    box = Mailbox(room.get)
    for number in range(100):
        room.put("deployment:1", state(number), seen=True)
        box.post("deployment:1")
    assert await box.take() == Show("deployment:1", state(99))
    room.put("deployment:1", state(100, final=True), seen=True)
    box.post("deployment:1")
    assert await box.take() == Show("deployment:1", state(100, final=True), edit=True)


async def test_a_reply_is_never_older_than_what_the_room_said() -> None:
    room = ClientRoom()
    box = Mailbox(room.get)
    await box.put(Show("deployment:1", state(1), "7"), timeout=1)
    room.put("deployment:1", state(2, final=True), seen=True)
    assert await box.take() == Show("deployment:1", state(2, final=True), "7")


async def test_the_same_state_is_not_sent_twice() -> None:
    room = ClientRoom()
    box = Mailbox(room.get)
    room.put("m", state(1), seen=True)
    box.post("m")
    await box.take()
    box.post("m")
    await box.put(Done("1"), timeout=1)
    assert await box.take() == Done("1")


async def test_a_slow_reader_holds_back_replies_and_not_the_room() -> None:
    room = ClientRoom()
    box = Mailbox(room.get, replies=2, cards=3)
    for number in range(2):
        await box.put(Done(str(number)), timeout=1)
    with pytest.raises(TimeoutError):
        await box.put(Done("late"), timeout=0.02)
    for number in range(5):
        room.put(f"m{number}", Card(title=str(number)), seen=True)
        box.post(f"m{number}")
    assert box.skipped == 2
    taken = [await box.take() for _ in range(6)]
    assert [one.message for one in taken if isinstance(one, Show)] == ["m2", "m3", "m4", "skipped"]
    assert taken[-2:] == [Done("0"), Done("1")]


async def test_a_reply_goes_on_when_there_is_room_again() -> None:
    box = Mailbox(lambda _: None, replies=1)
    await box.put(Done("1"), timeout=1)
    waiting = asyncio.create_task(box.put(Done("2"), timeout=5))
    await asyncio.sleep(0)
    assert await box.take() == Done("1")
    await waiting
    assert await box.take() == Done("2")


async def test_everybody_who_waits_learns_that_the_client_left() -> None:
    box = Mailbox(lambda _: None, replies=1)
    taking = asyncio.create_task(box.take())
    await asyncio.sleep(0)
    box.close()
    with pytest.raises(Gone):
        await taking
    with pytest.raises(Gone):
        await box.put(Done("1"), timeout=1)
