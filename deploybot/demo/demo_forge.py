"""A forge for the demo's repository. It reports pushes and builds to the bot as GitHub does, signed, over HTTP."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from deploybot.demo.demo_repository import DemoCommit
from deploybot.webhooks.senders import sender

BuildWord = Literal["queued", "in_progress", "success", "failure"]
_SENDER = "github"
_REPOSITORY = "dora/shop"
_PAGE = f"https://github.example.com/{_REPOSITORY}"
_ANSWER_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class DemoDelivery:
    """A webhook delivery of a forge: the kind of event, the forge's id for it, and the body."""

    kind: str
    id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class DemoForge:
    """A forge that calls `url` and signs with `secret`."""

    url: str
    secret: str

    def pushed(self, commit: DemoCommit) -> DemoDelivery:
        """Return the delivery for a commit that was pushed to `main`."""
        one = {
            "id": commit.sha,
            "message": commit.subject,
            "timestamp": _when(commit.at),
            "url": f"{_PAGE}/commit/{commit.sha}",
            "author": {"name": commit.author},
            "added": [],
            "modified": list(commit.paths),
            "removed": [],
        }
        more = {
            "ref": "refs/heads/main",
            "before": commit.before,
            "after": commit.sha,
            "compare": f"{_PAGE}/compare/{commit.before[:12]}...{commit.sha[:12]}",
            "commits": [one],
            "head_commit": one,
            "pusher": {"name": commit.author},
        }
        return self._delivery("push", commit.author, more)

    def built(self, commit: DemoCommit, word: BuildWord) -> DemoDelivery:
        """Return the delivery for a commit's build that is waiting, running or finished."""
        ended = word not in {"queued", "in_progress"}
        run = {
            "id": 70_001,
            "name": "tests",
            "run_number": 7,
            "run_attempt": 1,
            "head_branch": "main",
            "head_sha": commit.sha,
            "status": "completed" if ended else word,
            "conclusion": word if ended else None,
            "html_url": f"{_PAGE}/actions/runs/70001",
            "created_at": _when(time.time()),
            "updated_at": _when(time.time()),
        }
        return self._delivery("workflow_run", commit.author, {"workflow_run": run, "workflow": {"name": "tests"}})

    async def call(self, delivery: DemoDelivery, *, forged: bool = False) -> int:
        """Call the bot and return the status of its answer. A `forged` call is signed with a wrong secret."""
        return await asyncio.to_thread(self._post, delivery, secrets.token_hex(32) if forged else self.secret)

    def _delivery(self, kind: str, who: str, more: Mapping[str, object]) -> DemoDelivery:
        """Return a delivery with the fields that every delivery has."""
        body = {
            **more,
            "repository": {"full_name": _REPOSITORY, "html_url": _PAGE},
            "sender": {"id": 4_711, "login": who.partition(" ")[0].lower()},
        }
        return DemoDelivery(kind, str(uuid.uuid4()), json.dumps(body).encode())

    def _post(self, delivery: DemoDelivery, secret: str) -> int:
        signed = sender(_SENDER).sign(delivery.body, secret, kind=delivery.kind, delivery=delivery.id, at=time.time())
        headers = {"Content-Type": "application/json", **signed.headers}
        request = urllib.request.Request(self.url, delivery.body, headers)  # noqa: S310  http, and made here
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_WITHIN) as answer:  # noqa: S310  its own address
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            return refusal.code


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
