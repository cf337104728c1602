"""A forge: pushes to a real repository, runs builds, and calls the bot about both until it is answered 2xx."""

from __future__ import annotations

import asyncio
import enum
import hashlib
import hmac
import json
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.app import Kind, Source

PATH = "/hooks/shop/github"
SECRET = "what only the forge and the bot know"
BRANCH = "main"
_REPOSITORY = {"full_name": "acme/repo", "html_url": "https://github.com/acme/repo"}
_PERSON = {"login": "ana", "id": 7}
_ANSWER_WITHIN = 10.0
_AGAIN = (0.05, 0.4)
_DOUBLED = 0.15


class Moment(enum.StrEnum):
    """How far a call has come: half of it is sent, all of it, or it was answered."""

    HALF = "half"
    SENT = "sent"
    ANSWERED = "answered"


@dataclass(slots=True)
class Delivery:
    """Something to tell: its event's name and body, the id by which it is told again, and what was answered 2xx."""

    event: str
    body: bytes
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    answers: list[str] = field(default_factory=list)

    @property
    def request(self) -> bytes:
        """As it travels."""
        proof = hmac.new(SECRET.encode(), self.body, hashlib.sha256).hexdigest()
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: bot\r\nConnection: close\r\nContent-Type: application/json\r\n"
            f"X-GitHub-Event: {self.event}\r\nX-GitHub-Delivery: {self.id}\r\n"
            f"X-Hub-Signature-256: sha256={proof}\r\nContent-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that was pushed, the one before it, the number of its builds' run, and whether they are green."""

    sha: str
    before: str
    number: int
    green: bool


class Forge:
    """One repository with its builds. `reached` is told of every moment of every call."""

    def __init__(self, source: Source, port: int) -> None:
        """Take the repository, and where the bot listens."""
        self._source = source
        self._port = port
        self._runs = 0
        self.head = source.release(Kind.GOOD)
        self.deliveries: list[Delivery] = []
        self.reached: Callable[[Moment], None] = lambda _: None

    def push(self, *, green: bool) -> Commit:
        """Push a commit to the branch; what its builds will come to is decided already."""
        self._runs += 1
        before, self.head = self.head, self._source.release(Kind.GOOD)
        return Commit(self.head, before, self._runs, green)

    async def tell(self, dice: random.Random, commit: Commit) -> None:
        """Tell of a push and of its builds' states, in order, but for what has to be told again."""
        calls = []
        for told in (self._push(commit), *self._builds(commit)):
            self.deliveries.append(told)
            calls.append(asyncio.create_task(self._insist(dice, told)))
            await asyncio.sleep(dice.uniform(0, 0.15))
        await asyncio.gather(*calls)

    async def _insist(self, dice: random.Random, told: Delivery) -> None:
        """Call until it is answered, and now and then once more."""
        wanted = 2 if dice.random() < _DOUBLED else 1
        while len(told.answers) < wanted:
            answer = await self._call(told)
            if answer:
                told.answers.append(answer)
            else:
                await asyncio.sleep(dice.uniform(*_AGAIN))

    async def _call(self, told: Delivery) -> str:
        """Call once; what was answered with 2xx, empty where nothing was."""
        request = told.request
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    return await self._say(reader, writer, request)
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return ""

    async def _say(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> str:
        middle = len(request) * 3 // 4
        writer.write(request[:middle])
        await writer.drain()
        self.reached(Moment.HALF)
        writer.write(request[middle:])
        await writer.drain()
        self.reached(Moment.SENT)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 2"):
            return ""
        self.reached(Moment.ANSWERED)
        return str(json.loads(body)["result"])

    def _push(self, commit: Commit) -> Delivery:
        now = _time(time.time())
        made = {"id": commit.sha, "message": f"Release {commit.number}", "timestamp": now, "author": {"name": "ana"}}
        tree = {
            "ref": f"refs/heads/{BRANCH}",
            "before": commit.before,
            "after": commit.sha,
            "created": False,
            "deleted": False,
            "forced": False,
            "commits": [made],
            "head_commit": made,
            "pusher": {"name": "ana"},
            "sender": _PERSON,
            "repository": _REPOSITORY,
        }
        return Delivery("push", json.dumps(tree).encode())

    def _builds(self, commit: Commit) -> list[Delivery]:
        """Queued, running, and green or red, a second apart."""
        began = time.time() - 10
        states = ("queued", "in_progress", "completed")
        return [_build(commit, began, began + after, status) for after, status in enumerate(states)]


def _build(commit: Commit, began: float, at: float, status: str) -> Delivery:
    action = "requested" if status == "queued" else status
    conclusion = None if status != "completed" else "success" if commit.green else "failure"
    run = {
        "id": commit.number,
        "name": "Tests",
        "head_branch": BRANCH,
        "head_sha": commit.sha,
        "run_number": commit.number,
        "run_attempt": 1,
        "status": status,
        "conclusion": conclusion,
        "html_url": f"https://github.com/acme/repo/actions/runs/{commit.number}",
        "created_at": _time(began),
        "run_started_at": _time(began),
        "updated_at": _time(at),
        "actor": _PERSON,
        "head_repository": _REPOSITORY,
    }
    tree = {"action": action, "workflow_run": run, "workflow": {"name": "Tests"}, "repository": _REPOSITORY}
    return Delivery("workflow_run", json.dumps(tree).encode())


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
