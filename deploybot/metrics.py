"""The bot's own counters for `/metrics`, with their names and labels.

Counting happens in the event loop's thread, costs one dict look-up, and imports nothing. `deploybot.monitoring` adds
values that are read from rows or measured on request. The terms are those of Prometheus' text format:
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

MOST = 200
"""The maximum number of label value sets per metric. Any others are counted as `other`."""
OTHER = "other"

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(slots=True)
class Spread:
    """The count of each bucket (not cumulative) and the sum of all values. The last bucket is for larger values."""

    counts: list[int]
    total: float = 0.0


class Metric:
    """A metric's name, help text and label names."""

    __slots__ = ("help", "labels", "name")

    def __init__(self, name: str, help_: str, labels: tuple[str, ...] = ()) -> None:
        """Make a metric without values."""
        self.name = name
        self.help = help_
        self.labels = labels

    def _key(self, there: Mapping[tuple[str, ...], object], values: tuple[str, ...]) -> tuple[str, ...]:
        """Return the label values to count under. Senders can't fill the memory with new ones."""
        if len(values) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {values}")
        return values if values in there or len(there) < MOST else (OTHER,) * len(values)


class Counter(Metric):
    """A value that only grows."""

    __slots__ = ("_values",)

    def __init__(self, name: str, help_: str, labels: tuple[str, ...] = ()) -> None:
        """Make a counter. Without labels it starts at 0."""
        super().__init__(name, help_, labels)
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}

    def add(self, *values: str, by: float = 1.0) -> None:
        """Add `by`. `values` are the label values in order."""
        key = self._key(self._values, values)
        self._values[key] = self._values.get(key, 0.0) + by

    @property
    def values(self) -> Mapping[tuple[str, ...], float]:
        """Return the counts by label values."""
        return MappingProxyType(self._values)


class Histogram(Metric):
    """A histogram of durations in seconds. `buckets` are upper bounds in ascending order."""

    __slots__ = ("_values", "buckets")

    def __init__(
        self, name: str, help_: str, labels: tuple[str, ...] = (), buckets: tuple[float, ...] = SECONDS
    ) -> None:
        """Make a histogram. Without labels it exists from the start."""
        super().__init__(name, help_, labels)
        self.buckets = buckets
        self._values: dict[tuple[str, ...], Spread] = {} if labels else {(): self._empty()}

    def _empty(self) -> Spread:
        return Spread([0] * (len(self.buckets) + 1))

    def observe(self, seconds: float, *values: str) -> None:
        """Record one duration in seconds."""
        key = self._key(self._values, values)
        spread = self._values.get(key)
        if spread is None:
            spread = self._values[key] = self._empty()
        spread.counts[bisect_left(self.buckets, seconds)] += 1
        spread.total += seconds

    @property
    def values(self) -> Mapping[tuple[str, ...], Spread]:
        """Return the recorded durations by label values."""
        return MappingProxyType(self._values)


class Metrics:
    """All metrics that are counted where they happen.

    `result` and `kind` are words of the code, never a sender's text.
    """

    def __init__(self) -> None:
        """Make all metrics, empty."""
        self.webhooks = Counter(
            "deploybot_webhooks_total",
            "Received webhooks. On receipt: kept, double, forged, limited, full, unkept, too_large. "
            "After processing: heard, ignored, elsewhere, retried, given_up, malformed, broken.",
            ("sender", "result"),
        )
        self.webhook_seconds = Histogram("deploybot_webhook_seconds", "Time to answer a webhook.", ("sender",))
        self.http_cut_off = Counter(
            "deploybot_http_cut_off_total", "HTTP requests that ended before their body was complete."
        )
        self.http_gone = Counter("deploybot_http_gone_total", "HTTP clients that disconnected before their answer.")
        self.events = Counter("deploybot_events_total", "Events in webhooks, by sender and kind.", ("sender", "kind"))
        self.chat_seconds = Histogram("deploybot_chat_seconds", "Time that a chat took to accept a message.", ("chat",))
        self.chat_messages = Counter(
            "deploybot_chat_messages_total",
            "Attempts to send or edit a message: sent, retried, given_up.",
            ("chat", "result"),
        )
        self.reports = Counter(
            "deploybot_reports_total",
            "Attempts to send a report to forge:APP, outgoing:NAME or otel: sent, retried, given_up.",
            ("target", "result"),
        )
        self.audit_batches = Counter(
            "deploybot_audit_batches_total",
            "Attempts to send rows of the audit to a receiver (file, syslog or call): sent, retried.",
            ("sink", "result"),
        )
        self.ssh_connections = Counter(
            "deploybot_ssh_connections_total", "SSH connections: made, failed.", ("server", "result")
        )
        self.ssh_commands = Counter(
            "deploybot_ssh_commands_total",
            "Commands sent over SSH: ok, or failed if the connection broke.",
            ("server", "result"),
        )
        self.docker_calls = Counter(
            "deploybot_docker_calls_total", "Calls to Docker Engines: ok, refused, failed.", ("server", "result")
        )
        self.broken_glass = Counter(
            "deploybot_break_glass_total",
            "Deployments and rollbacks that an admin requested with --break-glass.",
            ("app", "environment"),
        )
        self.loop_lag = Histogram(
            "deploybot_loop_lag_seconds",
            "How late the event loop woke up, measured once a second.",
        )

    def __iter__(self) -> Iterator[Counter | Histogram]:
        """Yield all metrics, in the order of `/metrics`."""
        return iter(vars(self).values())


METRICS = Metrics()
"""The bot's metrics. Any module may count into them."""
