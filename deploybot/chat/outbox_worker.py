"""The outbox's worker: it delivers queued cards from the database to the chats and stores the results.

Every channel has three lanes: new messages, edits, and notifications. So an answer waits for neither of the others. A
lane sends one message at a time and pauses after failures. Edits and notifications keep the chat's minimum interval. A
lane reads its row just before it sends. So outdated states of a card are never sent, states arrive in order, and the
last one always arrives.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Collection, Mapping, Sequence

from deploybot.backoff import Backoff, RequestedPauses
from deploybot.chat.unwritable_channels import MissingChannels
from deploybot.delivery_worker import LOOKS, Courier, DeliveryLane, LaneName, Result
from deploybot.errors import DeploybotError, StoreError, Unreachable, UserError
from deploybot.metrics import METRICS
from deploybot.ports import ELSEWHERE, Chat, Clock, OutboxItem, Store, Tables

_RETRY = Backoff(0.5, 60.0, jitter=random.random)
_SEND_WITHIN = 600.0
"""Longer than a chat needs for a message: all its forms, each with its turn and its answer."""
log = logging.getLogger(__name__)


class OutboxWorker(Courier[OutboxItem]):
    """Delivers the outbox to `chats`, by platform."""

    send_within = _SEND_WITHIN

    def __init__(
        self,
        store: Store,
        chats: Mapping[str, Chat],
        clock: Clock,
        *,
        missing: MissingChannels | None = None,
        retry: Backoff = _RETRY,
        looks: float = LOOKS,
    ) -> None:
        """Take the ports, and `missing`, which reports closed channels. `Courier` explains `retry` and `looks`."""
        super().__init__("the outbox", store, clock, retry=retry, looks=looks)
        self._chats = chats
        self._pauses = RequestedPauses()
        self._missing = missing

    def _due(self, tables: Tables, until: float, limit: int, shut: Collection[LaneName]) -> Sequence[OutboxItem]:
        return tables.outbox.due(until, limit, besides=shut)

    def _lane_of(self, item: OutboxItem) -> LaneName:
        kind = "notifications" if item.card.notification else "edits" if item.message else "new"
        return item.channel.platform, item.channel.id, kind

    def _may_overtake(self, lane: DeliveryLane) -> bool:
        """Return whether other messages may go first. None may while the channel does not answer."""
        return not lane.failures

    def _where(self, item: OutboxItem) -> str:
        return item.channel.platform

    def _interval(self, item: OutboxItem) -> float:
        if not item.message and not item.card.notification:
            return 0.0
        return self._chats[item.channel.platform].interval

    async def _send(self, item: OutboxItem) -> str:
        """Send a card. Raises Unreachable while the chat wants a pause, which applies to all lanes of the channel."""
        channel = (item.channel.platform, item.channel.id)
        self._pauses.check(item.channel.platform, channel)
        try:
            return await self._deliver(item)
        except Unreachable as error:
            if error.retry_after:
                self._pauses.note(channel, error.retry_after)
            raise

    async def _deliver(self, item: OutboxItem) -> str:
        """Edit the existing message. If there is none or it is gone for good, post the card as a new one."""
        chat = self._chats.get(item.channel.platform)
        if chat is None:
            raise UserError(f"bot.toml has no [{item.channel.platform}]")
        if item.message:
            try:
                await chat.edit(item.channel, item.message, item.card)
            except (Unreachable, StoreError):
                raise
            except DeploybotError as error:
                log.info("%s: a message cannot be edited and is posted again: %s", item.channel.platform, error)
            else:
                return item.message
        return await chat.send(item.channel, item.card)

    def _write(self, tables: Tables, item: OutboxItem, result: Result) -> None:
        if result.sent:
            tables.outbox.sent(item.id, item.revision, result.remote)
        elif result.given_up:
            tables.outbox.dead(item.id, item.revision, result.error)
        else:
            tables.outbox.retry(item.id, self._clock.now() + result.wait, result.error)
        if self._missing is not None and result.sent and result.remote != ELSEWHERE:
            self._missing.arrived(tables, item.channel)
        elif self._missing is not None and result.closed:
            self._missing.refused(tables, item.channel, result.error)

    def _rest_edits(self, item: OutboxItem) -> None:
        """Apply the minimum interval between edits to a message that was just sent, too."""
        edits = self._lanes.setdefault((item.channel.platform, item.channel.id, "edits"), DeliveryLane())
        edits.free_at = max(edits.free_at, time.monotonic() + self._chats[item.channel.platform].interval)

    def _seen(self, item: OutboxItem, result: Result, seconds: float) -> None:
        platform = item.channel.platform
        word = "sent" if result.sent else "given_up" if result.given_up else "retried"
        METRICS.chat_messages.add(platform, word)
        if result.sent and not item.message:
            self._rest_edits(item)
        if result.sent:
            METRICS.chat_seconds.observe(seconds, platform)
