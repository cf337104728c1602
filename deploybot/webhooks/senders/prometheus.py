"""Prometheus' Alertmanager: alerts; https://prometheus.io/docs/alerting/latest/configuration/#webhook_config."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import ClassVar

from deploybot.domain import Alert, Event
from deploybot.webhooks.base import BaseSender
from deploybot.webhooks.proofs import Bearer, Proof
from deploybot.webhooks.reading import MESSAGE, Tree
from deploybot.webhooks.sender import MalformedError, Received

_MOST = 200
_MOST_LABELS = 50

_SETUP = """\
In alertmanager.yml, with the secret of bot.toml for SECRET (or credentials_file: PATH), and then reload it:
receivers:
  - name: deploybot
    webhook_configs:
      - url: {url}
        send_resolved: true
        max_alerts: 200
        http_config:
          authorization:
            type: Bearer
            credentials: SECRET
route:
  receiver: deploybot
Grafana's alerts have the same form: Alerting, Contact points, Add contact point, Webhook; URL as above, HTTP method
POST, Authorization Header: scheme Bearer, credentials SECRET."""


class Prometheus(BaseSender):
    """Alertmanager 0.16 or later, whose payload has version 4."""

    name = "prometheus"
    proof: ClassVar[Proof] = Bearer()
    kind_key = ("status",)
    repeats = True
    pings = ""
    looks = (("", frozenset({"alerts", "groupKey"})),)

    def told(self, received: Received, tree: Tree) -> tuple[Event, ...]:  # noqa: ARG002 - see BaseSender
        """See BaseSender."""
        if not tree.lists("alerts"):
            raise MalformedError("The body has no list of alerts, which Alertmanager documents.")
        return tuple(self._alerts(tree))

    def _alerts(self, tree: Tree) -> Iterator[Alert]:
        for alert in tree.each("alerts", most=_MOST):
            labels = alert.pairs("labels", most=_MOST_LABELS)
            started, ended = alert.time("startsAt"), alert.time("endsAt")
            firing = alert.needs("status") == "firing"
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
            )

    def setup(self, url: str) -> str:
        """See Sender."""
        return _SETUP.format(url=url)


def _text(alert: Tree) -> str:
    parts = (alert.lines("annotations", key) for key in ("summary", "description", "message"))
    return "\n".join(dict.fromkeys(filter(None, parts)))[:MESSAGE]


def _fingerprint(labels: tuple[tuple[str, str], ...]) -> str:
    """What stands for an alert where the sender gives no fingerprint: its labels, which make it the same."""
    return hashlib.sha256(repr(sorted(labels)).encode()).hexdigest()[:16]


SENDER = Prometheus()
