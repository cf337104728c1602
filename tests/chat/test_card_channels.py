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
from deploybot.chat.card_channels import card_channels, home_channels
from deploybot.chat.console.console_session import CHANNEL
from deploybot.deployments.deployment_card import deployment_card
from deploybot.domain import Channel, Deployment, Kind, Plan, Release, State
from deploybot.errors import Unreachable
from deploybot.ports import Tables
from deploybot.settings import Settings
from deploybot.store.database import Database
from deploybot.testing import memory_store
from tests.chat.outbox_platform import Platform, drained, running
from tests.kit.seeds import new_seed
from tests.kit.settings import NOWHERE, bot_settings

SLACK, TELEGRAM = Channel("slack", "C0123456SHOP"), Channel("telegram", "-1001234567890")
HOME_SLACK, HOME_TELEGRAM = Channel("slack", "C0123456HOME"), Channel("telegram", "-100999", "7")
ASKED = Channel("telegram", "1000", private=True)
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


def deployment(channel: Channel | None = ASKED, state: State = State.RUNNING, number: int = 42) -> Deployment:
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment="live", release=RELEASE, servers=())
    return Deployment(number=number, plan=plan, state=state, requester=1, requester_name="ana", channel=channel)


def test_what_nobody_requested_is_shown_at_the_console_without_a_channel() -> None:
    assert card_channels(deployment(None), settings(home=False)) == (CHANNEL,)
    assert card_channels(deployment(ASKED), settings(home=False)) == (ASKED,)


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
def test_who_is_notified(channels: tuple[str, ...], asked: Channel | None, expected: tuple[Channel, ...]) -> None:
    assert card_channels(deployment(asked), settings(*channels)) == expected


def test_without_chats_only_the_requester_is_notified() -> None:
    assert card_channels(deployment(), settings(home=False)) == (ASKED,)
    assert home_channels(settings(home=False)) == ()


def test_an_app_that_is_not_in_bot_toml_any_more_is_reported_in_the_default_channels() -> None:
    gone = replace(deployment(), plan=replace(deployment().plan, app="gone"))
    assert card_channels(gone, settings(*BOTH)) == (ASKED, HOME_SLACK, HOME_TELEGRAM)


STATES = (State.WAITING, State.RUNNING, State.RESTORING, State.RESTORED)
COUNT = int(os.environ.get("N", "40"))


async def tell(store: Database, given: Deployment) -> None:
    """Queue a deployment's card as `deployments.card_publisher` does: one row a channel, in one transaction."""

    def work(tables: Tables) -> None:
        for channel in card_channels(given, settings(*BOTH)):
            tables.outbox.put(channel, deployment_card(given, ()), 0.0)

    await store.write(work)


@dataclass
class Failing(Platform):
    """A chat that refuses one call in ten before it does anything, now and then with a Retry-After of its own."""

    dice: random.Random = field(default_factory=random.Random)
    quiet_until: dict[str, float] = field(default_factory=dict)
    too_soon: int = 0
    failures: int = 0

    async def send(self, channel: Channel, card: Card) -> str:
        self._admit(channel)
        return await super().send(channel, card)

    async def edit(self, channel: Channel, message: str, card: Card) -> None:
        self._admit(channel)
        await super().edit(channel, message, card)

    def _admit(self, channel: Channel) -> None:
        now = time.monotonic()
        self.too_soon += now < self.quiet_until.get(channel.id, 0.0)
        if self.dice.random() < 0.1:
            self.failures += 1
            asked = self.dice.choice([0.0, 0.05])
            self.quiet_until[channel.id] = now + asked
            raise Unreachable(self.platform, "injected", retry_after=asked)


async def test_every_channel_is_reported_every_end_once_however_often_a_chat_fails() -> None:
    seed = new_seed()
    dice = random.Random(seed)
    chats = [Failing(name, interval=0.002, dice=dice) for name in ("slack", "telegram")]
    asked = [dice.choice([ASKED, SLACK, TELEGRAM, None]) for _ in range(COUNT)]
    async with memory_store() as store, running(store, *chats):
        for state in STATES:
            for number, channel in enumerate(asked):
                await tell(store, deployment(channel, state, number))
                await asyncio.sleep(0)
        await drained(store)
    cards = {(posted.channel.id, posted.states[-1].key): posted for chat in chats for posted in chat.messages}
    posts, calls, failures = (
        sum(values) for values in zip(*((len(chat.messages), chat.calls, chat.failures) for chat in chats), strict=True)
    )
    expected = [
        (channel, number)
        for number in range(COUNT)
        for channel in card_channels(deployment(asked[number]), settings(*BOTH))
    ]
    lost = [
        (channel.id, number)
        for channel, number in expected
        if not (posted := cards.get((channel.id, f"deployment:{number}"))) or not posted.states[-1].final
    ]
    sys.stdout.write(
        f"channels: {len(lost)} of {len(expected)} ends lost, {posts - len(cards)} of {posts} said twice, "
        f"{sum(chat.too_soon for chat in chats)} of {calls + failures} calls before their Retry-After, "
        f"{failures} failures, seed={seed}\n"
    )
    assert lost == []
    assert posts == len(cards)
    assert not any(chat.too_soon for chat in chats)
    assert failures
    assert calls < len(expected) * len(STATES), "states that were overtaken are not sent"
