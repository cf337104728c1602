"""Handle what people do in Slack: identify the person, and let the dispatcher answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from deploybot.bounded_memory import SeenKeys
from deploybot.card import Card, Tone
from deploybot.chat.button_tokens import ButtonTokens
from deploybot.chat.chat_dependencies import Parts, Reply
from deploybot.chat.message_conversation import Conversation
from deploybot.chat.slack.repeated_commands import Key, Repeats, words_of
from deploybot.chat.slack.response_urls import AskedUrl, ResponseUrls
from deploybot.chat.slack.slack_api import SlackRefused
from deploybot.chat.slack.slack_home import HOME, HomeReply, HomeTab, home_channel, is_home
from deploybot.chat.slack.slack_incoming import (
    ASK,
    CODE,
    REFRESH,
    RUN,
    USER,
    HomeOpened,
    Revoked,
    SlackEvent,
    SlackLine,
    SlackPressed,
    Submitted,
)
from deploybot.chat.slack.slack_members import Directory, Member, MemberKind
from deploybot.chat.slack.slack_posting import PLATFORM, SlackPosting
from deploybot.chat.slack.slack_reply_target import SlackReplyTarget
from deploybot.chat.slack.slack_timeouts import Times
from deploybot.chat.slack.slack_views import completed, question
from deploybot.chat.slack.slash_command_names import advice
from deploybot.command import Incoming
from deploybot.domain import Channel, Identity
from deploybot.errors import DeploybotError, UserError

log = logging.getLogger(__name__)

_WARN_AGAIN: Final = 3600.0
_REMEMBERED: Final = 1_000
_RECEIVED: Final = 10_000
_UNKNOWN: Final = "I cannot look you up in Slack right now, so I did nothing."


class SlackHandler:
    """Handles what people do. Call `open` first: identities need the team."""

    def __init__(
        self,
        posting: SlackPosting,
        parts: Parts,
        button_tokens: ButtonTokens,
        times: Times,
        revoked: Callable[[], None],
    ) -> None:
        """`revoked` is called when Slack reports that the app or its token was removed."""
        self._posting = posting
        self._revoked = revoked
        self._parts = parts
        self._button_tokens = button_tokens
        self._answers = ResponseUrls()
        self._team = ""
        self._directory: Directory | None = None
        self._warned = SeenKeys(_REMEMBERED, forget_after=_WARN_AGAIN)
        self._repeats = Repeats(parts.commands, times.again)
        self._received = SeenKeys(_RECEIVED)
        self.home = HomeTab(posting, parts, button_tokens, times.renew, self._incoming)

    def open(self, team: str, directory: Directory) -> None:
        """Set the team for people's identities, and the directory that looks them up."""
        self._team = team
        self._directory = directory

    async def receive(self, event: SlackEvent, at: float) -> None:
        """Handle an event once: Slack may send it again. Raises nothing except on cancellation.

        `at` is when it arrived, in seconds since the epoch: it may have waited since then.
        """
        if not self._first_time(event):
            return
        try:
            match event:
                case SlackLine():
                    await self._line(event, at)
                case SlackPressed():
                    await self._pressed(event, at)
                case Submitted():
                    await self._submitted(event, at)
                case HomeOpened():
                    await self._show_home(event.user)
                case Revoked():
                    self._revoked()
        except DeploybotError as problem:
            log.warning("Slack: a request could not be answered: %s", problem)

    def _first_time(self, event: SlackEvent) -> bool:
        """Return whether an event is new. The dispatcher detects repeated changes after a restart, too."""
        return isinstance(event, Revoked) or self._received.first_time((event.user, event.id))

    async def show_aside(self, channel: Channel, card: Card) -> bool:
        """Show a card of the outbox to the person who requested it, in a channel that the bot is not in.

        Return False if that person is unknown. Raises Unreachable.
        """
        asked = await self._answers.asker(card.key) if card.key else None
        if asked is None:
            return False
        await self._reply_target(asked).show_aside(channel, card)
        return True

    def _reply_target(self, asked: AskedUrl) -> SlackReplyTarget:
        """Return the target for the answers to a message."""
        return SlackReplyTarget(self._posting, self._button_tokens, self._answers, asked)

    async def _line(self, line: SlackLine, at: float) -> None:
        """Handle a command. A command sent again because Slack was slow runs once."""
        channel = Channel(PLATFORM, line.channel, line.thread, private=line.private)
        incoming = self._incoming(line.user, channel, line.text, line.id, line.at or at)
        key = self._repeats.key(line.user, line.channel, line.thread, line.text)
        since = self._repeats.seconds_since(key) if key else None
        if since is None:
            await self._answer(incoming, line.answer_url, trigger=line.trigger, key=key)
        elif await self._admitted(incoming, line.answer_url):
            await self._reply(incoming, line.answer_url, _again(since, self._repeats.window - since))

    async def _pressed(self, pressed: SlackPressed, at: float) -> None:
        """Handle a pressed button: run its command, or ask for input first."""
        if pressed.kind == REFRESH:
            await self._show_home(pressed.user)
            return
        if not pressed.channel:
            pressed = replace(pressed, channel=home_channel(pressed.user).id, message=HOME)
        channel = _channel(pressed.channel, pressed.thread)
        incoming = self._incoming(pressed.user, channel, "", pressed.id, at)
        if pressed.kind == RUN:
            await self._press(incoming, pressed.answer_url, pressed.token, pressed.message, trigger=pressed.trigger)
        elif pressed.kind in {ASK, CODE} and await self._admitted(incoming, pressed.answer_url):
            await self._ask(incoming, pressed)

    async def _ask(self, incoming: Incoming, pressed: SlackPressed) -> None:
        """Open the modal if the button still works. Its trigger expires after three seconds."""
        about = {
            "token": pressed.token,
            "channel": pressed.channel,
            "message": pressed.message,
            "thread": pressed.thread,
            "kind": pressed.kind,
            "url": pressed.answer_url,
        }
        try:
            await self._button_tokens.press(pressed.token, pressed.channel, pressed.message)
            view = question(pressed.asks, about, code=pressed.kind == CODE)
            await self._posting.api.call("views.open", trigger_id=pressed.trigger, view=view)
        except SlackRefused as refused:
            if refused.error not in {"expired_trigger_id", "trigger_expired"}:
                raise
            late = _sentence("Slack took too long to open the question.", "Press the button again.")
            await self._reply(incoming, pressed.answer_url, late)
        except UserError as error:
            await self._reply(incoming, pressed.answer_url, _sentence(error.sentence, error.hint))

    async def _submitted(self, submitted: Submitted, at: float) -> None:
        """Handle a submitted modal: it has the chosen button, or the answer for a button pressed earlier."""
        about, answer = submitted.about, submitted.answer
        channel = _channel(about["channel"], about["thread"])
        incoming = self._incoming(submitted.user, channel, "", submitted.id, at)
        if about["kind"] == RUN:
            await self._press(incoming, about["url"], answer, submitted.view, trigger=submitted.trigger)
        else:
            add = partial(completed, answer=answer, code=about["kind"] == CODE)
            await self._press(incoming, about["url"], about["token"], about["message"] or submitted.view, add)

    async def _press(
        self,
        incoming: Incoming,
        url: str,
        token: str,
        message: str,
        add: Callable[[str], str] = str,
        *,
        trigger: str = "",
    ) -> None:
        """Run a button's command. `add` adds the person's answer to it. `trigger` can open the next picker."""
        if not await self._admitted(incoming, url):
            return
        try:
            press = await self._button_tokens.press(token, incoming.channel.id, message)
        except UserError as error:
            await self._reply(incoming, url, _sentence(error.sentence, error.hint))
            return
        made = replace(incoming, text=add(press.command), press=press.hash)
        await self._answer(made, url, trigger=trigger if press.is_pick else "")

    async def _answer(self, incoming: Incoming, url: str, *, trigger: str = "", key: Key | None = None) -> None:
        """Answer the command of a member."""
        member = await self._admitted(incoming, url)
        if member is None:
            if key:
                self._repeats.forget(key)
            return
        asked = AskedUrl(incoming, url, trigger)

        async def handle(incoming: Incoming, reply: Reply) -> Card | None:
            card = await self._parts.handle(incoming, reply)
            if key and card is not None and not card.ok:
                self._repeats.forget(key)
            if card is not None and card.queued:
                self._answers.belongs(card.key, asked)
            return self._advised(incoming, card) if card is not None else None

        room = HomeReply() if is_home(incoming.channel.id) else self._reply_target(asked)
        await Conversation(room, replace(incoming, name=member.name)).answer(replace(self._parts, handle=handle))
        if isinstance(room, HomeReply):
            await self._show_home(incoming.identity.user, room.notice)

    def _advised(self, incoming: Incoming, card: Card) -> Card:
        """Return the card. If it is help, add the names of commands that are different in Slack."""
        name, *topic = words_of(incoming.text) or [""]
        if name not in {"", "help"}:
            return card
        asked = [word.removeprefix("/") for word in topic] or sorted(self._parts.commands)
        return replace(card, hint="\n".join(filter(None, (card.hint, advice(asked)))))

    async def _admitted(self, incoming: Incoming, url: str) -> Member | None:
        """Return the member who sent a message. Return None for others, who are ignored.

        Guests get an explanation once an hour; external people get one only with a response URL.
        """
        assert self._directory is not None  # noqa: S101  `open` comes first
        try:
            member = await self._directory.look_up(incoming.identity.user)
        except DeploybotError as problem:
            log.warning("Slack: a user cannot be identified: %s", problem)
            await self._reply(incoming, url, _sentence(_UNKNOWN, "Try again in a moment."))
            return None
        if member.kind is MemberKind.MEMBER:
            return member
        log.info("Slack: %s (%s) is ignored", incoming.identity.user, member.kind)
        warns = member.kind is MemberKind.GUEST or (member.kind is MemberKind.STRANGER and url)
        if warns and self._first_warning(incoming.identity.user):
            await self._reply(incoming, url, _sentence("I only work for full members of this workspace."))
        return None

    def _first_warning(self, user: str) -> bool:
        """Return True at most once an hour for each person."""
        return self._warned.first_time(user, asyncio.get_running_loop().time())

    async def _reply(self, incoming: Incoming, url: str, card: Card) -> None:
        """Send the sender alone a message that is not from a command."""
        if is_home(incoming.channel.id):
            await self._show_home(incoming.identity.user, card)
            return
        await Conversation(self._reply_target(AskedUrl(incoming, url)), incoming).reply(card)

    async def _show_home(self, user: str, notice: Card | None = None) -> None:
        """Show the home tab to a member."""
        assert self._directory is not None  # noqa: S101  `open` comes first
        member = await self._directory.look_up(user)
        if member.kind is MemberKind.MEMBER:
            await self.home.show(user, member.name, notice=notice)

    def _incoming(self, user: str, channel: Channel, text: str, ident: str, at: float) -> Incoming:
        text = text.replace(USER, f"slack:{self._team}/")
        who = Identity(PLATFORM, user, self._team)
        return Incoming(identity=who, channel=channel, text=text, id=ident, at=at, can_pick=True)


def _channel(channel: str, thread: str) -> Channel:
    return Channel(PLATFORM, channel, thread, private=channel.startswith("D") or is_home(channel))


def _again(since: float, left: float) -> Card:
    """Return the answer to a repeated command."""
    hint = f"To run it again, wait {left:.0f} s and send it again."
    return _sentence(f"I got this {max(since, 1):.0f} s ago and run it only once.", hint)


def _sentence(title: str, hint: str = "") -> Card:
    return Card(title=title, hint=hint, tone=Tone.WARN, private=True, ok=False)
