"""Much that is new within a minute is one message: counted, listed, and kept true as its things change."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from deploybot.card import Card, Tone
from deploybot.domain import Alert, BuildState, Event
from deploybot.notifications.late_changes import LONG_PAST
from deploybot.webhooks.sender_port import Received
from deploybot.webhooks.senders import sender
from tests.events.channel import HOME, NOON, EventChannel, build, push
from tests.webhooks.alerts import delivery


def alert(number: int, *, firing: bool = True, group: str = "hosts") -> Alert:
    """An alert of a server."""
    return Alert(
        sender="prometheus",
        at=NOON if firing else NOON + 600,
        key=f"prometheus:{group}:{number}",
        name="HostDown",
        firing=firing,
        text=f"web-{number} does not answer",
        started=NOON,
        group=group,
    )


async def hear_at_once(channel: EventChannel, events: Iterable[Event]) -> None:
    """Hear them in one transaction."""
    app = channel.settings.apps["shop"]
    await channel.telling.handle_events(app, [(event, f"d{next(channel.deliveries)}") for event in events])


async def over(channel: EventChannel) -> None:
    """Let a minute go by."""
    channel.clock.advance(61)
    await channel.store.write(channel.telling.post_due)


def storms(cards: Iterable[Card]) -> list[Card]:
    return [card for card in cards if card.key.startswith("event:storm:")]


async def test_sixty_alerts_of_a_group_are_one_message_with_a_count_and_a_list(channel: EventChannel) -> None:
    await hear_at_once(channel, map(alert, range(60)))
    card = await channel.message()
    assert card.title == "Prometheus: 60 alerts within a minute, all firing"
    assert card.tone is Tone.BAD
    assert len(card.lines) == 15
    assert card.lines[-1].text == "and 46 more"
    assert card.lines[0].text == "HostDown — firing · web-59 does not answer"
    assert card.notification
    assert not card.final
    assert not card.listing
    await over(channel)
    card = await channel.message()
    assert card.final
    assert len(card.listing) == 60
    assert len({*card.listing}) == 60


async def test_five_have_messages_of_their_own_and_what_comes_then_is_one(channel: EventChannel) -> None:
    for number in range(9):
        await channel.hear(alert(number))
    cards = await channel.messages()
    assert len(cards) == 6
    (storm,) = storms(cards)
    assert storm.title == "Prometheus: 4 alerts within a minute, all firing"


async def test_a_storm_is_of_one_group_one_sender_and_one_kind(channel: EventChannel) -> None:
    await hear_at_once(channel, [alert(number, group=group) for group in ("hosts", "disks") for number in range(6)])
    await hear_at_once(channel, [push(number) for number in range(2, 6)])
    titles = [card.title for card in await channel.messages()]
    assert sum(title == "Prometheus: 6 alerts within a minute, all firing" for title in titles) == 2
    assert len(titles) == 6


async def test_what_becomes_of_a_thing_is_reported_in_the_message_of_its_storm(channel: EventChannel) -> None:
    await hear_at_once(channel, map(alert, range(8)))
    await hear_at_once(channel, [alert(number, firing=False) for number in range(3)])
    card = await channel.message()
    assert card.title == "Prometheus: 8 alerts within a minute, 5 firing"
    assert sum("resolved" in line.text for line in card.lines) == 3
    await hear_at_once(channel, [alert(number, firing=False) for number in range(8)])
    card = await channel.message()
    assert card.title == "Prometheus: 8 alerts within a minute"
    assert card.tone is Tone.GOOD


async def test_the_end_of_a_storm_that_is_long_past_is_one_new_message(channel: EventChannel) -> None:
    await hear_at_once(channel, map(alert, range(8)))
    await over(channel)
    channel.clock.advance(LONG_PAST + 1)
    await hear_at_once(channel, [alert(number, firing=False) for number in range(8)])
    old, new = storms(await channel.messages())
    assert new.title == "Prometheus: 8 alerts within a minute"
    assert new.tone is Tone.GOOD
    assert old.title == "Prometheus: see the newer message below"


async def test_the_next_minute_begins_a_new_message(channel: EventChannel) -> None:
    await hear_at_once(channel, map(alert, range(8)))
    await over(channel)
    await hear_at_once(channel, map(alert, range(8, 16)))
    assert [card.title for card in storms(await channel.messages())] == [
        "Prometheus: 8 alerts within a minute, all firing"
    ] * 2


async def test_a_storm_goes_on_after_a_restart(channel: EventChannel) -> None:
    await hear_at_once(channel, map(alert, range(8)))
    await channel.store.read(lambda tables: tables.events.next_due())
    assert await channel.store.read(lambda tables: tables.events.next_due()) == channel.clock.now() + 60
    await hear_at_once(channel, map(alert, range(8, 10)))
    assert (await channel.message()).title == "Prometheus: 10 alerts within a minute, all firing"


@pytest.mark.parametrize("count", [5, 6])
async def test_builds_are_folded_too_beyond_five_commits(channel: EventChannel, count: int) -> None:
    await hear_at_once(channel, [build(BuildState.FAILED, number) for number in range(2, 2 + count)])
    cards = await channel.messages()
    assert len(cards) == (5 if count == 5 else 1)
    assert len(storms(cards)) == (count == 6)


async def test_a_notification_comes_after_all_else_in_the_outbox(channel: EventChannel) -> None:
    await channel.hear(alert(1))
    await channel.store.write(lambda tables: tables.outbox.put(HOME, Card(title="an answer"), channel.clock.now()))
    assert [card.title for card in await channel.messages()] == ["an answer", "shop: HostDown — firing"]


async def test_a_group_that_alertmanager_cut_is_reported_once_with_the_fix(channel: EventChannel) -> None:
    body = delivery(range(6), truncated=41)
    for _ in range(2):
        received = Received(headers={"content-type": ["application/json"]}, body=body, query={}, at=NOON)
        await hear_at_once(channel, sender("prometheus").events(received))
        channel.clock.advance(61)
    cut = [card for card in await channel.messages() if "not shown" in card.title]
    assert [card.title for card in cut] == ["shop: 41 alerts of this group are not shown"]
    assert "max_alerts" in cut[0].text
