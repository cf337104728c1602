"""All values of `/metrics`: counters, numbers from the database, and current measurements."""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploybot import __version__
from deploybot.domain import Counted, word_of
from deploybot.metrics import METRICS, Metrics
from deploybot.monitoring.bot_health import BotHealth, HealthPart
from deploybot.monitoring.prometheus_text import MetricFamily, MetricSample, buckets, family_of, gauge, single
from deploybot.ports import Store, Tables

DURATIONS = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_LOOKS = 1.0
_PAGE = resource.getpagesize()
_BEGUN = time.time()


@dataclass(frozen=True, slots=True)
class _MeasuredRows:
    """Numbers from the database."""

    counted: Sequence[Counted]
    open: Mapping[tuple[str, str, str], int]
    outbox: int
    reports: int


async def measured(store: Store, health: BotHealth, metrics: Metrics = METRICS) -> list[MetricFamily]:
    """Return all metrics as they are now. Raises StoreError if the database cannot be read."""
    rows = await store.read(_rows)
    return [
        *_of_deployments(rows),
        *map(family_of, metrics),
        *_of_health(health),
        *_of_process(),
    ]


async def watch_lag(metrics: Metrics = METRICS) -> None:
    """Measure every second how late the event loop wakes up, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        asked = loop.time() + _LOOKS
        await asyncio.sleep(_LOOKS)
        metrics.loop_lag.observe(max(loop.time() - asked, 0.0))


def _rows(tables: Tables) -> _MeasuredRows:
    waiting = Counter((one.plan.app, one.plan.environment, word_of(one)) for one in tables.deployments.open())
    counted = [one for one in tables.deployments.counted(DURATIONS) if one.state.ended]
    return _MeasuredRows(counted, waiting, tables.outbox.waiting(), tables.reports.waiting())


def _of_deployments(rows: _MeasuredRows) -> Iterator[MetricFamily]:
    ended = [
        MetricSample((*_target(one), ("kind", one.kind.value), ("result", one.state.value)), one.count)
        for one in rows.counted
    ]
    help_ = "Finished deployments of all time: succeeded, failed, restored, cancelled, unknown."
    yield MetricFamily("deploybot_deployments_total", help_, "counter", ended)
    help_ = "Duration of finished deployments, from their start."
    yield MetricFamily("deploybot_deployment_seconds", help_, "histogram", list(_durations(rows.counted)))
    states = [
        ((("app", app), ("environment", environment), ("state", word)), float(count))
        for (app, environment, word), count in rows.open.items()
    ]
    help_ = "Unfinished deployments: requested (they wait for approvals), waiting (the queue), running, restoring."
    yield gauge("deploybot_deployments_open", help_, states)
    yield single("deploybot_outbox_waiting", "Messages that wait to be sent to chats.", rows.outbox)
    yield single(
        "deploybot_reports_waiting",
        "Reports that wait to be sent to forges, outgoing webhooks or as traces.",
        rows.reports,
    )


def _target(one: Counted) -> tuple[tuple[str, str], ...]:
    return ("app", one.app), ("environment", one.environment)


def _durations(counted: Sequence[Counted]) -> Iterator[MetricSample]:
    for one in counted:
        if one.timed:
            labels = (*_target(one), ("kind", one.kind.value), ("result", one.state.value))
            yield from buckets(labels, DURATIONS, (*one.within, one.timed), one.seconds)


def _of_health(health: BotHealth) -> Iterator[MetricFamily]:
    ok = [((("part", name),), float(not part.problem)) for name, part in health.own.items()]
    yield gauge("deploybot_ok", "1 if a part of the bot is healthy, as in /healthz.", ok)
    up = [((("server", name),), float(not part.problem)) for name, part in health.servers.items() if _seen(part)]
    yield gauge(
        "deploybot_server_up", "1 if the last connection to a server worked; missing if there was none yet.", up
    )
    up = [((("sink", name),), float(not part.problem)) for name, part in health.audit.items()]
    yield gauge("deploybot_audit_sink_up", "1 if the last attempt to send rows of the audit to a receiver worked.", up)
    waiting = [((("sink", name),), (part.facts or {}).get("waiting") or 0.0) for name, part in health.audit.items()]
    yield gauge("deploybot_audit_waiting", "Rows of the audit that wait for a receiver, as last counted.", waiting)
    free = (health.own["disk"].facts or {}).get("free") if "disk" in health.own else None
    yield gauge(
        "deploybot_disk_free_bytes", "Free space on the disk of the data folder.", [] if free is None else [((), free)]
    )


def _seen(part: HealthPart) -> bool:
    return bool(part.facts and part.facts.get("seen"))


def _of_process() -> Iterator[MetricFamily]:
    """Yield metrics of the process, with the names that Prometheus' own libraries use."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    yield gauge("deploybot_info", "Always 1; the version is a label.", [((("version", __version__),), 1.0)])
    seconds = [MetricSample((), used.ru_utime + used.ru_stime)]
    yield MetricFamily("process_cpu_seconds_total", "Processor time in seconds.", "counter", seconds)
    yield single("process_resident_memory_bytes", "Memory in use.", float(pages * _PAGE))
    yield single("process_open_fds", "Open files and connections.", len(tuple(Path("/proc/self/fd").iterdir())))
    yield single("process_start_time_seconds", "Start time, in seconds since 1970.", _BEGUN)
