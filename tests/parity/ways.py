"""The ways in which a person and the bot may speak, each with the production adapter: the contract's three sides.

All of them lead to the same world (`tests.world`); each thing that is said gets a channel of its own, so that no
platform's limit of messages a second makes the suite slow.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploybot.card import Card
from deploybot.chat.console import Console
from deploybot.chat.desk import Desk
from deploybot.chat.link import Link, open_link
from deploybot.chat.pace import Rate
from deploybot.chat.parts import Parts, Reply
from deploybot.chat.protocol import Show
from deploybot.chat.render import plain
from deploybot.chat.slack.adapter import Slack
from deploybot.chat.slack.names import slash_name
from deploybot.chat.talk import LINES
from deploybot.chat.telegram.calls import Limits
from deploybot.chat.telegram.chat import TelegramChat
from deploybot.command import Incoming
from deploybot.domain import Identity, Place
from deploybot.ports import LiveChat
from deploybot.settings import Secret
from deploybot.settings import Slack as SlackSettings
from deploybot.settings import Telegram as TelegramSettings
from tests.doubles.scene import Double, Post
from tests.doubles.slack import APP_TOKEN, BOT_TOKEN, TEAM, SlackDouble
from tests.doubles.telegram import TelegramDouble
from tests.doubles.telegram.limits import FREE
from tests.parity.sight import Sight
from tests.world import STRANGER, World
from tests.world import TEAM as PEOPLE

Lacks = Callable[[Sight], list[str]]

_WITHIN = 10.0
_FAST = Rate(1_000, 1.0)


def holds(*phrases: str) -> Lacks:
    """Which of these phrases are not to be seen."""
    return lambda sight: [phrase for phrase in phrases if phrase not in sight.text]


@dataclass(slots=True)
class Heard:
    """One message as dispatch took it, and all cards that came of it, each as it read last."""

    incoming: Incoming
    cards: dict[str, Card] = field(default_factory=dict)

    def take(self, card: Card) -> None:
        """Keep a card's newest state; a followed log's lines add up."""
        key = card.key or f"alone-{len(self.cards)}"
        if card.stream and key in self.cards:
            card = replace(card, code=(*self.cards[key].code, *card.code)[-LINES:])
        self.cards[key] = card


@dataclass(frozen=True, slots=True)
class Message:
    """Something the bot has said: the cards, what is seen of them, the channel, and the id of what the outbox said."""

    cards: tuple[Card, ...]
    sight: Sight
    where: str
    id: str = ""


class Way(ABC):
    """One way to the bot."""

    name: str

    def __init__(self, world: World) -> None:
        self.world = world
        self.heard: asyncio.Queue[Heard] = asyncio.Queue()
        self.numbers = itertools.count(1)
        self.parts = Parts(
            handle=self._handle,
            complete=world.dispatcher.complete,
            recall=_recall,
            clock=world.clock,
            bot="0",
            commands=world.services.commands,
        )

    async def _handle(self, incoming: Incoming, reply: Reply) -> Card | None:
        heard = Heard(incoming)

        async def kept(card: Card) -> None:
            heard.take(card)
            await reply(card)

        card = await self.world.dispatcher.handle(incoming, kept)
        if card is not None:
            heard.take(card)
        self.heard.put_nowait(heard)
        return card

    @abstractmethod
    async def start(self) -> None:
        """Connect."""

    @abstractmethod
    async def close(self) -> None:
        """Leave; AssertionError where the platform's limits were broken."""

    @abstractmethod
    def identity(self, who: str) -> Identity:
        """Who somebody is on this platform."""

    @abstractmethod
    async def type(self, who: str, where: str, text: str) -> None:
        """Have a person write a line."""

    async def type_to_others(self, who: str, where: str, text: str) -> None:
        """Have a person write a line that is not for the bot."""
        raise NotImplementedError(f"everything on {self.name} is for the bot: {who} {where} {text}")

    @abstractmethod
    async def click(self, who: str, message: Message, label: str, answer: str) -> None:
        """Have a person press a button of a message, and answer what it asks."""

    @abstractmethod
    async def show(self, card: Card, message: Message | None = None) -> Message:
        """Have the outbox say a card, or edit the message that it has."""

    @abstractmethod
    async def until(self, who: str, where: str, lacks: Lacks) -> Sight:
        """What a person sees there once it lacks nothing; AssertionError where that does not come."""

    @abstractmethod
    async def seen(self, who: str, where: str) -> str:
        """All that somebody sees there now, of people and of the bot."""

    def new_place(self) -> str:
        """Where nobody has said anything yet."""
        return "room"

    async def say(self, who: str, text: str, where: str = "") -> Message:
        """Have a person write a line, and wait until everything that comes of it is there to be seen."""
        where = where or self.new_place()
        await self.type(who, where, text)
        return await self.answered(who, where)

    async def press(self, who: str, message: Message, label: str, answer: str = "") -> Message:
        """Have a person press a button, and wait likewise."""
        await self.click(who, message, label, answer)
        return await self.answered(who, message.where)

    async def next_heard(self) -> Heard:
        """The next thing that dispatch has answered."""
        async with asyncio.timeout(_WITHIN):
            return await self.heard.get()

    async def answered(self, who: str, where: str) -> Message:
        """What came of the next thing that dispatch hears, once it is there to be seen."""
        heard = await self.next_heard()
        cards = tuple(heard.cards.values())
        sight = await self.until(who, where, lambda sight: sight.lacks(cards))
        return Message(cards, sight, where)


