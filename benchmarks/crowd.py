"""Fifty people in Slack and Telegram, on the tests' doubles with their real limits, who all want something."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploybot.domain import Identity, Role
from deploybot.ports import Tables
from deploybot.store.database import Database
from tests.doubles.flaky import make_flaky
from tests.doubles.slack import APP_TOKEN, BOT_TOKEN, TEAM, SlackDouble
from tests.doubles.telegram import TelegramDouble
from tests.doubles.timeline import Post
from tests.lab import LabError

PEOPLE = 50
CHANNEL, GROUP = "C0BENCHES1", "-1001234567890"
LOOKS = ("/deploybot status shop", "/history shop", "/deploybot help deploy", "/whoami", "/diff shop")
DEPLOY_EVERY = 20
_CONNECTED_WITHIN = 30.0
_ANSWERED_WITHIN = 30.0
_DELIVERED_WITHIN = 240.0
_LOOK = 0.1
_CARD = re.compile(r"#(\d+) [\w.-]+/[\w.-]+: ")
"""A deployment's title: `#5 shop/live: v1 → v2 · succeeded`."""


@dataclass(slots=True)
class Load:
    """What a load came to: seconds from each command to the first that its sender saw of an answer."""

    began: float = 0.0
    ended: float = 0.0
    times: list[float] = field(default_factory=list)
    unanswered: int = 0
    ends: int = 0
    lost: int = 0
    failures: int = 0


class Crowd:
    """Both doubles, and people who have one identity each: even ones are in Slack, odd ones in Telegram."""

    def __init__(self) -> None:
        self.slack = SlackDouble()
        self.telegram = TelegramDouble()
        self.telegram.group(GROUP)
        for number in range(PEOPLE):
            if number % 2:
                self.telegram.user(_user(number))
            else:
                self.slack.user(_user(number), f"p{number:02}")

    async def start(self) -> None:
        """Listen."""
        await self.slack.start()
        await self.telegram.start()

    async def close(self) -> None:
        """Stop."""
        await self.slack.close()
        await self.telegram.close()

    @property
    def violations(self) -> list[str]:
        """Every limit that was broken."""
        return self.slack.violations + self.telegram.violations

    def tables(self, folder: Path, *names: str) -> str:
        """bot.toml's tables for these chats; their tokens are put into a folder."""
        tokens = {"bot": BOT_TOKEN, "app": APP_TOKEN, "telegram": self.telegram.token}
        folder.mkdir()
        for name, token in tokens.items():
            file = folder / name
            file.touch(mode=0o600)
            file.write_text(token)
        slack = (
            f'[slack]\nbot_token = {{ file = "{folder}/bot" }}\napp_token = {{ file = "{folder}/app" }}\n'
            f'channel = "slack:{CHANNEL}"\napi_url = "{self.slack.api_url}"\n'
        )
        telegram = (
            f'[telegram]\ntoken = {{ file = "{folder}/telegram" }}\nchannel = "telegram:{GROUP}"\n'
            f'api_url = "{self.telegram.api_url}"\n'
        )
        return "".join({"slack": slack, "telegram": telegram}[name] for name in names)

    async def connected(self, *names: str) -> None:
        """Wait until the bot listens to these chats."""
        async with asyncio.timeout(_CONNECTED_WITHIN):
            if "slack" in names:
                await self.slack.wire.connected.wait()
            while "telegram" in names and not self.telegram.inbox.polls:  # noqa: ASYNC110  it tells of nothing
                await asyncio.sleep(_LOOK)

    async def command(self, number: int, text: str) -> float:
        """Have somebody write to the bot; the seconds until they saw something of the answer."""
        double, user = (self.telegram, _user(number)) if number % 2 else (self.slack, _user(number))
        room = user if number % 2 else f"D{user}"
        before = {post.id for post in double.timeline.seen_by(user, room)}
        began = time.monotonic()
        typing = asyncio.create_task(double.say(user, room, text))

        def answers(post: Post) -> bool:
            return post.channel == room and post.id not in before and post.author != _name(number)

        try:
            await double.timeline.until(answers, within=_ANSWERED_WITHIN)
        finally:
            await typing
        return time.monotonic() - began

    async def load(self, seconds: float, *, fail: random.Random | None = None, a_second: float = 2.0) -> Load:
        """Two commands a second in all; with `fail`, one call in ten of the bot's fails meanwhile."""
        load, people = Load(began=time.monotonic()), itertools.cycle(random.sample(range(PEOPLE), PEOPLE))
        flaky = [make_flaky(double, fail) for double in (self.slack, self.telegram)] if fail else []
        lines = itertools.cycle(LOOKS)
        tasks = []
        for turn in range(round(seconds * a_second)):
            line = "/deploy shop" if turn % DEPLOY_EVERY == DEPLOY_EVERY // 2 else next(lines)
            tasks.append(asyncio.create_task(self.command(next(people), line)))
            await asyncio.sleep(load.began + (turn + 1) / a_second - time.monotonic())
        for answer in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(answer, float):
                load.times.append(answer)
            else:
                load.unanswered += 1
        load.ended = time.monotonic()
        await self.count(load)
        load.failures = sum(one.failures for one in flaky)
        return load

    async def count(self, load: Load, within: float = _DELIVERED_WITHIN) -> None:
        """Wait until every card of a deployment reads as ended, or so many seconds; count what does not."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not all(self._cards().values()):  # noqa: ASYNC110  only all posts together tell
                    await asyncio.sleep(_LOOK)
        cards = self._cards()
        numbers = {key[-1] for key in cards}
        public = {(room, number) for room in (CHANNEL, GROUP) for number in numbers}
        load.ends = len(cards.keys() | public)
        load.lost = sum(not cards.get(key, False) for key in cards.keys() | public)

    def _cards(self) -> Mapping[tuple[str, str], bool]:
        """Every deployment in every room in which it is shown, and whether its end is told there."""
        posts = [post for double in (self.slack, self.telegram) for post in double.timeline.posts]
        found = [(post, _CARD.search(post.text.split("\n")[0])) for post in posts]
        return {(post.channel, match[1]): "· succeeded" in post.text for post, match in found if match}


def _user(number: int) -> str:
    return str(2000 + number) if number % 2 else f"U0P{number:02}"


def _name(number: int) -> str:
    return f"user{2000 + number}" if number % 2 else f"p{number:02}"


async def hire(database: Path) -> None:
    """Let all of them do everything."""

    def work(tables: Tables) -> None:
        for number in range(PEOPLE):
            identity = Identity("telegram", _user(number)) if number % 2 else Identity("slack", _user(number), TEAM)
            person = tables.people.add(f"p{number:02}", identity)
            tables.people.grant(person.id, Role.DEPLOYER)

    store = Database(database)
    await store.open()
    try:
        await store.write(work)
    finally:
        await store.aclose()


def blocked(file: Path, load: Load) -> float:
    """How long the bot's event loop was blocked at the most while a load lasted, in seconds."""
    rows = [tuple(map(float, line.split())) for line in file.read_text().splitlines()]
    if not rows:
        raise LabError("the gauge of the event loop has told nothing")
    return max((late for at, late in rows if load.began <= at <= load.ended), default=0.0)
