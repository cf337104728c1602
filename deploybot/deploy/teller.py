"""A deployment's card and what others are told of it, queued in the transaction that changes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from deploybot.card import Card, File
from deploybot.deploy.cards import deployment_card, what
from deploybot.deploy.journal import Journal
from deploybot.deploy.request_cards import reminder_card
from deploybot.domain import Deployment, Place
from deploybot.ports import Clock, Tables


class Teller:
    """Queues the card of a deployment as the tables know it, and what others are told, in the caller's transaction.

    The card of one that has ended hands over its whole log.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        journal: Journal,
        places: Callable[[Deployment], Iterable[Place]],
        report: Callable[[Tables, Deployment], None],
    ) -> None:
        """`places` says where a deployment's card belongs; `report` queues what others are told of it."""
        self._clock = clock
        self._journal = journal
        self._places = places
        self._report = report

    def wake(self, tables: Tables, deployment: Deployment, card: Card, more: Iterable[Place]) -> None:
        """Put a message that notifies into all places of a deployment, and into `more`."""
        places = {(place.platform, place.channel): place for place in (*self._places(deployment), *more)}
        for place in places.values():
            tables.outbox.put(place, card, self._clock.now())

    def __call__(self, tables: Tables, number: int, waits_for: str = "") -> None:
        """Put the card as it reads now into the outbox."""
        deployment = tables.deployments.get(number)
        if deployment is None:
            return
        self._report(tables, deployment)
        steps = tables.deployments.steps(number)
        request = tables.requests.get(number) if deployment.needs_approval else None
        card = deployment_card(deployment, steps, waits_for=waits_for, request=request)
        path = self._journal.file(number)
        if deployment.state.ended and path.exists():
            card = dataclasses.replace(card, files=(File(str(path), path.name),))
        cards = [card]
        if request is not None and request.reminded:
            cards.append(reminder_card(deployment, request, what(deployment.plan)))
        for place in self._places(deployment):
            for one in cards:
                tables.outbox.put(place, one, self._clock.now())
