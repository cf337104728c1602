"""Send payloads again: to a separate bot that posts and deploys nothing, or to the running one."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from deploybot.cli.command_base import database
from deploybot.domain import Event, Ping
from deploybot.errors import UserError
from deploybot.events.app_matching import Routes
from deploybot.http_server import WebServer
from deploybot.part_tables import SENDERS
from deploybot.ports import Fate, Store
from deploybot.settings import App, Hook, Http, Secret, Settings
from deploybot.store.database import Database
from deploybot.webhooks.hook_addresses import HookAddress, addresses
from deploybot.webhooks.hook_calls import HookAnswer, call
from deploybot.webhooks.inbox_worker import Inbox
from deploybot.webhooks.payload_files import Payload
from deploybot.webhooks.receiver import Receiver
from deploybot.webhooks.sender_port import MalformedError, Received
from deploybot.wiring.infrastructure import SystemClock

_HANDLED_WITHIN = 5.0
_LOOK_EVERY = 0.01
_LARGEST = 32 << 20
_NO_LIMIT = 1_000_000
_SERVER_ERROR = 500
_COLUMNS = ("status", "file", "sender", "event", "app", "result")


@dataclass(frozen=True, slots=True)
class Sent:
    """A payload that was sent. `status` is 0 if it could not be sent."""

    status: int
    name: str
    sender: str
    event: str
    app: str
    made: str

    @property
    def failed(self) -> bool:
        """Return whether the bot caused the failure."""
        return self.status >= _SERVER_ERROR


class DryListener:
    """`ports.EventListener` that does nothing."""

    async def handle_event(self, app: App, event: Event, delivery: str) -> str:
        """Return the app that would have received it."""
        del event, delivery
        return f"received for {app.name}"


async def replay_dry(settings: Settings | None, files: Sequence[Payload]) -> list[Sent]:
    """Send all to a separate bot with the apps of the settings, made-up secrets and a temporary database."""
    hooks = {name: Hook(secret=_made_up()) for name in SENDERS}
    apps = settings.apps if settings else {}
    own = Settings(apps=apps, http=Http(max_body=_LARGEST, rate=_NO_LIMIT)).model_copy(update={"hooks": hooks})
    with tempfile.TemporaryDirectory(prefix="deploybot-replay-") as folder:
        database_there = Database(Path(folder) / "data" / "deploybot.db", durable=False)
        async with database_there as store, _trial(own, store) as base:
            return await _send(own, base, store, files)


async def replay_live(settings: Settings, base: str, files: Sequence[Payload]) -> list[Sent]:
    """Send all to the running bot, signed with the secrets of bot.toml. It acts on them."""
    async with database(settings) as store:
        return await _send(settings, base, store, files)


def _made_up() -> Secret:
    secret = Secret(env="MADE_UP")
    secret.fill(secrets.token_hex(32))
    return secret


@asynccontextmanager
async def _trial(settings: Settings, store: Store) -> AsyncIterator[str]:
    """Run the receiver and the inbox of a bot, with a listener that does nothing. Yield its address."""
    inbox = Inbox(settings, store, SystemClock(), (DryListener(),))
    server = WebServer("127.0.0.1:0", dict, max_body=_LARGEST)
    receiver = Receiver(store, SystemClock(), inbox, rate=_NO_LIMIT)
    for address in addresses(settings):
        receiver.open(server, address)
    await server.start()
    working = asyncio.create_task(inbox.run())
    try:
        yield f"http://{server.address}"
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        await server.close()


async def _send(settings: Settings, base: str, store: Store, files: Sequence[Payload]) -> list[Sent]:
    async with aiohttp.ClientSession() as session:
        caller = _TrialCaller(settings, base, store, session)
        return [await caller.send(one) for one in files]


class _TrialCaller:
    """Sends payloads as their senders would, one after the other."""

    def __init__(self, settings: Settings, base: str, store: Store, session: aiohttp.ClientSession) -> None:
        self._routes = Routes(settings)
        self._addresses = [*addresses(settings)]
        self._base = base
        self._store = store
        self._session = session

    async def send(self, payload: Payload) -> Sent:
        """Send a payload, and wait until it is processed."""
        if payload.sender is None:
            return Sent(0, payload.name, "?", "", "", "not sent: unknown sender; name it with --sender")
        events, name = _events(payload), payload.sender.name
        summary = ", ".join(dict.fromkeys(describe(event) for event in events)) or payload.kind
        address = self._fitting(name, events)
        if address is None:
            return Sent(0, payload.name, name, summary, "", "not sent: bot.toml has no webhook address for it")
        signed = payload.signed(address.secret.reveal(), time.time())
        answer = await call(self._session, self._base, address, signed, payload.body)
        made = await made_of(self._store, answer.delivery) if answer.delivery else _refused(answer)
        routed = dict.fromkeys(app for event in events for app in self._routes.apps(event))
        return Sent(answer.status, payload.name, name, summary, address.app or " ".join(routed), made)

    def _fitting(self, name: str, events: Sequence[Event]) -> HookAddress | None:
        """Return the address for all apps, else that of the app that the events are about, else any."""
        there = [one for one in self._addresses if one.sender == name]
        fitting = [one for one in there if one.app and all(self._routes.concerns(one.app, event) for event in events)]
        return next((one for one in (*(one for one in there if not one.app), *fitting, *there)), None)


def _refused(answer: HookAnswer) -> str:
    return "duplicate, received before" if answer.result == "double" else answer.error or answer.result


def _events(payload: Payload) -> tuple[Event, ...]:
    """Return the events of a payload, for the table; none if it cannot be read, which the bot reports anyway."""
    if payload.sender is None:
        return ()
    signed = payload.signed(secrets.token_hex(32), time.time())
    headers = {name: (value,) for name, value in signed.headers.items()}
    try:
        return payload.sender.events(Received(headers=headers, body=payload.body, query={}))
    except MalformedError:
        return ()


def describe(event: Event) -> str:
    """Return an event in a few words: its kind and what it is about."""
    if isinstance(event, Ping):
        return "ping"
    parts = (getattr(event, name, "") for name in ("branch", "tag", "name", "title", "application", "environment"))
    about = next(filter(None, parts), "")
    state = getattr(event, "state", "") or getattr(event, "what", "")
    return " ".join(filter(None, (type(event).__name__.lower(), str(about)[:40], str(state))))


async def made_of(store: Store, number: int) -> str:
    """Return the result of a delivery once it was processed. Wait at most five seconds: another process may do that."""
    until = time.monotonic() + _HANDLED_WITHIN
    while time.monotonic() < until:
        found = await store.read(lambda tables: tables.deliveries.get(number))
        if found is None:
            raise UserError(f"Delivery {number} is not in the database.", hint="Did another bot answer?")
        if found.fate is not Fate.WAITING:
            return found.made
        # The bot that handles it is another process as a rule: there is nothing to wait for.
        await asyncio.sleep(_LOOK_EVERY)
    return "not processed yet"


def table(sent: Sequence[Sent]) -> Iterator[str]:
    """Yield the table, and the counts below it."""
    rows = [_COLUMNS, *((str(one.status or "-"), *map(_line, _cells(one))) for one in sent)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS) - 1)]
    for row in rows:
        yield "  ".join((*(text.ljust(width) for text, width in zip(row[:-1], widths, strict=True)), row[-1])).rstrip()
    by_status = Counter(one.status for one in sent)
    counts = [f"{count} answered {status}" for status, count in sorted(by_status.items()) if status]
    if unsent := by_status[0]:
        counts.append(f"{unsent} not sent")
    errors = sum(one.failed for one in sent)
    yield f"\n{len(sent)} payloads: {', '.join(counts)}; {errors} errors 5xx."


def _cells(one: Sent) -> tuple[str, ...]:
    return one.name, one.sender, one.event, one.app or "-", one.made


def _line(text: str) -> str:
    """Return a text from outside on one line, without the characters that control a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
