"""docs/reference/metrics.md: every metric of `/metrics`, from the code that counts and measures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from deploybot.domain import Counted, Kind, State
from deploybot.metrics import MOST, SECONDS, Metrics
from deploybot.monitoring import metric_values
from deploybot.monitoring.bot_health import BotHealth, HealthPart
from deploybot.monitoring.prometheus_text import MetricFamily, family_of
from tests.site.blocks import table

_INTRODUCTION = """\
# Metrics

This page is made from the code. `GET /metrics` answers in Prometheus' text format, with the token of `[http]`. For the
set-up and for useful alerts, see [monitoring](../monitoring.md#metrics).
"""
_END = f"""\
- Times are in seconds, sizes in bytes.
- Counters start at 0 when the bot starts. `deploybot_deployments_total` and `deploybot_deployment_seconds` come from
  the database, and include earlier runs of the bot.
- A metric has at most {MOST} sets of label values. Further ones count as `other`.
- Upper bounds of the histograms' buckets: {", ".join(f"{bound:g}" for bound in SECONDS)}. Those of
  `deploybot_deployment_seconds`: {", ".join(f"{bound:g}" for bound in metric_values.DURATIONS)}.
"""


def page() -> str:
    """Return the whole page."""
    rows = [(f"`{one.name}`", one.kind, ", ".join(labels), one.help) for one, labels in _families()]
    return "\n".join((_INTRODUCTION, table(("metric", "type", "labels", "meaning"), rows), _END))


def _families() -> Iterator[tuple[MetricFamily, Sequence[str]]]:
    """Every metric with the names of its labels, in the order of `/metrics`."""
    counted = Metrics()
    labels = {one.name: one.labels for one in counted}
    for family in chain(
        metric_values._of_deployments(_ROWS), map(family_of, counted), metric_values._of_health(_HEALTH)
    ):
        yield family, labels.get(family.name) or _labels(family)
    for family in metric_values._of_process():
        yield family, _labels(family)


def _labels(family: MetricFamily) -> Sequence[str]:
    return [name for name, _ in family.samples[0].labels if name != "le"] if family.samples else ()


_ROWS = metric_values._MeasuredRows(
    counted=[
        Counted(
            app="shop",
            environment="production",
            kind=Kind.DEPLOY,
            state=State.SUCCEEDED,
            count=1,
            timed=1,
            seconds=9.0,
            within=(0,) * len(metric_values.DURATIONS),
        )
    ],
    open={("shop", "production", "running"): 1},
    outbox=0,
    reports=0,
)
_HEALTH = BotHealth(
    own={"disk": HealthPart(facts={"free": 1.0})},
    servers={"web1": HealthPart(facts={"seen": 1.0})},
    audit={"file": HealthPart(facts={"waiting": 1.0})},
)
"""Made up: one row of each, because the labels of what is measured are in its samples alone."""