async def _recall(_: str) -> Card | None:
    return None


class ConsoleWay(Way):
    """The console: one client a person, `--as NAME`, and cards as the client prints them."""

    name = "console"

    def __init__(self, world: World, folder: Path) -> None:
        super().__init__(world)
        self._path = folder / "console.sock"
        self._console = Console(self._path, self.parts)
        self._links: dict[str, Link] = {}
        self._shown: dict[str, list[Show]] = {}
        self._changed = asyncio.Condition()

    async def start(self) -> None:
        await self._console.start()

    async def close(self) -> None:
        for link in self._links.values():
            await link.close()
        await self._console.close()

    def identity(self, who: str) -> Identity:
        return Identity("console", f"{os.geteuid()}/{who}")

    async def type(self, who: str, where: str, text: str) -> None:
        del where
        link = await self._link(who)
        self._shown[who].clear()
        await link.say(text)

    async def click(self, who: str, message: Message, label: str, answer: str) -> None:
        """The console shows a button as the command to type."""
        button = next(one for card in message.cards for one in card.buttons if one.label == label)
        more = f" {'code' if button.asks_code else 'because'} {answer}" if answer else ""
        await self.type(who, message.where, button.command + more)

    async def show(self, card: Card, message: Message | None = None) -> Message:
        await self._link("ana")
        place = Place("console", "room")
        if message is None:
            await self._console.send(place, card)
        else:
            await self._console.edit(place, card.key, card)
        sight = await self.until("ana", "room", lambda sight: sight.lacks([card]))
        return Message((card,), sight, "room")

    async def until(self, who: str, where: str, lacks: Lacks) -> Sight:
        del where

        def sight() -> Sight:
            cards = {show.message: show.card for show in self._shown[who]}.values()
            return Sight("\n".join(map(plain, cards)), tuple(one.label for card in cards for one in card.buttons))

        try:
            async with asyncio.timeout(_WITHIN), self._changed:
                await self._changed.wait_for(lambda: not lacks(sight()))
        except TimeoutError:
            raise AssertionError(f"{who} misses {lacks(sight())} in: {sight()}") from None
        return sight()

    async def seen(self, who: str, where: str) -> str:
        del where
        await self._link(who)
        return "\n".join(plain(show.card) for show in self._shown[who])

    async def _link(self, who: str) -> Link:
        if who not in self._links:
            shown = self._shown[who] = []

            async def show(one: Show) -> None:
                async with self._changed:
                    shown.append(one)
                    self._changed.notify_all()

            self._links[who] = await open_link(self._path, show, name=who)
        return self._links[who]


class DoubleWay(Way):
    """A platform's double."""

    double: Double
    chat: LiveChat

    async def start(self) -> None:
        await self.double.start()
        await self.chat.start()

    async def close(self) -> None:
        await self.chat.close()
        await self.double.close()
        assert self.double.violations == [], self.double.violations

    @abstractmethod
    def user(self, who: str) -> str:
        """A person's id there."""

    @abstractmethod
    def place(self, where: str) -> Place:
        """A channel as the outbox knows it."""

    async def type_to_others(self, who: str, where: str, text: str) -> None:
        await self.double.say(self.user(who), where, text)

    async def click(self, who: str, message: Message, label: str, answer: str) -> None:
        await self.double.press(self.user(who), self.post_with(message, label), label, answer=answer)

    @abstractmethod
    async def press_again(self, who: str, post: Post, label: str) -> None:
        """Have somebody's client press a button as it was in an older state of a message."""

    def post_with(self, message: Message, label: str) -> Post:
        """The newest post of a channel that has such a button."""
        posts = [post for post in self.double.scene.posts if post.channel == message.where]
        return next(post for post in reversed(posts) if label in {one.label for one in post.buttons})

    async def show(self, card: Card, message: Message | None = None) -> Message:
        where = message.where if message else self.new_place()
        if message is None:
            number = await self.chat.send(self.place(where), card)
        else:
            number = message.id
            await self.chat.edit(self.place(where), number, card)
        sight = await self.until("ana", where, lambda sight: sight.lacks([card]))
        return Message((card,), sight, where, number)

    async def until(self, who: str, where: str, lacks: Lacks) -> Sight:
        try:
            await self.double.scene.until(lambda _: not lacks(self.sight(who, where)), within=_WITHIN)
        except AssertionError:
            sight = self.sight(who, where)
            raise AssertionError(f"{who} misses {lacks(sight)} in: {sight}; {self.double.violations}") from None
        return self.sight(who, where)

    async def seen(self, who: str, where: str) -> str:
        user = self.user(who)
        return "\n".join(post.text for post in self.double.scene.seen_by(user, where) + self.private(user))

    def sight(self, who: str, where: str) -> Sight:
        """What somebody sees of what the bot has said in a channel, and to them alone."""
        user = self.user(who)
        posts = self.double.scene.seen_by(user, where) + self.private(user)
        posts = [post for post in posts if post.author not in self.people]
        files = [f"{name}\n{content.decode('utf-8', 'replace')}" for post in posts for name, content in post.files]
        labels = [one.label for post in posts for one in post.buttons]
        return Sight("\n".join([*(post.text for post in posts), *files]), tuple(labels))

    def private(self, user: str) -> list[Post]:
        """What the bot has written to somebody directly."""
        return self.double.scene.seen_by(user, user)

    people: frozenset[str] = frozenset()


