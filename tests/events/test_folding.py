"""Repeats folded, recovery told, and what makes a new message of what is long past."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import Alert, BuildState, Deployed, Note
from deploybot.notifications.event_subjects import position_of
from deploybot.notifications.event_text import nth
from deploybot.notifications.failure_folding import LOOK_BACK
from tests.events.channel import NOON, EventChannel, build, push

PASSED, FAILED, RUNNING = BuildState.PASSED, BuildState.FAILED, BuildState.RUNNING


async def line(channel: EventChannel) -> str:
    """What the newest message says of its first build."""
    return (await channel.messages())[-1].lines[0].text


async def test_failures_in_a_row_are_counted_and_their_end_is_reported(channel: EventChannel) -> None:
    await channel.hear(build(PASSED, 1), build(FAILED, 2))
    assert await line(channel) == "red after 2 min"
    await channel.hear(build(FAILED, 3))
    assert await line(channel) == "red after 2 min; still failing, 2nd time, since 2027-01-15 12:04"
    channel.clock.advance(61)  # more than five within a minute would be one message
    await channel.hear(build(FAILED, 4), build(BuildState.CANCELLED, 5), build(FAILED, 6))
    assert await line(channel) == "red after 2 min; still failing, 4th time, since 2027-01-15 12:04"
    await channel.hear(build(PASSED, 60 + 2))
    assert await line(channel) == "green, 2 min; green again after 4 failures, 1 h"
    await channel.hear(build(PASSED, 63))
    assert await line(channel) == "green, 2 min"


async def test_workflows_and_branches_are_counted_by_themselves(channel: EventChannel) -> None:
    await channel.hear(build(FAILED, 2), build(FAILED, 3, name="lint"), build(FAILED, 4, branch="main"))
    assert [card.lines[0].text for card in await channel.messages()] == ["red after 2 min"] * 3


async def test_a_failure_that_comes_late_counts_in_the_newer_ones(channel: EventChannel) -> None:
    await channel.hear(build(FAILED, 2), build(FAILED, 4))
    assert "2nd time" in await line(channel)
    await channel.hear(build(FAILED, 3))
    older = [card.lines[0].text for card in await channel.messages()]
    assert ["still" in text and text.split(", ")[1] for text in older] == [False, "3rd time", "2nd time"]


async def test_nightly_builds_of_one_commit_are_one_line(channel: EventChannel) -> None:
    for number in range(5):
        begun = NOON + 86400 * number
        nightly = replace(
            build(FAILED, 2), key=f"n{number}", number=number + 1, started=begun, finished=begun, at=begun
        )
        channel.clock.advance(86400)
        await channel.hear(nightly)
    assert await line(channel) == "red after 0.0 s; still failing, 5th time, since 2027-01-15 12:00"
    assert len(await channel.messages()) == 1


async def test_more_than_anybody_counts(channel: EventChannel) -> None:
    await channel.hear(*(build(FAILED, number) for number in range(2, LOOK_BACK + 9)))
    assert f"still failing, {LOOK_BACK} times or more" in await line(channel)


@pytest.mark.parametrize(("later", "messages"), [(600, 1), (7200, 2)])
async def test_the_first_failure_of_what_is_long_past_is_a_new_message(
    channel: EventChannel, later: float, messages: int
) -> None:
    await channel.hear(build(RUNNING))
    channel.clock.advance(later)
    await channel.hear(build(FAILED))
    made = await channel.messages()
    assert [card.title for card in made] == ["shop: develop (0000000000) — red: tests"] * messages


async def test_a_deployment_that_fails_late_is_a_new_message(channel: EventChannel) -> None:
    event = Deployed(sender="github", key="1", environment="staging", state=RUNNING, at=NOON)
    await channel.hear(event)
    channel.clock.advance(7200)
    await channel.hear(replace(event, state=FAILED, at=NOON + 7200))
    assert len(await channel.messages()) == 2


async def test_a_failure_after_failures_is_an_edit(channel: EventChannel) -> None:
    await channel.hear(build(FAILED, 1), build(RUNNING, 2))
    channel.clock.advance(7200)
    await channel.hear(build(FAILED, 2))
    assert len(await channel.messages()) == 2
    await channel.hear(build(RUNNING, 3))
    channel.clock.advance(7200)
    await channel.hear(build(PASSED, 3))
    assert len(await channel.messages()) == 4


async def test_a_new_message_goes_on_and_the_old_one_keeps_its_state(channel: EventChannel) -> None:
    await channel.hear(build(PASSED, name="lint"), build(RUNNING))
    channel.clock.advance(7200)
    await channel.hear(build(FAILED))
    channel.clock.advance(7200)
    await channel.hear(build(RUNNING, attempt=2), build(PASSED, attempt=2))
    titles = [(card.title.rpartition("— ")[2], bool(card.buttons)) for card in await channel.messages()]
    assert titles == [("red: tests", False), ("green after 2 min", False), ("green after 2 min", True)]


async def test_an_alert_that_flaps_is_one_message_and_one_that_comes_back_later_another(channel: EventChannel) -> None:
    alert = Alert(sender="prometheus", key="k", name="Slow", firing=True, started=NOON, at=NOON)
    for number in range(5):
        now = NOON + 60 * number
        await channel.hear(replace(alert, started=now, at=now), replace(alert, started=now, at=now + 30, firing=False))
        channel.clock.advance(60)
    assert (await channel.message()).lines[0].text == "5th time since 2027-01-15 12:00"
    channel.clock.advance(7200)
    await channel.hear(replace(alert, started=NOON + 9000, at=NOON + 9000))
    first, again = await channel.messages()
    assert again.title == "shop: Slow — firing"
    assert first.title == again.title


async def test_an_alert_without_a_beginning_still_ends(channel: EventChannel) -> None:
    alert = Alert(sender="event", key="k", name="Slow", firing=True, at=NOON)
    await channel.hear(alert, replace(alert, firing=False, at=NOON + 9), replace(alert, at=NOON + 5))
    assert (await channel.message()).title == "shop: Slow — resolved"


async def test_a_clock_that_is_days_ahead_stops_nothing(channel: EventChannel) -> None:
    note = Note(sender="event", title="a", key="k", at=NOON + 9e6)
    await channel.hear(note)
    channel.clock.advance(1)
    await channel.hear(replace(note, title="b", at=0.0))
    assert (await channel.message()).title == "shop: b"


async def test_things_without_events_for_a_month_are_forgotten(channel: EventChannel) -> None:
    await channel.hear(push(2))
    channel.clock.advance(31 * 86400)
    await channel.hear(push(3))
    thing = position_of(push(2), "").thing
    assert await channel.store.read(lambda tables: tables.events.notifications("shop", thing)) == ()
    assert await channel.store.read(lambda tables: tables.events.parts("shop", thing)) == ()


def test_numbers_in_words() -> None:
    assert [nth(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 22, 103, 111)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "103rd", "111th",
    ]  # fmt: skip
