"""Quiet hours: what is not bad waits, in rows, and is then said as it stands; much of it in one message."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from deploybot.domain import Alert, BuildState, Change, Channel, Window
from deploybot.errors import StoreError
from deploybot.masking import Redactor
from deploybot.notifications.channel_routing import quiet_for
from deploybot.notifications.notifier import Notifier
from deploybot.notifications.quiet_hours import Quiet
from deploybot.settings import Settings
from tests.events.channel import HOME, NOON, EventChannel, build, open_channel, push, settings
from tests.kit.stores import FailingStore

NIGHT = {"all": {"quiet": "22:00 - 07:00"}}
TEN_HOURS = 10 * 3600.0
PASSED, FAILED, RUNNING = BuildState.PASSED, BuildState.FAILED, BuildState.RUNNING


async def until_morning(channel: EventChannel) -> None:
    """Let the quiet hours pass, and say what has waited."""
    channel.clock.advance(9 * 3600.0)
    await channel.store.write(channel.telling.post_due)


def night() -> Settings:
    return settings(notify=NIGHT)


async def test_a_push_at_night_is_reported_in_the_morning() -> None:
    async with open_channel(night()) as channel:
        channel.clock.advance(TEN_HOURS)
        assert await channel.hear(push()) == "kept until the quiet hours are over (1)"
        assert await channel.messages() == []
        due = await channel.store.read(lambda tables: tables.events.next_due())
        assert due == NOON + 19 * 3600
        await until_morning(channel)
        assert (await channel.message()).title == "shop: 1 commit to develop by Ana Ruiz (@ana)"
        assert await channel.store.read(lambda tables: tables.events.next_due()) is None


async def test_what_is_bad_is_said_at_once_and_what_became_of_it_in_its_message() -> None:
    async with open_channel(night()) as channel:
        channel.clock.advance(TEN_HOURS)
        await channel.hear(build(RUNNING))
        assert await channel.messages() == []
        await channel.hear(build(FAILED))
        assert (await channel.message()).title.endswith("red: tests")
        await channel.hear(build(PASSED, attempt=2))
        assert (await channel.message()).title.endswith("green after 2 min")
        await until_morning(channel)
        assert len(await channel.messages()) == 1


async def test_alerts_do_not_wait() -> None:
    async with open_channel(night()) as channel:
        channel.clock.advance(TEN_HOURS)
        await channel.hear(Alert(sender="prometheus", key="k", name="Slow", firing=True))
        assert len(await channel.messages()) == 1


async def test_it_is_said_in_its_latest_state() -> None:
    async with open_channel(night()) as channel:
        channel.clock.advance(TEN_HOURS)
        change = Change(sender="github", number=1, title="x", what="opened", branch="b", into="main", at=NOON)
        await channel.hear(change, replace(change, what="merged", at=NOON + 5))
        await until_morning(channel)
        assert (await channel.message()).title == "shop: #1 x — merged"


async def test_many_things_are_one_message_in_the_morning() -> None:
    async with open_channel(night()) as channel:
        channel.clock.advance(TEN_HOURS)
        await channel.hear(*(push(number) for number in range(2, 32)), build(PASSED))
        await until_morning(channel)
        card = await channel.message()
        assert card.title == "During quiet hours: 31 notifications, in their current state"
        assert len(card.lines) == 15
        assert card.lines[0].text == "1 commit to develop by Ana Ruiz (@ana)"
        assert card.lines[0].url == "https://git.example.com/compare/1...2"
        assert card.lines[-1].text == "and 17 more"
        assert len(card.listing) == 31
        assert card.listing[29].startswith(
            "shop  1 commit to develop by Ana Ruiz (@ana)  https://git.example.com/compare/30."
        )
        assert "green" in card.listing[30]
        await channel.hear(build(FAILED, attempt=2))
        assert [card.title for card in (await channel.messages())[1:]] == ["shop: develop (0000000000) — red: tests"]


async def test_hours_that_follow_on_each_other_are_one_night() -> None:
    async with open_channel(settings(notify={"all": {"quiet": ["22:00 - 02:00", "02:00 - 07:00"]}})) as channel:
        channel.clock.advance(TEN_HOURS)
        await channel.hear(push())
        channel.clock.advance(4 * 3600.0)
        due = await channel.store.write(channel.telling.post_due)
        assert (due, await channel.messages()) == (NOON + 19 * 3600, [])
        channel.clock.advance(5 * 3600.0)
        await channel.store.write(channel.telling.post_due)
        assert len(await channel.messages()) == 1


async def test_edits_of_what_was_said_before_go_on_at_night() -> None:
    async with open_channel(night()) as channel:
        channel.clock.advance(TEN_HOURS - 60)
        await channel.hear(build(RUNNING))
        channel.clock.advance(120)
        await channel.hear(build(PASSED))
        assert (await channel.message()).title.endswith("green after 2 min")


async def test_a_route_to_the_same_channel_that_is_not_quiet_counts() -> None:
    routes = {**NIGHT, "pushes": {"kinds": "push"}}
    async with open_channel(settings(notify=routes)) as channel:
        channel.clock.advance(TEN_HOURS)
        await channel.hear(push(), build(PASSED))
        assert (await channel.message()).title.startswith("shop: 1 commit")


async def test_it_survives_a_restart() -> None:
    async with open_channel(night()) as channel:
        channel.clock.advance(TEN_HOURS)
        await channel.hear(push())
        channel.telling = Notifier(channel.settings, channel.store, channel.clock, Redactor(()), (HOME,))
        await until_morning(channel)
        assert len(await channel.messages()) == 1


async def test_an_app_that_is_gone_from_bot_toml_is_not_reported() -> None:
    async with open_channel(night()) as channel:
        channel.clock.advance(TEN_HOURS)
        await channel.hear(push())
        gone = settings().model_copy(update={"apps": {}})
        channel.telling = Notifier(gone, channel.store, channel.clock, Redactor(()), (HOME,))
        await until_morning(channel)
        assert await channel.messages() == []
        assert await channel.store.read(lambda tables: tables.events.next_due()) is None


async def test_the_worker_says_it_and_bears_a_database_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    async with open_channel(night()) as channel:
        channel.clock.advance(TEN_HOURS)
        failing = FailingStore(channel.store)
        said = asyncio.Event()
        channel.store.connect_workers(said.set)
        telling = channel.telling
        worker = asyncio.create_task(Quiet(failing, channel.clock, telling.post_due, telling._waiting).run())
        failing.gone = "the disk is gone"
        await channel.hear(push())
        async with asyncio.timeout(20):
            while "the disk is gone" not in caplog.text:  # noqa: ASYNC110  a log has no event
                await asyncio.sleep(0)
        failing.gone = ""
        channel.clock.advance(TEN_HOURS)
        channel.telling._waiting.set()
        async with asyncio.timeout(20):
            await said.wait()
            await channel.message()
        worker.cancel()
        with pytest.raises(asyncio.CancelledError):
            await worker


@pytest.mark.parametrize(
    ("zone", "hour", "left"), [("UTC", 23, 8.0), ("Europe/Istanbul", 23, 8.0), ("UTC", 12, 0.0), ("Asia/Tokyo", 6, 1.0)]
)
def test_quiet_hours_are_those_of_the_bots_time_zone(zone: str, hour: int, left: float) -> None:
    here = datetime(2027, 1, 15, hour, tzinfo=ZoneInfo(zone))
    windows = (Window.read("22:00 - 07:00"), Window.read("Sat 00:00 - Sun 00:00"))
    assert quiet_for(windows, here) == left * 3600


@pytest.mark.parametrize(
    ("day", "left"),
    [((2027, 3, 27), 7.0), ((2027, 10, 30), 9.0), ((2027, 3, 28), 8.0)],
    ids=["forward", "back", "usual"],
)
def test_quiet_hours_end_by_the_clock_when_it_is_set(day: tuple[int, int, int], left: float) -> None:
    here = datetime(*day, 23, tzinfo=ZoneInfo("Europe/Berlin"))
    assert quiet_for((Window.read("22:00 - 07:00"),), here) == left * 3600
    assert quiet_for((Window.read("Fri 22:00 - Mon 07:00"),), here) == (left if day[2] == 28 else left + 24) * 3600


async def test_another_channel_gets_its_message_at_once() -> None:
    routes = {**NIGHT, "loud": {"channel": "slack:C0LOUD11111"}}
    async with open_channel(settings(notify=routes)) as channel:
        channel.clock.advance(TEN_HOURS)
        await channel.hear(push())
        assert len(await channel.messages(Channel("slack", "C0LOUD11111"))) == 1
        assert await channel.messages() == []


async def test_news_long_past_waits_while_its_old_message_is_kept_true() -> None:
    async with open_channel(night()) as channel:
        await channel.hear(build(FAILED, at=NOON + 1))
        channel.clock.advance(TEN_HOURS)
        await channel.hear(build(PASSED, attempt=2, at=NOON + TEN_HOURS))
        assert (await channel.message()).title.endswith("green after 2 min")
        await until_morning(channel)
        old, new = await channel.messages()
        assert (old.title, old.buttons) == (new.title, ())
        assert new.buttons


async def test_a_failed_write_is_for_the_inbox_to_try_again() -> None:
    async with open_channel() as channel:
        failing = FailingStore(channel.store)
        failing.full = "no space"
        telling = Notifier(channel.settings, failing, channel.clock, Redactor(()), (HOME,))
        with pytest.raises(StoreError):
            await telling.handle_event(channel.settings.apps["shop"], push(), "d")
        failing.full = ""
        assert await telling.handle_event(channel.settings.apps["shop"], push(), "d") == "posted (1)"