class SlackWay(DoubleWay):
    """Slack. `manner` is how people speak there: `slash` command, `mention` in a channel, or `direct` message."""

    def __init__(self, world: World, manner: str = "slash") -> None:
        super().__init__(world)
        self.name, self._manner = f"slack {manner}", manner
        self.double = self._double = SlackDouble(now=world.clock.now)
        for who in PEOPLE:
            self._double.user(self.user(who), who)
        self.people = frozenset(PEOPLE) | {self.user(STRANGER).lower()}

    @property
    def chat_double(self) -> SlackDouble:
        """The double, with what Slack alone has."""
        return self._double

    async def start(self) -> None:
        await self.double.start()
        settings = SlackSettings.model_validate(
            {"bot_token": {"env": "B"}, "app_token": {"env": "A"}, "api_url": self._double.api_url}
        )
        settings.bot_token.fill(BOT_TOKEN)
        assert isinstance(settings.app_token, Secret)
        settings.app_token.fill(APP_TOKEN)
        self.chat = Slack(settings, self.parts, Desk(self.world.store, self.world.clock, "slack"))
        await self.chat.start()
        async with asyncio.timeout(_WITHIN):
            await self._double.wire.connected.wait()

    def user(self, who: str) -> str:
        return f"U{PEOPLE[who][0] if who in PEOPLE else who}"

    def identity(self, who: str) -> Identity:
        return Identity("slack", self.user(who), TEAM)

    def place(self, where: str) -> Place:
        return Place("slack", where, private=where.startswith("D"))

    def new_place(self) -> str:
        return f"{'D' if self._manner == 'direct' else 'C'}{next(self.numbers):09}"

    async def type(self, who: str, where: str, text: str) -> None:
        if self._manner == "slash":
            name, _, rest = text.partition(" ")
            known = name in self.world.services.commands
            text = f"{slash_name(name)} {rest}".strip() if known else f"/deploybot {text}"
        elif self._manner == "mention":
            text = f"@deploybot {text}"
        await self._double.say(self.user(who), where, text)

    async def press_again(self, who: str, post: Post, label: str) -> None:
        value = next(one.value for one in post.buttons if one.label == label)
        action = {"type": "button", "block_id": "b", "action_id": "run:0:", "value": value}
        trigger = self._double.state.new_trigger(self.user(who), post.channel)
        await self._double.press_raw(self.user(who), post, action, trigger)


class TelegramWay(DoubleWay):
    """Telegram. `manner` is where people speak: with commands in a `group`, by the bot's `name` there, or `private`.

    `hurried` is without the limits of messages a second, where these are not what is tested.
    """

    def __init__(self, world: World, manner: str = "group", *, hurried: bool = True) -> None:
        super().__init__(world)
        self.name, self._manner = f"telegram {manner}", manner
        self.double = self._double = TelegramDouble(FREE if hurried else None)
        self._limits = Limits(_FAST, _FAST, _FAST) if hurried else Limits()
        self.people = frozenset(self._double.user(self.user(who)).name for who in (*PEOPLE, STRANGER))

    @property
    def chat_double(self) -> TelegramDouble:
        """The double, with what Telegram alone has."""
        return self._double

    async def start(self) -> None:
        await self.double.start()
        settings = TelegramSettings.model_validate({"token": {"env": "T"}, "api_url": self._double.api_url})
        settings.token.fill(self._double.token)
        self.chat = TelegramChat(settings, self.parts, self.world.store, limits=self._limits)
        await self.chat.start()

    def user(self, who: str) -> str:
        return PEOPLE[who][0] if who in PEOPLE else who

    def identity(self, who: str) -> Identity:
        return Identity("telegram", self.user(who))

    def place(self, where: str) -> Place:
        return Place("telegram", where, private=not where.startswith("-"))

    def new_place(self) -> str:
        if self._manner == "private":
            return ""
        where = f"-100{next(self.numbers):010}"
        self._double.group(where)
        return where

    async def say(self, who: str, text: str, where: str = "") -> Message:
        return await super().say(who, text, where or self.new_place() or self.user(who))

    async def type(self, who: str, where: str, text: str) -> None:
        text = f"@{self._double.username} {text}" if self._manner == "name" else f"/{text}"
        await self._double.say(self.user(who), where, text)

    async def press_again(self, who: str, post: Post, label: str) -> None:
        value = next(one.value for one in post.buttons if one.label == label)
        await self._double.send_press(self.user(who), post, value)
