"""Queue a deployment's card, and the reports about it, in the transaction that changes the deployment."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from deploybot.card import Card, File
from deploybot.deployments.approval_card import reminder_card
from deploybot.deployments.card_mentions import Mentions, can_notify, for_channel
from deploybot.deployments.card_titles import headline
from deploybot.deployments.deployment_card import deployment_card, end_card
from deploybot.deployments.step_logs import Journal
from deploybot.deployments.step_progress import StepProgress
from deploybot.deployments.watch_card import veto_cards, with_watches
from deploybot.domain import Channel, Deployment, StepRow, WatchRow
from deploybot.ports import Clock, Tables


class CardPublisher:
    """Queues a deployment's card as the tables have it now, and the reports about it, in the caller's transaction.

    The card of a deployment that has ended comes with its full log.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        journal: Journal,
        mask: Callable[[str], str],
        mentions: Mentions,
        channels: Callable[[Deployment], Iterable[Channel]],
        report: Callable[[Tables, Deployment], None],
        leaves: Callable[[Deployment], bool] = lambda _: False,
    ) -> None:
        """Take the ports; `mask` masks a text, `channels` returns a card's channels, `report` queues outgoing reports.

        `leaves` returns whether a failed release stays as it is.
        Cards are masked again before they are sent. Text that a card cuts must be masked before: a secret cut in half
        is not recognized.
        """
        self._clock = clock
        self._journal = journal
        self.mask = mask
        self._mentions = mentions
        self._channels = channels
        self._report = report
        self._leaves = leaves
        self.progress = StepProgress(journal, clock, mask)

    def complete(self, tables: Tables, card: Card, deployment: Deployment, steps: Sequence[StepRow]) -> Card:
        """Return a deployment's card with what its watches found."""
        return self._complete(card, deployment, steps, tables.watches.of(deployment.number))

    def _complete(
        self, card: Card, deployment: Deployment, steps: Sequence[StepRow], watches: Sequence[WatchRow]
    ) -> Card:
        return with_watches(card, deployment, steps, watches, leaves=self._leaves(deployment), mask=self.mask)

    def wake(self, tables: Tables, deployment: Deployment, card: Card, more: Iterable[Channel]) -> None:
        """Queue a notifying message for all channels of a deployment, and for `more`."""
        channels = {(channel.platform, channel.id): channel for channel in (*self._channels(deployment), *more)}
        for channel in channels.values():
            tables.outbox.put(channel, card, self._clock.now())

    def __call__(self, tables: Tables, number: int, waits_for: str = "") -> None:
        """Put the card into the outbox as it reads now."""
        deployment = tables.deployments.get(number)
        if deployment is None:
            return
        self._report(tables, deployment)
        steps = tables.deployments.steps(number)
        watches = tables.watches.of(number)
        request = tables.requests.get(number) if deployment.needs_approval else None
        asks = request is not None and deployment.awaits_approval
        wakes = self._mentions.approvers(tables, deployment) if asks else ()
        replaced = self._mentions.replaced(tables, deployment)
        progress = self.progress.of(steps)
        path = self._journal.file(number)
        files = (File(str(path), path.name),) if deployment.state.ended and path.exists() else ()
        for channel in self._channels(deployment):
            here = for_channel(wakes, channel)
            card = deployment_card(
                deployment,
                steps,
                waits_for=waits_for,
                request=request,
                wakes=here,
                concerned=for_channel(replaced, channel),
                progress=progress,
                mask=self.mask,
            )
            card = self._complete(card, deployment, steps, watches)
            cards = [dataclasses.replace(card, files=files)]
            if request is not None and request.reminded:
                cards.append(reminder_card(deployment, request, headline(deployment.plan), here))
            for one in cards:
                tables.outbox.put(channel, one, self._clock.now())
        self._announce(tables, deployment, watches)
        self._call_for_help(tables, deployment)

    def _announce(self, tables: Tables, deployment: Deployment, watches: Sequence[WatchRow]) -> None:
        """Notify the requester of a rollback that begins soon. It is a message of its own, with the Veto button."""
        wakes = self._mentions.requester(tables, deployment) if watches else ()
        for channel in self._channels(deployment) if watches else ():
            here, leaves = for_channel(wakes, channel), self._leaves(deployment)
            for card in veto_cards(deployment, watches, here, leaves=leaves, mask=self.mask):
                tables.outbox.put(channel, card, self._clock.now())

    def _call_for_help(self, tables: Tables, deployment: Deployment) -> None:
        """Notify the requester of an end that needs a person."""
        wakes = self._mentions.requester(tables, deployment)
        for channel in self._channels(deployment):
            card = end_card(deployment, for_channel(wakes, channel), self.mask)
            if card is not None and can_notify(wakes, channel):
                tables.outbox.put(channel, card, self._clock.now())
