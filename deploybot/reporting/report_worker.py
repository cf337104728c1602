"""The worker that tells others: one call after the other to each, in order for each deployment, for a day at most.

It never stands in a deployment's way: it reads what was queued with the deployment's states, and what fails waits
here.
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

from deploybot.delivery_worker import Courier, DeliveryLane, LaneName, Result
from deploybot.domain import ReportItem
from deploybot.errors import Unreachable, UserError
from deploybot.metrics import METRICS
from deploybot.ports import ChatFinding, Clock, Store, Tables

GIVE_UP = 86_400.0
_LONGEST_PAUSE = 900.0
log = logging.getLogger(__name__)


class ReportTarget(Protocol):
    """Somebody who is told."""

    async def tell(self, item: ReportItem) -> str:
        """Tell a report; the other side's id of the deployment, or nothing. The same one may come again.

        Raises Unreachable for what may be tried again, any other DeploybotError for what is refused for good.
        """

    def check(self) -> AsyncIterator[ChatFinding]:
        """Try it without writing anything there. Raises as `tell` does."""


class ReportWorker(Courier[ReportItem]):
    """Tells the targets, by their names in the table `reports`."""

    def __init__(
        self,
        store: Store,
        targets: Mapping[str, ReportTarget],
        clock: Clock,
        *,
        close: Callable[[], Awaitable[None]],
        first_pause: float = 1.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Take the ports; `close` closes what the targets share. See `Courier` for the pauses."""
        super().__init__(
            "what is told to others", store, clock, first_pause=first_pause, longest_pause=_LONGEST_PAUSE, jitter=jitter
        )
        self._targets = targets
        self._close = close

    async def run(self) -> None:
        """Tell until cancelled; then close what was opened for it."""
        try:
            await super().run()
        finally:
            await self._close()

    def _due(self, tables: Tables, until: float, limit: int, shut: Collection[LaneName]) -> Sequence[ReportItem]:
        del shut  # never many wait: of each deployment one
        return tables.reports.due(until, limit)

    def _lane_of(self, item: ReportItem) -> LaneName:
        return (item.target,)

    def _may_overtake(self, lane: DeliveryLane) -> bool:
        """What waits side by side is of different deployments: the rows keep the states of one in their order."""
        del lane
        return True

    def _where(self, item: ReportItem) -> str:
        return f"{item.target} (#{item.report.deployment} {item.report.word})"

    async def _send(self, item: ReportItem) -> str:
        target = self._targets.get(item.target)
        if target is None:
            raise UserError("bot.toml does not have it any more")
        return await target.tell(item)

    def _tell_failure(self, item: ReportItem, wait: float, error: Exception) -> None:
        """The first failure is worth a line; a day of them is worth two."""
        level = logging.INFO if item.attempts else logging.WARNING
        hint = f" {error.hint}" if isinstance(error, Unreachable) and error.hint else ""
        log.log(level, "%s waits %.0f s: %s.%s", self._where(item), wait, str(error) or "no answer in time", hint)

    def _write(self, tables: Tables, item: ReportItem, result: Result) -> None:
        now = self._clock.now()
        error = result.error
        if result.sent:
            tables.reports.sent(item.id, result.remote)
        elif result.given_up:
            tables.reports.dead(item.id, error)
        elif now + result.wait > item.made + GIVE_UP:
            log.warning("%s is given up after a day: %s", self._where(item), error)
            tables.reports.dead(item.id, error)
        else:
            tables.reports.retry(item.id, now + result.wait, error)

    def _seen(self, item: ReportItem, result: Result, seconds: float) -> None:
        del seconds
        METRICS.reports.add(item.target, "sent" if result.sent else "given_up" if result.given_up else "retried")
