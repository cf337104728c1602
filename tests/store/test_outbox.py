"""Messages on their way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.card import Button, Card, Line, Tone
from deploybot.domain import Channel
from deploybot.errors import StoreError
from deploybot.ports import OutboxItem, Tables
from deploybot.store.database import Database
from tests.store.examples import CONSOLE, NOW, ann, plan

CARD = Card(
    title="one", key="deployment:1", lines=(Line("web1", "waits", Tone.BUSY),), buttons=(Button("x", "cancel"),)
)
SLACK = Channel("slack", "C1", "17.5", private=True)


async def _put(store: Database, card: Card, channel: Channel = CONSOLE, now: float = NOW) -> None:
    await store.write(lambda tables: tables.outbox.put(channel, card, now))


async def _due(store: Database, now: float = NOW) -> tuple[OutboxItem, ...]:
    return await store.read(lambda tables: tables.outbox.due(now))


async def test_a_card_is_due_as_it_was_put(store: Database) -> None:
    await _put(store, CARD, SLACK)
    assert await _due(store, NOW - 1) == ()
    (item,) = await _due(store)
    assert item == OutboxItem(
        id=item.id, channel=SLACK, card=CARD, key=CARD.key, message="", revision=1, attempts=0, next_at=NOW
    )


async def test_of_an_unsent_card_only_the_newest_state_is_kept(store: Database) -> None:
    for title in ("one", "two", "three"):
        await _put(store, replace(CARD, title=title))
    (item,) = await _due(store)
    assert (item.card.title, item.revision) == ("three", 3)


async def test_the_same_state_again_is_no_new_revision(store: Database) -> None:
    await _put(store, CARD)
    await _put(store, CARD)
    (item,) = await _due(store)
    assert item.revision == 1


async def test_each_channel_has_its_own(store: Database) -> None:
    rooms = (CONSOLE, SLACK, replace(SLACK, thread=""), replace(SLACK, private=False))
    for room in rooms:
        await _put(store, CARD, room)
    assert tuple(item.channel for item in await _due(store)) == rooms


async def test_cards_without_a_key_all_arrive_in_order(store: Database) -> None:
    for title in ("a", "b", "a"):
        await _put(store, Card(title=title))
    assert [item.card.title for item in await _due(store)] == ["a", "b", "a"]


async def test_what_was_sent_is_edited_from_then_on(store: Database) -> None:
    await _put(store, CARD)
    (item,) = await _due(store)
    await store.write(lambda tables: tables.outbox.sent(item.id, item.revision, "m1"))
    assert await _due(store) == ()
    await _put(store, replace(CARD, title="two"), now=NOW + 5)
    (edit,) = await _due(store, NOW + 5)
    assert (edit.id, edit.message, edit.revision, edit.next_at) == (item.id, "m1", 2, NOW + 5)


async def test_a_state_put_while_an_older_one_was_sent_stays_due(store: Database) -> None:
    await _put(store, CARD)
    (item,) = await _due(store)
    await _put(store, replace(CARD, title="two"))
    await store.write(lambda tables: tables.outbox.sent(item.id, item.revision, "m1"))
    (newer,) = await _due(store)
    assert (newer.card.title, newer.message, newer.revision) == ("two", "m1", 2)


async def test_a_failure_waits_also_for_newer_states(store: Database) -> None:
    await _put(store, CARD)
    (item,) = await _due(store)
    await store.write(lambda tables: tables.outbox.retry(item.id, NOW + 30, "429"))
    await _put(store, replace(CARD, title="two"), now=NOW + 1)
    assert await _due(store, NOW + 29) == ()
    (later,) = await _due(store, NOW + 30)
    assert (later.card.title, later.attempts) == ("two", 1)
    await store.write(lambda tables: tables.outbox.sent(later.id, later.revision, "m1"))
    await _put(store, replace(CARD, title="three"), now=NOW + 31)
    assert [again.attempts for again in await _due(store, NOW + 31)] == [0]


async def test_what_was_given_up_is_tried_again_with_the_next_state(store: Database) -> None:
    await _put(store, CARD)
    (item,) = await _due(store)
    await store.write(lambda tables: tables.outbox.dead(item.id, item.revision, "no such channel"))
    assert await _due(store) == ()
    await _put(store, CARD, now=NOW + 1)
    assert [again.attempts for again in await _due(store, NOW + 1)] == [0]


async def test_giving_up_an_old_state_leaves_the_new_one_due(store: Database) -> None:
    await _put(store, CARD)
    (item,) = await _due(store)
    await _put(store, replace(CARD, title="two"))
    await store.write(lambda tables: tables.outbox.dead(item.id, item.revision, "too long"))
    assert [again.card.title for again in await _due(store)] == ["two"]


async def test_the_worker_learns_when_to_look_again(store: Database) -> None:
    assert await store.read(lambda tables: tables.outbox.next_at()) is None
    await _put(store, Card(title="later"), now=NOW + 9)
    await _put(store, Card(title="soon"), now=NOW + 3)
    assert await store.read(lambda tables: tables.outbox.next_at()) == NOW + 3


async def test_no_more_than_the_limit_is_given(store: Database) -> None:
    for number in range(5):
        await _put(store, Card(title=str(number)))
    items = await store.read(lambda tables: tables.outbox.due(NOW, 2))
    assert [item.card.title for item in items] == ["0", "1"]


async def test_channels_may_be_left_out_with_all_their_threads(store: Database) -> None:
    rooms = [
        Channel("slack", "C1"),
        Channel("slack", "C1", "17.5"),
        Channel("telegram", "C1"),
        Channel("slack", 'é"\\ 1'),
    ]

    def put(tables: Tables) -> None:
        for room in rooms:
            tables.outbox.put(room, Card(title="hello"), NOW)

    await store.write(put)

    async def besides(*channels: tuple[str, str]) -> list[Channel]:
        lanes = [(*channel, "new") for channel in channels]
        items = await store.read(lambda tables: tables.outbox.due(NOW, besides=lanes))
        return [item.channel for item in items]

    assert await besides() == rooms
    assert await besides(("slack", "C1")) == rooms[2:]
    assert await besides(("slack", 'é"\\ 1'), ("telegram", "C1"), ("slack", "C2")) == rooms[:2]


async def test_new_messages_go_before_edits_and_notifications_last(store: Database) -> None:
    for title, notification in (("alert", True), ("card", False)):
        await _put(store, Card(title=title, key=title, notification=notification))
    card = (await _due(store))[0]
    await store.write(lambda tables: tables.outbox.sent(card.id, card.revision, "1"))
    await _put(store, Card(title="card, changed", key="card"))
    await _put(store, Card(title="answer"))
    assert [item.card.title for item in await _due(store)] == ["answer", "card, changed", "alert"]
    lanes = [(CONSOLE.platform, CONSOLE.id, kind) for kind in ("edits", "notifications")]
    items = await store.read(lambda tables: tables.outbox.due(NOW, besides=lanes))
    assert [item.card.title for item in items] == ["answer"]


async def test_old_messages_are_dropped_and_waiting_ones_never(store: Database) -> None:
    for title in ("sent", "dead", "waits"):
        await _put(store, Card(title=title))
    sent, dead, _ = await _due(store)
    await store.write(lambda tables: tables.outbox.sent(sent.id, 1, "m"))
    await store.write(lambda tables: tables.outbox.dead(dead.id, 1, "no"))
    await _put(store, Card(title="new"), now=NOW + 31 * 86400)
    items = await _due(store, NOW + 31 * 86400)
    assert [item.card.title for item in items] == ["waits", "new"]


async def test_a_stream_cannot_be_queued(store: Database) -> None:
    with pytest.raises(ValueError, match="stream"):
        await _put(store, Card(title="log", key="log-1", stream=True))


async def test_a_message_goes_with_what_it_is_about(store: Database) -> None:
    def half(tables: object) -> None:
        tables.outbox.put(CONSOLE, CARD, NOW)  # type: ignore[attr-defined]
        raise StoreError("something else broke")

    with pytest.raises(StoreError):
        await store.write(half)
    assert await _due(store) == ()


async def test_the_worker_is_woken_by_commits_that_put_something(store: Database) -> None:
    woken: list[int] = []
    store.connect_workers(lambda: woken.append(1))
    await store.write(ann)
    await store.write(
        lambda tables: tables.deployments.add(plan(), requester=ann(tables), reason="", channel=None, now=NOW)
    )
    assert not woken
    await _put(store, CARD)
    await store.read(lambda tables: tables.outbox.next_at())
    assert woken == [1]
