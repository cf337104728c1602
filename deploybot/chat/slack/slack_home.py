"""The home tab: who a person is to the bot, what waits and what runs, and the board.

Each part is a command of that person, with the same rights. A tab that was opened lately is renewed when the card of a
deployment changes. docs.slack.dev/reference/methods/views.publish
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final
from weakref import WeakValueDictionary

from deploybot.bounded_memory import BoundedDict
from deploybot.card import Card
from deploybot.chat.button_tokens import ButtonTokens
from deploybot.chat.chat_dependencies import Parts
from deploybot.chat.rate_limits import Urgency
from deploybot.chat.slack.slack_posting import SlackPosting
from deploybot.chat.slack.slack_views import home
from deploybot.command import Incoming
from deploybot.domain import Channel
from deploybot.errors import DeploybotError

log = logging.getLogger(__name__)

HOME: Final = "home"
"""The id of the tab as a message, for its buttons."""
COMMANDS: Final = ("queue", "whoami", "status")
_CHANNEL: Final = "home-"
_OPEN_FOR: Final = 3600.0
"""Seconds for which a tab counts as open: Slack does not say when it is closed."""
_MOST: Final = 10
_REMEMBERED: Final = 500


def home_channel(user: str) -> Channel:
    """Return the channel of a person's home tab. It is no channel of Slack."""
    return Channel("slack", f"{_CHANNEL}{user}", private=True)


def is_home(channel: str) -> bool:
    """Return whether a channel is a home tab."""
    return channel.startswith(_CHANNEL)


class HomeTab:
    """Shows and renews the home tabs. `make` makes a person's message."""

    def __init__(
        self,
        posting: SlackPosting,
        parts: Parts,
        button_tokens: ButtonTokens,
        pause: float,
        make: Callable[[str, Channel, str, str, float], Incoming],
    ) -> None:
        """`pause` is the number of seconds in which several changes are one."""
        self._posting = posting
        self._parts = parts
        self._button_tokens = button_tokens
        self._pause = pause
        self._make = make
        self._open: BoundedDict[str, tuple[str, float]] = BoundedDict(_MOST)
        self._titles: BoundedDict[str, str] = BoundedDict(_REMEMBERED)
        self._turns = itertools.count()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._renews = False

    async def show(self, user: str, name: str, *, notice: Card | None = None, opened: bool = True) -> None:
        """Show a person's tab. `notice` says above it what came of a press. Raises Unreachable or SlackRefused."""
        if opened:
            self._open[user] = name, asyncio.get_running_loop().time()
        lock = self._locks.setdefault(user, asyncio.Lock())
        async with lock:  # an older look must not be published after a newer one
            await self._look(user, name, notice)

    async def _look(self, user: str, name: str, notice: Card | None) -> None:
        cards: dict[str, Card] = {}
        for command in COMMANDS:

            async def early(card: Card, command: str = command) -> None:
                await self._publish(user, {**cards, command: card}, notice)

            card = await self._parts.handle(self._asked(user, name, command), early)
            if card is None:
                return
            cards[command] = card
            if not card.ok and command == COMMANDS[0]:
                break
        await self._publish(user, cards, notice)

    def changed(self, card: Card) -> None:
        """Renew the open tabs soon if a deployment's card has a new title, which names its state."""
        if not card.key.startswith("deployment:") or self._titles.get(card.key) == card.title:
            return
        self._titles[card.key] = card.title
        if self._open and not self._renews:
            self._renews = True
            self._posting.spawn(self._renew())

    async def _renew(self) -> None:
        await asyncio.sleep(self._pause)
        self._renews = False
        now = asyncio.get_running_loop().time()
        for user, (name, since) in list(self._open.items()):
            if now - since > _OPEN_FOR:
                self._open.pop(user, None)
                continue
            try:
                await self.show(user, name, opened=False)
            except DeploybotError as problem:
                log.info("Slack: a home tab was not updated: %s", problem)

    def _asked(self, user: str, name: str, command: str) -> Incoming:
        ident = f"home:{user}:{command}:{next(self._turns)}:{self._parts.clock.now()}"
        made = self._make(user, home_channel(user), command, ident, self._parts.clock.now())
        return replace(made, name=name)

    async def _publish(self, user: str, cards: dict[str, Card], notice: Card | None) -> None:
        buttons = cards[COMMANDS[0]].buttons
        tokens = await self._button_tokens.lay_out(home_channel(user), buttons, HOME)
        view = home([*cards.values()], tokens, notice)
        await self._posting.api.call("views.publish", Urgency.CARD, user_id=user, view=view)


class HomeReply:
    """A `ReplyRoom` for a button that was pressed in the home tab: the answer is shown above the tab."""

    platform = "slack"
    interval = 1.0
    edit_interval = 2.0

    def __init__(self) -> None:
        self.notice: Card | None = None

    async def send(self, channel: Channel, card: Card) -> str:
        """Keep a card, to be shown with the tab."""
        del channel
        self.notice = card
        return HOME

    async def edit(self, channel: Channel, message: str, card: Card) -> None:
        """Keep the newer state of a card."""
        del channel, message
        self.notice = card

    async def nod(self, card: Card) -> None:
        """Do nothing: the tab itself shows what changed."""

    async def whisper(self, incoming: Incoming, card: Card) -> None:
        """Keep a card: only this person sees the tab."""
        del incoming
        self.notice = card
