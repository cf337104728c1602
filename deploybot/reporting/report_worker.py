"""The worker that sends reports: one call at a time per target, in order per deployment, for a day at most.

It never delays a deployment. It reads reports that were queued with the deployment's states. Failed reports wait here.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from deploybot.backoff import Backoff
from deploybot.delivery_worker import Courier, DeliveryLane, LaneName, Result
from deploybot.domain import ReportItem
from deploybot.errors import Unreachable, UserError
from deploybot.metrics import METRICS
from deploybot.ports import Clock, Store, Tables
from deploybot.reporting.reporter_port import ReportTarget

GIVE_UP = 86_400.0
_RETRY = Backoff(1.0, 900.0, jitter=random.random)
log = logging.getLogger(__name__)


class ReportWorker(Courier[ReportItem]):
    """Sends reports to the targets, by their names in the table `reports`."""

    def __init__(
        self,
        store: Store,
        targets: Mapping[str, ReportTarget],
        clock: Clock,
        *,
        close: Callable[[], Awaitable[None]],
        retry: Backoff = _RETRY,
    ) -> None:
        """Take the ports. `close` closes what the targets share. `Courier` explains `retry`."""
        super().__init__("reports to other services", store, clock, retry=retry)
        self._targets = targets
        self._close = close

    async def run(self) -> None:
        """Send reports until cancelled, then close what the targets share."""
        try:
            await super().run()
        finally:
            await self._close()

    def _due(self, tables: Tables, until: float, limit: int, shut: Collection[LaneName]) -> Sequence[ReportItem]:
        del shut  # few reports wait: one per deployment
        return tables.reports.due(until, limit)

    def _lane_of(self, item: ReportItem) -> LaneName:
        return (item.target,)

    def _may_overtake(self, lane: DeliveryLane) -> bool:
        """Allow it: reports that wait at the same time are of different deployments.

        The table keeps the states of one deployment in order.
        """
        del lane
        return True

    def _where(self, item: ReportItem) -> str:
        return f"{item.target} (#{item.report.deployment} {item.report.word})"

    async def _send(self, item: ReportItem) -> str:
        target = self._targets.get(item.target)
        if target is None:
            raise UserError("it is no longer in bot.toml")
        return await target.send(item)

    def _report_failure(self, item: ReportItem, wait: float, error: Exception) -> None:
        """Log the first failure as a warning, later ones as info. Giving up after a day is a second warning."""
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
            log.warning("gave up on %s after a day: %s", self._where(item), error)
            tables.reports.dead(item.id, error)
        else:
            tables.reports.retry(item.id, now + result.wait, error)

    def _seen(self, item: ReportItem, result: Result, seconds: float) -> None:
        del seconds
        METRICS.reports.add(item.target, "sent" if result.sent else "given_up" if result.given_up else "retried")
