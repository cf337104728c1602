"""Questions before a command runs: a forced reply, bound to the person who pressed a button or sent the command.

The question is posted in the card's chat, or in the person's private chat. An answer needs the same permissions as a
typed command. Questions are kept in memory only: after a restart, press the button again. A late answer is never taken
for a command.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from telegram import ForceReply, Message, User

from deploybot.bounded_memory import BoundedDict
from deploybot.chat.button_tokens import Press
from deploybot.chat.telegram.telegram_api import Calls, Closed
from deploybot.chat.telegram.telegram_escaping import literal
from deploybot.domain import Channel
from deploybot.errors import DeploybotError
from deploybot.units import show_duration

ANSWER_WITHIN = 300.0
_MARK = "\u2063"
"""An invisible character that marks a question. No card can contain it, since cards are cleaned."""
_MOST = 1_000


@dataclass(frozen=True, slots=True)
class PromptQuestion:
    """The purpose of an answer. `channel` and `card` locate the button or the command, `asks` is `because` or `code`.

    `aside` is whether to ask in the private chat: for codes, and in channels, where people can't reply.
    `hint` is a text below the question. `press` has no hash if the question is not from a button.
    """

    user: int
    name: str
    press: Press
    channel: Channel
    card: int
    asks: str
    text: str
    aside: bool = False
    hint: str = ""
    ticket: str = field(default_factory=lambda: secrets.token_urlsafe(18))


class Prompts:
    """The open questions, by message; and tickets of people who have not opened a private chat yet."""

    def __init__(self, calls: Calls, spawn: Callable[[Coroutine[None, None, None]], object], within: float) -> None:
        """`within` is the number of seconds after which a question is closed."""
        self._calls = calls
        self._spawn = spawn
        self._within = within
        self._open: BoundedDict[tuple[str, int], tuple[PromptQuestion, asyncio.TimerHandle]] = BoundedDict(_MOST)
        self._tickets: BoundedDict[str, PromptQuestion] = BoundedDict(_MOST)

    async def ask(self, question: PromptQuestion) -> bool:
        """Ask a question. Return False if it needs a private chat that the person never opened; keep a ticket then."""
        channel = Channel("telegram", str(question.user), private=True) if question.aside else question.channel
        try:
            await self._put(question, channel)
        except Closed:
            if not question.aside:
                raise
            self._tickets[question.ticket] = question
            return False
        return True

    async def redeem(self, ticket: str, message: Message, user: User) -> bool:
        """Ask the question of a ticket, now that the private chat is open. Return False for other tickets."""
        question = self._tickets.get(ticket)
        if question is None or question.user != user.id:
            return False
        del self._tickets[ticket]
        await self._put(question, Channel("telegram", str(message.chat.id), private=True))
        return True

    def answered(self, message: Message, user: User) -> PromptQuestion | None:
        """Close and return the question that a message answers. Return None if there is none for this person."""
        replied = message.reply_to_message
        key = (str(message.chat.id), replied.message_id if replied else 0)
        question, timer = self._open.get(key, (None, None))
        if question is None or timer is None or question.user != user.id:
            return None
        timer.cancel()
        del self._open[key]
        return question

    def close(self) -> None:
        """Close all questions."""
        for _, timer in self._open.values():
            timer.cancel()
        self._open.clear()

    async def _put(self, question: PromptQuestion, channel: Channel) -> None:
        same = channel.id == question.channel.id
        mention = f'<a href="tg://user?id={question.user}">{literal(question.name) or "You"}</a>: '
        named = "" if channel.private else mention
        until = f"Reply to this message within {show_duration(self._within)}."
        hint = f"\n{literal(question.hint)}" if question.hint else ""
        html = f"{named}<b>{literal(question.text)}</b>{_MARK}{hint}\n<i>{until}</i>"
        reply = ForceReply(selective=not channel.private, input_field_placeholder="Your answer")
        number = await self._calls.send(channel, html, reply, reply_to=question.card if same else 0)
        key = (channel.id, number)
        timer = asyncio.get_running_loop().call_later(self._within, self._give_up, key, channel)
        self._open[key] = question, timer

    def _give_up(self, key: tuple[str, int], channel: Channel) -> None:
        """Close a question that got no answer, unless it was dropped for newer ones."""
        if (dropped := self._open.pop(key, None)) is not None:
            self._spawn(self._note_closed(channel, key[1], dropped[0]))

    async def _note_closed(self, channel: Channel, number: int, question: PromptQuestion) -> None:
        again = "Press the button again." if question.press.hash else "Send the command again."
        try:
            await self._calls.send(channel, literal(f"No answer came to “{question.text}” {again}"), reply_to=number)
        except DeploybotError:
            return  # the person did not answer, so this message does not matter either


def is_question(message: Message) -> bool:
    """Return whether a message replies to a question, open or closed."""
    replied = message.reply_to_message
    return replied is not None and _MARK in (replied.text or "")


def command_of(question: PromptQuestion, answer: str) -> str:
    """Return the button's command completed with the answer."""
    if question.asks == "code":
        return f"{question.press.command} code {''.join(filter(str.isalnum, answer))[:16]}"
    return f"{question.press.command} because {answer}"
