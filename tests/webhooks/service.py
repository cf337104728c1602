"""The receiver, the database and the inbox as a bot has them, for tests; and GitHub, which calls."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import ClientSession

from deploybot.backoff import Backoff
from deploybot.card import Card
from deploybot.domain import Channel, Event, Push
from deploybot.http_limits import ConnectionGate
from deploybot.http_server import WebServer
from deploybot.masking import Redactor
from deploybot.ports import EventListener, Store
from deploybot.settings import App, Settings
from deploybot.setup_notices import NoticeBoard, NoticeWriter
from deploybot.store.database import Database
from deploybot.testing import FakeClock
from deploybot.webhooks.hook_addresses import addresses
from deploybot.webhooks.inbox_worker import Inbox
from deploybot.webhooks.receiver import Receiver
from tests.kit.settings import bot_settings
from tests.webhooks.hammer import request

SECRET = "5f8c1c0e7b6f4b0d9a64c7d23e0f9b18a1"
APPS = ("shop", "blog", "wiki")
CHANNEL = Channel("slack", "C0OPS")


def settings(
    apps: Sequence[str] = APPS,
    *,
    secret: Callable[[str], str] = lambda _: SECRET,
    names: Sequence[str] = ("github", "dockerhub", "event"),
) -> Settings:
    """So many apps, each with its hooks of these senders; and the github of all."""

    def app(name: str) -> dict[str, object]:
        return {
            "repo": f"git@github.com:acme/{name}.git",
            "strategy": "script",
            "script": "deploy.sh",
            "hooks": {sender: {"secret": {"env": name.upper()}} for sender in names},
        }

    return bot_settings(
        apps={name: app(name) for name in apps},
        values={name.upper(): secret(name) for name in apps} | {"SECRET": secret("")},
        hooks={"github": {"secret": {"env": "SECRET"}}},
        http={},
    )


@dataclass
class Listener:
    """Keeps what it heard: each event of a delivery once. `trouble` may raise before that."""

    heard: list[tuple[str, str, Event]] = field(default_factory=list)
    calls: int = 0
    trouble: Callable[[App, Event], None] = lambda _app, _event: None

    async def handle_event(self, app: App, event: Event, delivery: str) -> str:
        self.calls += 1
        self.trouble(app, event)
        if (one := (app.name, delivery, event)) not in self.heard:
            self.heard.append(one)
        return "noted"

    @property
    def commits(self) -> list[str]:
        return [event.after for _, _, event in self.heard if isinstance(event, Push)]


@dataclass(frozen=True, kw_only=True)
class WebhookBot:
    """What runs."""

    port: int
    store: Store
    inbox: Inbox
    clock: FakeClock

    async def post(self, path: str, body: bytes = b"{}", **headers: str) -> tuple[int, dict[str, object]]:
        """Post something; the status and what was answered."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with ClientSession() as session, session.post(url, data=io.BytesIO(body), headers=named) as answer:
            return answer.status, await answer.json() if answer.content_type == "application/json" else {}

    async def push(self, app: str, commit: str, *, delivery: str = "", path: str = "") -> tuple[int, dict[str, object]]:
        """Push a commit to an app's main, as GitHub tells it."""
        body = pushed(app, commit)
        return await self.post(path or f"/hooks/{app}/github", body, **signed(body, delivery=delivery))

    async def notices(self) -> list[Card]:
        """What was reported, each as it reads last."""
        return [item.card for item in await self.store.read(lambda tables: tables.outbox.due(4e9, 1_000))]

    async def made(self, number: object) -> str:
        """What was made of a delivery."""
        assert isinstance(number, int)
        found = await self.store.read(lambda tables: tables.deliveries.get(number))
        assert found
        return found.made


def pushed(app: str, commit: str) -> bytes:
    """The body of a push to an app's main."""
    url = f"https://github.com/acme/{app}"
    tree = {
        "ref": "refs/heads/main",
        "before": "0" * 40,
        "after": commit,
        "created": False,
        "deleted": False,
        "forced": False,
        "compare": f"{url}/compare",
        "commits": [],
        "head_commit": None,
        "pusher": {"name": "ana"},
        "sender": {"login": "ana", "id": 7},
        "repository": {"full_name": f"acme/{app}", "html_url": url},
    }
    return json.dumps(tree).encode()


def signed(body: bytes, *, secret: str = SECRET, delivery: str = "", kind: str = "push") -> dict[str, str]:
    """The headers that GitHub sends along."""
    return {
        "Content_Type": "application/json",
        "X_GitHub_Event": kind,
        "X_GitHub_Delivery": delivery or str(uuid.uuid4()),
        "X_Hub_Signature_256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }


def raw(path: str, body: bytes, **headers: str) -> bytes:
    """The same as bytes."""
    return request(path, body, {name.replace("_", "-"): value for name, value in headers.items()})


@asynccontextmanager
async def serving(
    folder: Path,
    *listeners: EventListener,
    made: Settings | None = None,
    rate: float = 1e6,
    gate: ConnectionGate | None = None,
    wrap: Callable[[Store], Store] = lambda store: store,
) -> AsyncIterator[WebhookBot]:
    """Serve on a port of its own, with a database in a folder."""
    made = made or settings()
    clock = FakeClock()
    async with Database(folder / "data" / "deploybot.db", Redactor((SECRET,)), durable=False) as database:
        store = wrap(database)
        board = NoticeBoard(clock, lambda _app: (CHANNEL,))
        inbox = Inbox(made, store, clock, listeners, retry=Backoff(0.001, 60.0), board=board)
        server = WebServer("127.0.0.1:0", dict, gate=gate)
        receiver = Receiver(store, clock, inbox, rate=rate, report=NoticeWriter(store, board))
        for address in addresses(made):
            receiver.open(server, address)
        await server.start()
        hearing = asyncio.create_task(inbox.run())
        try:
            yield WebhookBot(port=int(server.address.rpartition(":")[2]), store=store, inbox=inbox, clock=clock)
        finally:
            await server.close()
            hearing.cancel()
            with suppress(asyncio.CancelledError):
                await hearing
