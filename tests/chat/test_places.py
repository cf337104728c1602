"""Where a deployment's card goes: where it was asked for, to its app's channels, else to those of the chats."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from deploybot.card import Card
from deploybot.chat.card_channels import home_places, places_of
from deploybot.chat.console.console_session import PLACE
from deploybot.deployments.deployment_card import deployment_card
from deploybot.domain import Deployment, Kind, Place, Plan, Release, State
from deploybot.errors import Unreachable
from deploybot.ports import Tables
from deploybot.settings import Settings
from deploybot.store.database import Database
from deploybot.testing import memory_store
from tests.chat.test_outbox import Platform, drained, running
from tests.kit.settings import NOWHERE, bot_settings

SLACK, TELEGRAM = Place("slack", "C0123456SHOP"), Place("telegram", "-1001234567890")
HOME_SLACK, HOME_TELEGRAM = Place("slack", "C0123456HOME"), Place("telegram", "-100999", "7")
ASKED = Place("telegram", "1000", private=True)
RELEASE = Release.of_commit("1" * 40, "v1")
BOTH = ("slack:C0123456SHOP", "telegram:-1001234567890")


def settings(*channels: str, home: bool = True) -> Settings:
    chats: dict[str, Mapping[str, object]] = {
        "slack": {"bot_token": {"env": "A"}, "app_token": {"env": "B"}, "channel": "slack:C0123456HOME"},
        "telegram": {"token": {"env": "C"}, "channel": "telegram:-100999/7"},
    }
    # Without the chats, the channels of an app would be a mistake in bot.toml.
    made = bot_settings(
        NOWHERE, apps={"shop": {"environments": {"live": {}}, "channel": [*channels]}}, values={}, **chats
    )
    return made if home else made.model_copy(update=dict.fromkeys(chats))


def deployment(place: Place | None = ASKED, state: State = State.RUNNING, number: int = 42) -> Deployment:
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment="live", release=RELEASE, servers=())
    return Deployment(number=number, plan=plan, state=state, requester=1, requester_name="ana", place=place)


def test_what_nobody_requested_is_shown_at_the_console_without_a_channel() -> None:
    assert places_of(deployment(None), settings(home=False)) == (PLACE,)
    assert places_of(deployment(ASKED), settings(home=False)) == (ASKED,)


@pytest.mark.parametrize(
    ("channels", "asked", "expected"),
    [
        (BOTH, ASKED, (ASKED, SLACK, TELEGRAM)),
        (BOTH, None, (SLACK, TELEGRAM)),
        (BOTH, replace(SLACK, thread="17.1"), (replace(SLACK, thread="17.1"), TELEGRAM)),
        (BOTH[:1], ASKED, (ASKED, SLACK)),
        ((), ASKED, (ASKED, HOME_SLACK, HOME_TELEGRAM)),
        ((), HOME_SLACK, (HOME_SLACK, HOME_TELEGRAM)),
        ((), None, (HOME_SLACK, HOME_TELEGRAM)),
    ],
)
def test_who_is_notified(channels: tuple[str, ...], asked: Place | None, expected: tuple[Place, ...]) -> None:
    assert places_of(deployment(asked), settings(*channels)) == expected


def test_without_chats_only_the_requester_is_notified() -> None:
    assert places_of(deployment(), settings(home=False)) == (ASKED,)
    assert home_places(settings(home=False)) == ()


def test_an_app_that_is_not_in_bot_toml_any_more_is_reported_in_the_default_channels() -> None:
    gone = replace(deployment(), plan=replace(deployment().plan, app="gone"))
    assert places_of(gone, settings(*BOTH)) == (ASKED, HOME_SLACK, HOME_TELEGRAM)


STATES = (State.WAITING, State.RUNNING, State.RESTORING, State.RESTORED)
COUNT = int(os.environ.get("N", "40"))


async def tell(store: Database, given: Deployment) -> None:
    """Queue a deployment's card as `deployments.card_publisher` does: one row a place, in one transaction."""

    def work(tables: Tables) -> None:
        for place in places_of(given, settings(*BOTH)):
            tables.outbox.put(place, deployment_card(given, ()), 0.0)

    await store.write(work)


@dataclass
class Failing(Platform):
    """A chat that refuses one call in ten before it does anything, now and then with a Retry-After of its own."""

    dice: random.Random = field(default_factory=random.Random)
    quiet_until: dict[str, float] = field(default_factory=dict)
    too_soon: int = 0
    failures: int = 0

    async def send(self, place: Place, card: Card) -> str:
        self._admit(place)
        return await super().send(place, card)

    async def edit(self, place: Place, message: str, card: Card) -> None:
        self._admit(place)
        await super().edit(place, message, card)

    def _admit(self, place: Place) -> None:
        now = time.monotonic()
        self.too_soon += now < self.quiet_until.get(place.channel, 0.0)
        if self.dice.random() < 0.1:
            self.failures += 1
            asked = self.dice.choice([0.0, 0.05])
            self.quiet_until[place.channel] = now + asked
            raise Unreachable(self.platform, "injected", retry_after=asked)


async def test_every_place_is_reported_every_end_once_however_often_a_chat_fails() -> None:
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))
    dice = random.Random(seed)
    chats = [Failing(name, interval=0.002, dice=dice) for name in ("slack", "telegram")]
    asked = [dice.choice([ASKED, SLACK, TELEGRAM, None]) for _ in range(COUNT)]
    async with memory_store() as store, running(store, *chats):
        for state in STATES:
            for number, place in enumerate(asked):
                await tell(store, deployment(place, state, number))
                await asyncio.sleep(0)
        await drained(store)
    cards = {(posted.place.channel, posted.states[-1].key): posted for chat in chats for posted in chat.messages}
    posts, calls, failures = (
        sum(values) for values in zip(*((len(chat.messages), chat.calls, chat.failures) for chat in chats), strict=True)
    )
    expected = [
        (place, number) for number in range(COUNT) for place in places_of(deployment(asked[number]), settings(*BOTH))
    ]
    lost = [
        (place.channel, number)
        for place, number in expected
        if not (posted := cards.get((place.channel, f"deployment:{number}"))) or not posted.states[-1].final
    ]
    sys.stdout.write(
        f"places: {len(lost)} of {len(expected)} ends lost, {posts - len(cards)} of {posts} said twice, "
        f"{sum(chat.too_soon for chat in chats)} of {calls + failures} calls before their Retry-After, "
        f"{failures} failures, seed={seed}\n"
    )
    assert lost == []
    assert posts == len(cards)
    assert not any(chat.too_soon for chat in chats)
    assert failures
    assert calls < len(expected) * len(STATES), "states that were overtaken are not sent"
