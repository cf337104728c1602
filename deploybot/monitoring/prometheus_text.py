"""Prometheus' text format, version 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/.

prometheus-client can write it too, but takes 3.3 MiB. A test reads this output with that library's parser.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from deploybot.metrics import Counter, Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class MetricSample:
    """A number with its labels. `suffix` is `_bucket`, `_sum` or `_count` for a part of a histogram."""

    labels: Labels
    value: float
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """A metric with all its samples. `kind` is counter, gauge or histogram."""

    name: str
    help: str
    kind: str
    samples: Sequence[MetricSample]


def family_of(metric: Counter | Histogram) -> MetricFamily:
    """Return a counter or histogram with its current values."""
    if isinstance(metric, Counter):
        samples = [
            MetricSample(tuple(zip(metric.labels, key, strict=True)), value) for key, value in metric.values.items()
        ]
        return MetricFamily(metric.name, metric.help, "counter", samples)
    spread = [
        sample
        for key, value in metric.values.items()
        for sample in buckets(
            tuple(zip(metric.labels, key, strict=True)),
            metric.buckets,
            tuple(itertools.accumulate(value.counts)),
            value.total,
        )
    ]
    return MetricFamily(metric.name, metric.help, "histogram", spread)


def buckets(labels: Labels, bounds: Sequence[float], within: Sequence[int], total: float) -> Iterator[MetricSample]:
    """Yield the samples of one histogram.

    `within` counts the values up to each bound, and finally all values.
    """
    for bound, count in zip((*map(_number, bounds), "+Inf"), within, strict=True):
        yield MetricSample((*labels, ("le", bound)), count, "_bucket")
    yield MetricSample(labels, total, "_sum")
    yield MetricSample(labels, within[-1], "_count")


def gauge(name: str, help_: str, values: Iterable[tuple[Labels, float]]) -> MetricFamily:
    """Return a gauge: numbers that may fall, each with its labels."""
    return MetricFamily(name, help_, "gauge", [MetricSample(labels, value) for labels, value in values])


def single(name: str, help_: str, value: float) -> MetricFamily:
    """Return a gauge with one number and no labels."""
    return gauge(name, help_, [((), value)])


def exposed(families: Iterable[MetricFamily]) -> str:
    """Return the metrics as text."""
    return "".join(map(_text, families))


def _text(family: MetricFamily) -> str:
    help_ = family.help.replace("\\", r"\\").replace("\n", r"\n")
    lines = [f"# HELP {family.name} {help_}", f"# TYPE {family.name} {family.kind}"]
    lines += [f"{family.name}{one.suffix}{_labels(one.labels)} {_number(one.value)}" for one in family.samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
