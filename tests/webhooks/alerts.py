"""Alertmanager's deliveries: many alerts of one group, in one request or in many."""

from __future__ import annotations

import json
from collections.abc import Iterable


def alert(number: int, *, firing: bool = True) -> dict[str, object]:
    """One alert of a server."""
    labels = {"alertname": "HostDown", "severity": "page", "instance": f"web-{number}:9100"}
    return {
        "status": "firing" if firing else "resolved",
        "labels": labels,
        "annotations": {"summary": f"web-{number} does not answer"},
        "startsAt": "2026-11-20T09:30:00.000Z",
        "endsAt": "0001-01-01T00:00:00Z" if firing else "2026-11-20T09:50:00.000Z",
        "generatorURL": "https://prom.example.com/graph",
        "fingerprint": f"{number:016x}",
    }


def delivery(numbers: Iterable[int], *, firing: bool = True, truncated: int = 0) -> bytes:
    """The body of a request that tells of these alerts."""
    body = {
        "version": "4",
        "groupKey": '{}:{alertname="HostDown"}',
        "truncatedAlerts": truncated,
        "status": "firing" if firing else "resolved",
        "receiver": "deploybot",
        "externalURL": "https://alerts.example.com",
        "alerts": [alert(number, firing=firing) for number in numbers],
    }
    return json.dumps(body).encode()
