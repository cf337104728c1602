"""Prometheus' Alertmanager: alerts; https://prometheus.io/docs/alerting/latest/configuration/#webhook_config."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import ClassVar

from deploybot.domain import Alert, Event, Note
from deploybot.webhooks.body_reading import MESSAGE, Tree
from deploybot.webhooks.delivery_signatures import Bearer, Proof
from deploybot.webhooks.sender_base import BaseSender
from deploybot.webhooks.sender_port import MalformedError, Received

_MOST = 1_000
_GROUP = 500
_MOST_LABELS = 50

_SETUP = """\
Add this to alertmanager.yml, with the secret in bot.toml as SECRET (or credentials_file: PATH), and reload it:
receivers:
  - name: deploybot
    webhook_configs:
      - url: {url}
        send_resolved: true
        max_alerts: 1000
        http_config:
          authorization:
            type: Bearer
            credentials: SECRET
route:
  receiver: deploybot
Grafana's alerts have the same format: Alerting, Contact points, Add contact point, Webhook; URL as above, HTTP method
POST, Authorization Header: scheme Bearer, credentials SECRET."""


class Prometheus(BaseSender):
    """Alertmanager 0.16 or later, with payloads of version 4."""

    name = "prometheus"
    proof: ClassVar[Proof] = Bearer()
    kind_key = ("status",)
    repeats = True
    pings = ""
    looks = (("", frozenset({"alerts", "groupKey"})),)

    def events_in(self, received: Received, tree: Tree) -> tuple[Event, ...]:  # noqa: ARG002 - see BaseSender
        """See BaseSender."""
        if not tree.lists("alerts"):
            raise MalformedError("The body has no list of alerts, which Alertmanager documents.")
        group = tree.text("groupKey")[:_GROUP]
        left_out = max(tree.number("truncatedAlerts"), 0) + max(tree.count("alerts") - _MOST, 0)
        return (*self._alerts(tree, group), *((self._cut(tree, group, left_out),) if left_out else ()))

    def _cut(self, tree: Tree, group: str, left_out: int) -> Note:
        """Return a note that alerts are missing, one for each group."""
        return Note(
            sender=self.name,
            url=tree.page("externalURL"),
            key=f"truncated:{group}",
            title=f"{left_out:,} alerts of this group are not shown",
            text=f"Alertmanager sends at most `max_alerts` of a group, and I read {_MOST:,}. "
            f"Raise `max_alerts` in its webhook_configs (0 sends all), or group by more labels.",
            tone="warn",
            fields=(("group", group),),
        )

    def _alerts(self, tree: Tree, group: str) -> Iterator[Alert]:
        for alert in tree.each("alerts", most=_MOST):
            labels = alert.pairs("labels", most=_MOST_LABELS)
            started, ended = alert.time("startsAt"), alert.time("endsAt")
            firing = (alert.text("status") or tree.needs("status")) == "firing"
            yield Alert(
                sender=self.name,
                url=alert.page("generatorURL") or tree.page("externalURL"),
                at=started if firing else ended,
                key=f"prometheus:{alert.text('fingerprint') or _fingerprint(labels)}",
                name=alert.text("labels", "alertname") or "alert",
                firing=firing,
                severity=alert.text("labels", "severity"),
                text=_text(alert),
                labels=labels,
                started=started,
                group=group,
            )

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


def _text(alert: Tree) -> str:
    parts = (alert.lines("annotations", key) for key in ("summary", "description", "message"))
    return "\n".join(dict.fromkeys(filter(None, parts)))[:MESSAGE]


def _fingerprint(labels: tuple[tuple[str, str], ...]) -> str:
    """Return an id for an alert without a fingerprint, computed from its labels, which identify it."""
    return hashlib.sha256(repr(sorted(labels)).encode()).hexdigest()[:16]


SENDER = Prometheus()
