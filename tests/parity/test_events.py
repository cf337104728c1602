"""Events through both chats at once: what people see of them, and what comes of their buttons."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from deploybot.domain import BuildState, Event
from deploybot.notifications.notifier import Notifier
from tests.events.channel import build, open_channel, push, settings
from tests.events.test_wild import ALL
from tests.events.wild import event
from tests.kit.command_bot import SETTINGS, V2
from tests.kit.seeds import new_seed
from tests.parity.test_several import Both, both, drained
from tests.parity.ways import DoubleWay, Way, holds

WILD = min(int(os.environ.get("N", "6")), 60)
SEED = new_seed()
SHOP = SETTINGS.apps["shop"]


class Told:
    """Both chats, a room in each that is told of shop, and what tells them."""

    def __init__(self, made: Both) -> None:
        self.made = made
        self.rooms: Mapping[str, str] = made.rooms()
        channels = [way.channel(self.rooms[way.name]) for way in made.ways]
        bot = made.bot
        self.telling = Notifier(SETTINGS, bot.store, bot.clock, bot.redactor, channels)

    async def hear(self, *events: Event) -> None:
        for number, one in enumerate(events):
            await self.telling.handle_event(SHOP, one, f"{number} {one.at} {one!r}")
        self.made.worker.wake()

    async def see(self, *phrases: str) -> None:
        for way in self.made.ways:
            await way.until("ben", self.rooms[way.name], holds(*phrases))

    def posts(self, way: DoubleWay) -> int:
        return len(way.double.timeline.seen_by("", self.rooms[way.name]))


@asynccontextmanager
async def told(folder: Path) -> AsyncIterator[Told]:
    async with both(folder) as made:
        yield Told(made)


def at_noon(state: BuildState, **more: object) -> Event:
    return build(state, commit=V2.id, **more)  # type: ignore[arg-type]


async def test_a_push_and_its_builds_until_somebody_deploys_it(tmp_path: Path) -> None:
    async with told(tmp_path) as room:
        await room.hear(push(after=V2.id, total=500), at_noon(BuildState.QUEUED))
        await room.see("shop: 500 commits to develop by Ana Ruiz", "Change number 2 — Ana Ruiz", "— queued")
        await room.hear(at_noon(BuildState.RUNNING), at_noon(BuildState.PASSED, name="lint"))
        await room.see("— building", "lint #2  green, 2 min")
        await room.hear(at_noon(BuildState.PASSED), at_noon(BuildState.QUEUED))
        await room.see("— green after 2 min")
        await drained(room.made.bot)
        assert [room.posts(way) for way in room.made.ways] == [2, 2]
        slack = room.made.slack
        card = slack.double.timeline.seen_by("", room.rooms[slack.name])[-1]
        assert ("lint #2", "https://git.example.com/runs/2") in card.links
        await slack.double.press(slack.user("ben"), card, "Deploy to staging")
        received = (await slack.next_heard()).incoming
        assert (received.text, received.identity) == (f"deploy shop@{V2.id} to staging", slack.identity("ben"))


async def test_whatever_stands_in_events_both_chats_take_it_and_nobody_is_woken(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    dice = random.Random(SEED)
    async with told(tmp_path) as room:
        events = [event(dice) for _ in range(WILD)]
        await room.hear(*events)
        await drained(room.made.bot)
        posts = [post for way in room.made.ways for post in way.double.timeline.posts]
        breaches = [breach for way in room.made.ways for breach in way.double.violations]
        pings = sum(bool(post.pings) for post in posts)
    figure(f"{pings} pings, {len(breaches)} refused of {len(posts)} messages of {WILD} events, seed={SEED}")
    assert (pings, breaches) == (0, [])


async def test_every_kind_of_event_reads_alike_everywhere(way: Way) -> None:
    dice = random.Random(SEED)
    async with open_channel(settings(notify=ALL)) as channel:
        await channel.hear(*map(event, [dice] * WILD), push(), build(BuildState.FAILED, failed=("unit", "browser")))
        for card in await channel.messages():
            await way.show(card)
