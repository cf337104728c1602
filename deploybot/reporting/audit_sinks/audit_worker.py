"""The worker that exports the audit: to each sink every row, in order, at least once. It never gives up.

The database stores how far each sink is, after the sink has accepted the rows. A crash in between sends some rows
again. A sink that fails does not delay the others.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from deploybot.backoff import Backoff
from deploybot.delivery_worker import LOOKS, Courier, DeliveryLane, LaneName, Result
from deploybot.domain import AuditRow, SinkSight, SinkState
from deploybot.errors import DeploybotError, Unreachable
from deploybot.metrics import METRICS
from deploybot.ports import Clock, Store, Tables, TextRedactor
from deploybot.reporting.audit_sinks.audit_sink import Reached, Sink
from deploybot.reporting.audit_sinks.rewritten_audit import hash_at, is_rewritten, security_warning
from deploybot.setup_notices import Notice, NoticeBoard
from deploybot.units import show_duration

REPORT_AFTER = 600.0
BATCH = 64
_RETRY = Backoff(1.0, 60.0, jitter=random.random)
_LONGEST_ASKED = 900.0
_GATHER = 0.25
_FAILS = "audit-sink:"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AuditBatch:
    """Rows to send to one sink.

    `id` is the sink's position in bot.toml, `head` the number of the last row in the audit. `rewritten` means that the
    last row sent is no longer in the audit, so all rows are sent again.
    """

    id: int
    sink: Sink
    state: SinkState
    rows: tuple[AuditRow, ...]
    head: int
    rewritten: bool = False

    @property
    def attempts(self) -> int:
        """Return how often it failed in a row."""
        return self.state.attempts

    @property
    def next_at(self) -> float:
        """Return when it may be tried again."""
        return self.state.next_at


class AuditExporter(Courier[AuditBatch]):
    """Exports the audit to sinks, by kind: `file`, `syslog`, `call`. `Courier` explains `retry`."""

    def __init__(
        self,
        store: Store,
        sinks: Mapping[str, Sink],
        clock: Clock,
        redactor: TextRedactor,
        board: NoticeBoard,
        *,
        retry: Backoff = _RETRY,
        looks: float = LOOKS,
    ) -> None:
        """Take the ports. `Courier` explains `looks`."""
        super().__init__("the audit", store, clock, retry=retry, looks=looks)
        self._sinks = sinks
        self._mask = redactor.text
        self._board = board
        self._sights = dict.fromkeys(sinks, SinkSight())

    @property
    def sights(self) -> Mapping[str, SinkSight]:
        """Return how each sink was last seen."""
        return self._sights

    async def run(self) -> None:
        """Export rows until cancelled, then close the sinks."""
        try:
            await super().run()
        finally:
            for sink in self._sinks.values():
                await sink.close()

    def _due(self, tables: Tables, until: float, limit: int, shut: Collection[LaneName]) -> Sequence[AuditBatch]:
        del until, limit  # one batch per sink
        free = [(position, kind) for position, kind in enumerate(self._sinks) if (kind,) not in shut]
        batches = [self._batch(tables, position, self._sinks[kind]) for position, kind in free]
        return [one for one in batches if one.rows]

    def _batch(self, tables: Tables, position: int, sink: Sink) -> AuditBatch:
        """Return the rows after the last one sent, or all rows if the audit no longer contains that one."""
        state, (head, _) = tables.audit_sinks.get(sink.name), tables.audit.head()
        rewritten = is_rewritten(tables, state)
        rows = tables.audit.page(0 if rewritten else state.number, BATCH)
        return AuditBatch(position, sink, state, rows, head, rewritten)

    def _kind(self, batch: AuditBatch) -> str:
        return list(self._sinks)[batch.id]

    def _lane_of(self, item: AuditBatch) -> LaneName:
        return (self._kind(item),)

    def _may_overtake(self, lane: DeliveryLane) -> bool:
        del lane
        return False

    def _interval(self, item: AuditBatch) -> float:
        """Return a short pause so that rows gather: each batch costs a commit, and syslog services drop floods."""
        return 0.0 if len(item.rows) == BATCH and self._kind(item) == "file" else _GATHER

    def _where(self, item: AuditBatch) -> str:
        return f"the audit's {item.sink.name}"

    async def _send(self, item: AuditBatch) -> str:
        """Send a batch and return how far the sink is. No row is ever given up, so refusals are retried too."""
        mark = "" if item.rewritten else item.state.mark
        try:
            reached = await item.sink.send(item.rows, mark)
        except Unreachable as error:
            self._sees(item, error)
            error.retry_after = min(error.retry_after, _LONGEST_ASKED)
            raise
        except DeploybotError as error:
            self._sees(item, error)
            raise Unreachable(item.sink.name, str(error)) from error
        self._sights[self._kind(item)] = SinkSight(waiting=max(item.head - reached.number, 0))
        return f"{reached.number} {reached.mark}"

    def _sees(self, item: AuditBatch, error: DeploybotError) -> None:
        first = item.rows[0].number
        self._sights[self._kind(item)] = SinkSight(
            self._mask(str(error)), getattr(error, "hint", ""), item.head - first + 1
        )

    def _report_failure(self, item: AuditBatch, wait: float, error: Exception) -> None:
        """Log a failure: the first in a row as a warning, later ones as info."""
        level = logging.INFO if item.attempts else logging.WARNING
        log.log(level, "%s waits %.0f s: %s", self._where(item), wait, str(error) or "no answer in time")

    def _write(self, tables: Tables, item: AuditBatch, result: Result) -> None:
        if result.sent:
            self._reached(tables, item, _reached_of(result.remote))
            return
        now = self._clock.now()
        # A result without a wait gets the longest pause.
        since = tables.audit_sinks.failed(item.sink.name, now, now + (result.wait or self._retry.longest))
        if now - since >= REPORT_AFTER:
            self._board.report(tables, self._failing(item, result.error))

    def _reached(self, tables: Tables, item: AuditBatch, reached: Reached) -> None:
        name = item.sink.name
        if item.rewritten:
            self._board.report(tables, security_warning(item.sink.name, item.state))
            log.error("%s: row %d was exported, but is no longer in the audit", self._where(item), item.state.number)
        tables.audit_sinks.reached(name, reached.number, hash_at(tables, reached.number), reached.mark)
        self._board.close(tables, f"{_FAILS}{name}")

    def _failing(self, item: AuditBatch, error: str) -> Notice:
        name, waiting = item.sink.name, item.head - item.rows[0].number + 1
        return Notice(
            key=f"{_FAILS}{name}",
            title=f"The audit export to {name} has failed for {show_duration(REPORT_AFTER)}.",
            text=f"{self._mask(error)}\n{waiting:,} rows wait, and none is lost. Deployments continue.",
            fix=self._sights[self._kind(item)].fix or "Test it with `deploybot check`.",
        )

    def _seen(self, item: AuditBatch, result: Result, seconds: float) -> None:
        del seconds
        kind = self._kind(item)
        if not result.sent and not self._sights[kind].problem:
            self._sights[kind] = replace(self._sights[kind], problem=self._mask(result.error))
        METRICS.audit_batches.add(kind, "sent" if result.sent else "retried")


def _reached_of(text: str) -> Reached:
    number, _, mark = text.partition(" ")
    return Reached(int(number), mark)
