"""Signed calls to any address, and one such call for each state of a deployment.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: the headers `webhook-id`,
`webhook-timestamp` and `webhook-signature`, and the body's `type`, `timestamp` and `data`.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime

from deploybot.domain import Report, ReportItem
from deploybot.errors import ConfigError
from deploybot.ports import ChatFinding
from deploybot.reporting.report_http import Caller, accepted

_PREFIX = "whsec_"
_SHORTEST = 16


class SignedCalls:
    """Sends signed calls to one address."""

    def __init__(self, caller: Caller, name: str, url: str, secret: str) -> None:
        """Take the address and the secret that signs.

        `name` is the name of its table in bot.toml. `secret` is `whsec_` and base64, or text. Raises ConfigError if it
        cannot sign.
        """
        self._caller = caller
        self._url = url
        self._what = name
        self._key = _key(self._what, secret)

    async def post(self, name: str, message: Mapping[str, object]) -> None:
        """Send a message as JSON. Raises as `accepted` does.

        `name` is the message's id, the same however often it is sent.
        """
        body = json.dumps(message, separators=(",", ":"), default=repr).encode()
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": stamp,
            "webhook-signature": signature(self._key, name, stamp, body),
        }
        accepted(await self._caller.call("POST", self._url, headers=headers, what=self._what, body=body), self._what)

    async def check(self) -> AsyncIterator[ChatFinding]:
        """Check that an HTTP server answers a HEAD request. No message is sent."""
        answer = await self._caller.call("HEAD", self._url, headers={}, what=self._what)
        yield ChatFinding("address", f"{self._url} answers ({answer.status} to a HEAD); nothing was sent")


class SignedCallTarget(SignedCalls):
    """Reports deployments to one address."""

    async def send(self, item: ReportItem) -> str:
        """Report a state. Return an empty string, because there is no id."""
        await self.post(f"msg_{item.key}", message(item.report))
        return ""


def _key(what: str, secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True) if secret.startswith(_PREFIX) else b""
    except binascii.Error:
        raise ConfigError((f"{what}.secret: should have base64 behind its {_PREFIX}",)) from None
    key = key or secret.encode()
    if len(key) < _SHORTEST:
        make = "`echo whsec_$(head -c 32 /dev/urandom | base64)` makes one"
        raise ConfigError((f"{what}.secret: should have at least {_SHORTEST} bytes; {make}",))
    return key


def signature(key: bytes, name: str, stamp: str, body: bytes) -> str:
    """Return the header `webhook-signature` for an id, a timestamp and a body."""
    digest = hmac.new(key, f"{name}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def message(report: Report) -> dict[str, object]:
    """Return the body of the call for a report."""
    took = report.finished - report.started if report.finished and report.started else None
    return {
        "type": f"deployment.{report.word}",
        "timestamp": _time(report.at),
        "data": {
            "deployment": report.deployment,
            "app": report.app,
            "environment": report.environment,
            "kind": report.kind.value,
            "task": report.task or None,
            "state": report.word,
            "why": report.why or None,
            "commit": report.commit or None,
            "release": report.release or None,
            "ref": report.ref or None,
            "subject": report.subject or None,
            "replaces": report.replaces or None,
            "images": [dataclasses.asdict(pin) for pin in report.images],
            "servers": list(report.servers),
            "by": report.by,
            "reason": report.reason or None,
            "outcome": report.outcome or None,
            "created": _time(report.created),
            "started": _time(report.started),
            "finished": _time(report.finished),
            "seconds": took if took is None else round(took, 3),
        },
    }


def _time(at: float) -> str | None:
    """Return a time as RFC 3339 in UTC, or None for a time that is not set."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None
