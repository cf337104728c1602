"""Post and edit cards as messages, with their buttons and files."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from deploybot.card import Card
from deploybot.chat.button_tokens import ButtonTokens
from deploybot.chat.rate_limits import Urgency, urgency_of
from deploybot.chat.slack.slack_api import SlackApi, SlackRefused
from deploybot.chat.slack.slack_escaping import line
from deploybot.chat.slack.slack_files import SlackFiles
from deploybot.chat.slack.slack_rendering import Rendered, bare, notice, render, text_block
from deploybot.command import Incoming
from deploybot.domain import Channel
from deploybot.errors import DeploybotError, StoreError, Unreachable

log = logging.getLogger(__name__)

T = TypeVar("T")
Spawn = Callable[[Coroutine[None, None, None]], object]
PLATFORM: Final = "slack"
_TOO_MUCH: Final = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"})
_NO_THREAD: Final = frozenset(
    {
        "thread_not_found",
        "cannot_reply_to_message",
        "restricted_action_thread_locked",
        "restricted_action_non_threadable_channel",
    }
)
"""Slack's errors if a thread was deleted or locked, or the channel has none any more."""


_REST: Final = "I sent you the rest in a direct message."
_NO_REST: Final = "The rest is missing: I can't send you a direct message."


def with_hint(card: Card, more: str) -> str:
    """Return a card's hint with another line."""
    return "\n".join(filter(None, (card.hint, more)))


class SlackPosting:
    """Sends and edits cards. Call `open` first: both raise Unreachable before.

    `spawn` runs coroutines in the background. `posted` is called with each card that was posted or edited.
    """

    platform = PLATFORM
    interval = 1.0
    edit_interval = 2.0

    def __init__(self, button_tokens: ButtonTokens, spawn: Spawn, posted: Callable[[Card], None]) -> None:
        self.spawn = spawn
        self._button_tokens = button_tokens
        self._posted = posted
        self._folds = True
        self._api: SlackApi | None = None
        self._files: SlackFiles | None = None

    def open(self, api: SlackApi, files: SlackFiles) -> None:
        """Use an API from now on."""
        self._api, self._files = api, files

    async def close(self) -> None:
        """Close the API. Posting raises Unreachable from now on."""
        if self._api is not None:
            await self._api.close()
            self._api = None

    @property
    def api(self) -> SlackApi:
        """Return the Web API. Raises Unreachable before the start and after the end."""
        if self._api is None:
            raise Unreachable("Slack", "the bot is not connected to it")
        return self._api

    async def post(self, channel: Channel, card: Card) -> str:
        """Post a message. If its thread takes no replies any more, post it in the channel.

        Raises SlackRefused if the bot is not in the channel, whatever the card.
        """
        return await self._in_thread(channel, lambda channel: self._post(channel, card))

    async def _post(self, channel: Channel, card: Card) -> str:
        tokens = await self._button_tokens.lay_out(channel, card.buttons)
        where = {"channel": channel.id, "thread_ts": channel.thread, "unfurl_links": False, "unfurl_media": False}
        made, answer = await self._post_or_edit("chat.postMessage", card, tokens, where)
        message = str(answer["ts"])
        self._posted(card)
        # The message is posted. An unbound button is bound by its first press, and posting twice would be worse.
        with contextlib.suppress(StoreError):
            await self._button_tokens.sent(channel, card.buttons, tokens, message)
        await self._follow(channel, message, card, made)
        return message

    async def edit(self, channel: Channel, message: str, card: Card) -> None:
        """Replace a message and its buttons."""
        tokens = await self._button_tokens.lay_out(channel, card.buttons, message)
        made, _ = await self._post_or_edit("chat.update", card, tokens, {"channel": channel.id, "ts": message})
        self._posted(card)
        await self._follow(channel, message, card, made)

    async def whisper(self, incoming: Incoming, card: Card) -> None:
        """Answer so that only the sender sees it. If its thread takes no replies any more, answer in the channel."""
        await self._in_thread(incoming.channel, lambda channel: self._whisper(channel, incoming.identity.user, card))

    async def complete(self, user: str, card: Card) -> Card:
        """Send what a private answer can't hold, its files and its full text, to its reader in a direct message.

        Return the card with a hint at it.
        """
        was_cut = render(card, has_thread=False).was_cut
        if self._files is None or not card.final or not (card.files or was_cut):
            return card
        made = Rendered([text_block(line(card.title))], notice(card))
        try:
            answer = await self._put(
                "chat.postMessage",
                made,
                {"channel": user, "unfurl_links": False, "unfurl_media": False},
                Urgency.ANSWER,
            )
        except DeploybotError as problem:
            return replace(card, hint=with_hint(card, f"{_NO_REST} {problem}"))
        await self._files.follow(Channel(PLATFORM, str(answer["channel"])), str(answer["ts"]), card, was_cut=was_cut)
        return replace(card, hint=with_hint(card, _REST))

    async def explain(self, channel: Channel, sentence: str) -> bool:
        """Post a sentence in a thread. Return whether that worked."""
        try:
            await self.post(channel, Card(title=sentence))
        except DeploybotError as problem:
            log.warning("Slack: an explanation did not arrive: %s", problem)
            return False
        return True

    async def _whisper(self, channel: Channel, user: str, card: Card) -> None:
        where = {"channel": channel.id, "user": user, "thread_ts": channel.thread}
        await self._post_or_edit(
            "chat.postEphemeral", card, await self._button_tokens.lay_out(channel, card.buttons), where
        )

    async def _in_thread(self, channel: Channel, put: Callable[[Channel], Awaitable[T]]) -> T:
        """Call `put` with a channel, and with its channel alone if the thread refuses the message."""
        try:
            return await put(channel)
        except SlackRefused as refused:
            if not channel.thread or refused.error not in _NO_THREAD:
                raise
            log.info("Slack: a message is posted in the channel, because its thread refuses it (%s)", refused.error)
        return await put(replace(channel, thread=""))

    async def _post_or_edit(
        self, method: str, card: Card, tokens: Sequence[str], where: Mapping[str, object]
    ) -> tuple[Rendered, Mapping[str, Any]]:
        """Post or edit a card. Return the rendered message and Slack's answer.

        If Slack refuses its blocks, its details are not folded. If that is refused, too, only text is sent. A workspace
        that does not accept folded details is remembered.
        """
        urgency = urgency_of(card, edits=method == "chat.update")
        for folds in (True, False) if self._folds and card.folded else (self._folds,):
            made = render(card, tokens, folds=folds, has_thread=method != "chat.postEphemeral")
            try:
                answer = await self._put(method, made, where, urgency)
            except SlackRefused as refused:
                if refused.error not in _TOO_MUCH:
                    raise
                log.warning(
                    "Slack rejected the blocks of a message (%s); it is posted in a simpler form", refused.error
                )
            else:
                self._folds &= folds or not card.folded
                return made, answer
        made = bare(card)
        return made, await self._put(method, made, where, urgency)

    async def _put(
        self, method: str, made: Rendered, where: Mapping[str, object], urgency: Urgency
    ) -> Mapping[str, Any]:
        """Send a rendered message. `parse` prevents links and mentions in its text: edits have another default."""
        content = {**where, "text": made.text, "blocks": made.blocks}
        return await self.api.call(method, urgency, **content, parse="none", link_names=False)

    async def _follow(self, channel: Channel, message: str, card: Card, made: Rendered) -> None:
        if self._files is not None:
            await self._files.follow(channel, message, card, was_cut=made.was_cut)
