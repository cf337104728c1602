"""What a way to the bot is, and what all ways through a double have in common.

All of them lead to the same bot (`tests.kit.command_bot`) through production adapters. Each thing that is said gets a
channel of its own, so that no platform's limit of messages a second makes the suite slow.
"""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from deploybot.card import Card
from deploybot.chat.chat_dependencies import Parts, Reply
from deploybot.chat.message_conversation import LINES
from deploybot.command import Incoming
from deploybot.domain import Channel, Identity
from deploybot.ports import LiveChat
from tests.doubles.timeline import Double, Post
from tests.kit.command_bot import CommandBot
from tests.parity.sight import Sight

Lacks = Callable[[Sight], list[str]]

WITHIN = 30.0


def holds(*phrases: str) -> Lacks:
    """Which of these phrases are not to be seen."""
    return lambda sight: [phrase for phrase in phrases if phrase not in sight.text]


@dataclass(slots=True)
class Received:
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

    def __init__(self, bot: CommandBot) -> None:
        self.bot = bot
        self.received: asyncio.Queue[Received] = asyncio.Queue()
        self.numbers = itertools.count(1)
        self.parts = Parts(
            handle=self._handle,
            complete=bot.dispatcher.complete,
            recall=_recall,
            clock=bot.clock,
            bot="0",
            commands=bot.services.commands,
        )

    async def _handle(self, incoming: Incoming, reply: Reply) -> Card | None:
        received = Received(incoming)

        async def kept(card: Card) -> None:
            received.take(card)
            await reply(card)

        card = await self.bot.dispatcher.handle(incoming, kept)
        if card is not None:
            received.take(card)
        self.received.put_nowait(received)
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

    async def answer(self, who: str, message: Message, text: str) -> Message:
        """Have a person answer a message that asks for a reason."""
        (button,) = message.cards[0].buttons
        return await self.press(who, message, button.label, text)

    @abstractmethod
    async def show(self, card: Card, message: Message | None = None) -> Message:
        """Have the outbox say a card, or edit the message that it has."""

    @abstractmethod
    async def until(self, who: str, where: str, lacks: Lacks) -> Sight:
        """What a person sees there once it lacks nothing; AssertionError where that does not come."""

    @abstractmethod
    async def seen(self, who: str, where: str) -> str:
        """All that somebody sees there now, of people and of the bot."""

    def new_channel(self) -> str:
        """Where nobody has said anything yet."""
        return "room"

    async def say(self, who: str, text: str, where: str = "") -> Message:
        """Have a person write a line, and wait until everything that comes of it is there to be seen."""
        where = where or self.new_channel()
        await self.type(who, where, text)
        return await self.answered(who, where)

    async def press(self, who: str, message: Message, label: str, answer: str = "") -> Message:
        """Have a person press a button, and wait likewise."""
        await self.click(who, message, label, answer)
        return await self.answered(who, message.where)

    async def next_heard(self) -> Received:
        """The next thing that dispatch has answered."""
        async with asyncio.timeout(WITHIN):
            return await self.received.get()

    async def answered(self, who: str, where: str) -> Message:
        """What came of the next thing that dispatch hears, once it is there to be seen.

        What a pressed button's own card tells, which the outbox edits, is not said beside it.
        """
        received = await self.next_heard()
        cards = tuple(received.cards.values())
        said = [card for card in cards if not (received.incoming.press and card.aside and card.ok)]
        sight = await self.until(who, where, lambda sight: sight.lacks(said))
        return Message(cards, sight, where)


async def _recall(_: str) -> Card | None:
    return None


class DoubleWay(Way):
    """A platform's double."""

    double: Double
    chat: LiveChat

    async def start(self) -> None:
        await self.double.start()
        await self.connect()

    @abstractmethod
    async def connect(self) -> None:
        """Make the chat, and have it connect to the double."""

    async def restart(self) -> None:
        """Have the chat forget all that is not in the database."""
        await self.chat.close()
        await self.connect()

    async def close(self) -> None:
        await self.chat.close()
        await self.double.close()
        assert self.double.violations == [], self.double.violations

    @abstractmethod
    def user(self, who: str) -> str:
        """A person's id there."""

    @abstractmethod
    def channel(self, where: str) -> Channel:
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
        posts = [post for post in self.double.timeline.posts if post.channel == message.where]
        return next(post for post in reversed(posts) if label in {one.label for one in post.buttons})

    async def show(self, card: Card, message: Message | None = None) -> Message:
        where = message.where if message else self.new_channel()
        if message is None:
            number = await self.chat.send(self.channel(where), card)
        else:
            number = message.id
            await self.chat.edit(self.channel(where), number, card)
        sight = await self.until("ana", where, lambda sight: sight.lacks([card]))
        return Message((card,), sight, where, number)

    async def until(self, who: str, where: str, lacks: Lacks) -> Sight:
        try:
            await self.double.timeline.until(lambda _: not lacks(self.sight(who, where)), within=WITHIN)
        except AssertionError:
            sight = self.sight(who, where)
            raise AssertionError(f"{who} misses {lacks(sight)} in: {sight}; {self.double.violations}") from None
        return self.sight(who, where)

    async def seen(self, who: str, where: str) -> str:
        user = self.user(who)
        return "\n".join(post.text for post in self.double.timeline.seen_by(user, where) + self.private(user))

    def sight(self, who: str, where: str) -> Sight:
        """What somebody sees of what the bot has said in a channel, and to them alone."""
        user = self.user(who)
        posts = self.double.timeline.seen_by(user, where) + self.private(user)
        posts = [post for post in posts if post.author not in self.people]
        files = [f"{name}\n{content.decode('utf-8', 'replace')}" for post in posts for name, content in post.files]
        labels = [one.label for post in posts for one in post.buttons]
        pages = frozenset(url for post in posts for _, url in post.links)
        return Sight("\n".join([*(post.text for post in posts), *files]), tuple(labels), pages)

    def private(self, user: str) -> list[Post]:
        """What the bot has written to somebody directly."""
        return self.double.timeline.seen_by(user, user)

    people: frozenset[str] = frozenset()
