"""Answer one message: in its channel or thread, or through the URL for answers that only its sender sees."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from deploybot.card import Card
from deploybot.chat.button_tokens import ButtonTokens
from deploybot.chat.slack.response_urls import AskedUrl, ResponseUrls
from deploybot.chat.slack.slack_api import SlackRefused
from deploybot.chat.slack.slack_incoming import ASK, RUN
from deploybot.chat.slack.slack_posting import SlackPosting, with_hint
from deploybot.chat.slack.slack_rendering import render
from deploybot.chat.slack.slack_views import choice, is_choice, question
from deploybot.command import Incoming
from deploybot.domain import Channel
from deploybot.errors import DeploybotError
from deploybot.ports import ELSEWHERE

log = logging.getLogger(__name__)

Json = dict[str, Any]

OUTSIDE: Final = frozenset({"not_in_channel", "channel_not_found"})
"""Slack's errors if the bot is not in a channel."""

_CROWDED: Final = "Only you see this: this channel gets too many messages right now."
_INVITE: Final = "Only you see this: I am not in this channel. Add me with `/invite @deploybot`."


class SlackReplyTarget:
    """A `ReplyRoom` for the answer to one message."""

    def __init__(
        self, posting: SlackPosting, button_tokens: ButtonTokens, answers: ResponseUrls, asked: AskedUrl
    ) -> None:
        self._posting = posting
        self._button_tokens = button_tokens
        self._answers = answers
        self._incoming = asked.incoming
        self._url = asked.url
        self._trigger = asked.trigger
        self._completed: tuple[Card, Card] | None = None
        self.platform = posting.platform
        self.interval = posting.interval
        self.edit_interval = posting.edit_interval

    async def send(self, channel: Channel, card: Card) -> str:
        """Post in the message's channel. If the bot is not in that channel, only the sender sees the answer.

        The same applies if many messages already wait for the channel, so that cards of the outbox are not delayed.
        """
        if card.final and not card.key and not channel.private and self._posting.api.is_crowded(channel.id):
            await self.whisper(self._incoming, replace(card, hint=with_hint(card, _CROWDED)))
            return ELSEWHERE
        try:
            return await self._posting.post(channel, card)
        except SlackRefused as refused:
            if refused.error not in OUTSIDE or not self._url:
                raise
        if card.final:
            await self.show_aside(channel, card)
        return ELSEWHERE

    async def edit(self, channel: Channel, message: str, card: Card) -> None:
        """Replace a message."""
        if message != ELSEWHERE:
            await self._posting.edit(channel, message, card)
        elif card.final:
            await self.show_aside(channel, card)

    async def show_aside(self, channel: Channel, card: Card) -> None:
        """Show a card to the sender alone, because the bot is not in that channel."""
        await self._post(channel, await self._complete(card), _INVITE)

    async def nod(self, card: Card) -> None:
        """Do nothing: in Slack the message itself is the confirmation."""

    async def whisper(self, incoming: Incoming, card: Card) -> None:
        """Answer so that only the sender sees it. A choice or question is shown as a modal if one can be opened."""
        if (is_choice(card) or card.asks_reason) and await self._open_modal(incoming.channel, card):
            return
        card = await self._complete(card)
        if self._url:
            try:
                await self._post(incoming.channel, card)
            except SlackRefused as refused:
                log.info("Slack: %s", refused)
            else:
                return
        await self._posting.whisper(incoming, card)

    async def _complete(self, card: Card) -> Card:
        """Send what does not fit into a private answer by direct message, once: `whisper` is retried."""
        if self._completed is None or self._completed[0] != card:
            self._completed = card, await self._posting.complete(self._incoming.identity.user, card)
        return self._completed[1]

    async def _open_modal(self, channel: Channel, card: Card) -> bool:
        """Open the modal. Return False if that is not possible: a trigger works once, within three seconds."""
        trigger, self._trigger = self._trigger, ""
        if not trigger:
            return False
        about = {"channel": channel.id, "thread": channel.thread, "url": self._url}
        tokens = await self._button_tokens.lay_out(channel, card.buttons)
        try:
            view = _modal(card, tokens, about)
            opened = await self._posting.api.call("views.open", trigger_id=trigger, view=view)
        except DeploybotError as problem:
            log.info("Slack: a choice is posted as a message: %s", problem)
            return False
        await self._button_tokens.sent(channel, card.buttons, tokens, str(opened["view"]["id"]))
        return True

    async def _post(self, channel: Channel, card: Card, more: str = "") -> None:
        """Post through the response_url. Raises SlackRefused if it is used up."""
        if not self._answers.take(self._url):
            raise SlackRefused("an answer", "used_url")
        tokens = await self._button_tokens.lay_out(channel, card.buttons)
        # Do not fold: if Slack refused that, one more of the URL's five answers would be used up.
        made = render(replace(card, hint=with_hint(card, more)), tokens, folds=False, has_thread=False)
        message = {"response_type": "ephemeral", "replace_original": False, "text": made.text, "blocks": made.blocks}
        await self._posting.api.answer(
            self._url, {**message, **({"thread_ts": channel.thread} if channel.thread else {})}
        )


def _modal(card: Card, tokens: Sequence[str], about: Mapping[str, str]) -> Json:
    """Return the modal for a choice, or for a question that one button asks."""
    if is_choice(card):
        return choice(card, tokens, {**about, "kind": RUN})
    return question(card.buttons[0].asks, {**about, "kind": ASK, "token": tokens[0], "message": ""}, card=card)
