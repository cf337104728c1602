"""Counting: cheap, bounded, and told in Prometheus' text format, which its own parser reads."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from deploybot.metrics import MOST, OTHER, Counter, Histogram, Metrics
from deploybot.monitoring.prometheus_text import MetricFamily, MetricSample, exposed, family_of

COUNTS = 20_000


def test_a_counter_grows_by_its_labels() -> None:
    counter = Counter("c_total", "Some.", ("a", "b"))
    counter.add("x", "y")
    counter.add("x", "y", by=2)
    counter.add("x", "z")
    assert dict(counter.values) == {("x", "y"): 3.0, ("x", "z"): 1.0}


@pytest.mark.parametrize("values", [(), ("x",), ("x", "y", "z")])
def test_labels_that_do_not_fit_are_a_mistake_of_the_code(values: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="c_total has the labels"):
        Counter("c_total", "Some.", ("a", "b")).add(*values)


def test_what_a_sender_makes_up_does_not_fill_the_memory() -> None:
    counter = Counter("c_total", "Some.", ("a",))
    spread = Histogram("h", "Some.", ("a",))
    for number in range(10 * MOST):
        counter.add(f"made up {number}")
        spread.observe(0.1, f"made up {number}")
    assert len(counter.values) == len(spread.values) == MOST + 1
    assert counter.values[OTHER,] == 9 * MOST
    counter.add("made up 0")
    assert counter.values["made up 0",] == 2


def test_a_duration_is_in_the_first_bucket_that_holds_it() -> None:
    spread = Histogram("h", "Some.", buckets=(1.0, 2.0))
    for seconds in (0.5, 1.0, 1.5, 2.0, 99.0):
        spread.observe(seconds)
    (found,) = spread.values.values()
    assert (found.counts, found.total) == ([2, 2, 1], 104.0)


def test_prometheus_reads_every_metric_as_it_was_counted() -> None:
    metrics = Metrics()
    metrics.webhooks.add("github", "heard", by=3)
    metrics.chat_seconds.observe(0.3, "slack")
    metrics.loop_lag.observe(0.001)
    families = {one.name: one for one in text_string_to_metric_families(exposed(map(family_of, metrics)))}
    (webhooks,) = families["deploybot_webhooks"].samples
    assert (webhooks.labels, webhooks.value) == ({"sender": "github", "result": "heard"}, 3.0)
    parts = {(one.name, one.labels.get("le")): one.value for one in families["deploybot_chat_seconds"].samples}
    assert parts["deploybot_chat_seconds_bucket", "0.25"] == 0
    assert parts["deploybot_chat_seconds_bucket", "0.5"] == 1
    assert parts["deploybot_chat_seconds_bucket", "+Inf"] == parts["deploybot_chat_seconds_count", None] == 1
    assert math.isclose(parts["deploybot_chat_seconds_sum", None], 0.3)
    assert len(families) == len([*metrics])


@given(st.text(st.characters(exclude_categories=["Cs"])), st.floats(allow_nan=False, allow_infinity=False))
def test_any_text_is_a_label_and_comes_back(text: str, value: float) -> None:
    family = MetricFamily("g", text, "gauge", [MetricSample((("a", text), ("b", "x")), value)])
    (read,) = text_string_to_metric_families(exposed([family]))
    (sample,) = read.samples
    assert (sample.labels, sample.value) == ({"a": text, "b": "x"}, value)


def test_counting_costs_next_to_nothing(figure: Callable[[str], None]) -> None:
    metrics = Metrics()
    begun = time.thread_time()
    for _ in range(COUNTS):
        metrics.webhooks.add("github", "heard")
    each = (time.thread_time() - begun) / COUNTS
    size = sum(map(sys.getsizeof, (*metrics, *(one.values for one in metrics))))
    figure(f"a count takes {each * 1e6:.2f} µs; all metrics take {size} B at rest")
    assert each < 50e-6
    assert size < 10_000
