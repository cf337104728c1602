"""The composition root: the only place that builds adapters, puts them together, and starts and stops them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deploybot import __version__
from deploybot.access import Access, PersonLocks
from deploybot.access.itself import make_itself
from deploybot.card import Card
from deploybot.chat.child import LIFE_FD, READY_FD
from deploybot.chat.console import Console
from deploybot.chat.desk import Desk
from deploybot.chat.heads import Heads
from deploybot.chat.outbox import OutboxWorker
from deploybot.chat.parts import Parts
from deploybot.chat.places import CONSOLE, channels_of, home_places, places_of
from deploybot.command import Services
from deploybot.config import secrets_of
from deploybot.deploy.approvals import Approvals
from deploybot.deploy.automatic import is_used
from deploybot.deploy.bonds import Bonds
from deploybot.deploy.cards import number_of
from deploybot.deploy.gate import HealthGate
from deploybot.deploy.journal import Journal
from deploybot.deploy.plan import Planner
from deploybot.deploy.releases import Releases
from deploybot.deploy.runner import Runner, Teller
from deploybot.deploy.service import Deployments
from deploybot.deploy.steps import StepRunner
from deploybot.dispatch import Dispatcher
from deploybot.domain import AUTO, Action, Release, Role, Wish
from deploybot.events.reports import Reporter, targets_of
from deploybot.heap import give_back, keep_one_heap
from deploybot.hosts.servers import SshServers
from deploybot.hosts.ssh import Pool
from deploybot.loader import load
from deploybot.logs import formatter
from deploybot.observe.logs import AppLogs
from deploybot.observe.status import Board
from deploybot.ports import (
    Clock,
    CodeSecrets,
    Engine,
    EventListener,
    Finding,
    Images,
    LiveChat,
    RefSource,
    Servers,
    Store,
    Tables,
)
from deploybot.redact import Redactor
from deploybot.settings import BotSettings, Server, Settings
from deploybot.sources.git import GitSource
from deploybot.store.codes import CodeFiles
from deploybot.store.database import Database
from deploybot.store.lock import single_bot
from deploybot.strategies import STRATEGIES
from deploybot.units import show_duration

if TYPE_CHECKING:
    from deploybot.events.auto import Automatic
    from deploybot.events.pursuit import Refusal
    from deploybot.events.telling import Telling
    from deploybot.events.watch import Watch
    from deploybot.reports.worker import ReportWorker
    from deploybot.web import WebServer
    from deploybot.webhooks.inbox import Inbox

log = logging.getLogger(__name__)

CLAIM_LIFE = 900.0
STOP_WITHIN = 8.0
_STOPPED = "it has stopped, which is a mistake of the bot's own: its log tells more, and a restart mends it for now"
_NOISY = ("asyncssh", "docker", "urllib3", "asyncio", "httpx", "httpcore", "telegram")


class SystemClock:
    """ports.Clock over the system's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """What stands between the core and the world. `servers` and `store` may be wrapped, for tests that break them."""

    database: Database
    pool: SshServers
    store: Store
    servers: Servers
    refs: RefSource
    redactor: Redactor
    clock: Clock
    images: Images | None = None


def adapters(settings: Settings, *, beside: bool = False) -> Adapters:
    """The real ones; `beside` a bot that may run with the same settings, whose forwarded sockets are left alone."""
    redactor = Redactor(secrets_of(settings))
    database = Database(settings.bot.data / "deploybot.db")
    pool = _servers(settings, None if beside else settings.bot.data / "sockets")
    return Adapters(
        database=database,
        pool=pool,
        store=database,
        servers=pool,
        refs=GitSource(settings.bot.data, redactor),
        redactor=redactor,
        clock=SystemClock(),
        images=_images(settings, SystemClock()),
    )


def _servers(settings: Settings, sockets: Path | None) -> SshServers:
    """All servers over one pool; docker-py is imported only where bot.toml gives an engine: it takes 20 MB."""
    pool = Pool(settings.servers, sockets=sockets)

    def engine(server: Server) -> Engine | None:
        if server.docker is None:
            return None
        from deploybot.hosts import docker  # noqa: PLC0415  see above

        return docker.engine(server, pool, servers.host(server.name))

    servers = SshServers(settings.servers, pool, engine)
    return servers


def _images(settings: Settings, clock: Clock) -> Images | None:
    """The registries, where an app has images; aiohttp is imported only then."""
    if not any(app.images for app in settings.apps.values()):
        return None
    from deploybot.sources.registry import Registries  # noqa: PLC0415  see above

    return Registries(settings.registries.items(), clock)


class Bot:
    """The bot, put together from settings and adapters; `serve` runs it until it is told to stop."""

    def __init__(self, settings: Settings, world: Adapters) -> None:
        """Put it together; nothing is started, opened or connected. Raises ConfigError for a bad plug-in."""
        self._settings = settings
        self._world = world
        codes = CodeFiles(settings.bot.data / "codes")
        self._access = Access(settings, world.store, world.clock, codes)
        self.deployments = _deployments(settings, world, codes)
        services = Services(
            settings=settings,
            deployments=self.deployments,
            releases=Releases(world.store, world.refs, world.images),
            status=Board(world.servers, world.store, world.clock),
            logs=AppLogs(settings, world.servers, world.clock, world.redactor),
            locks=PersonLocks(world.store, world.clock, self._unlocked),
            people=self._access,
            commands=load(settings.bot.plugins),
        )
        self.dispatcher = Dispatcher(
            services=services, access=self._access, store=world.store, clock=world.clock, redactor=world.redactor
        )
        self.by_itself = _by_itself(settings, world, self._access, self.dispatcher)
        if self.by_itself is not None:
            self.deployments.on_end = self.by_itself.watch.ring
        parts = Parts(
            handle=self.dispatcher.handle,
            complete=self.dispatcher.complete,
            recall=self._recall,
            clock=world.clock,
            bot=__version__,
            commands=services.commands,
        )
        console = Console(settings.bot.data / "console.sock", parts)
        self._web = _web(settings, self._problems)
        self.telling = _telling(settings, world)
        self._inbox = _webhooks(settings, world, self._web, self._listeners())
        self._chats: tuple[LiveChat, ...] = (console, *_chats(settings, parts, world, self._web))
        self._outbox = OutboxWorker(world.store, {chat.platform: chat for chat in self._chats}, world.clock)
        self._reports = _reports(settings, world)
        world.database.on_outbox = self._wake
        self._work: Sequence[asyncio.Task[None]] = ()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Ask `serve` to end."""
        self._stop.set()

    async def serve(self, ready: Callable[[], None] = lambda: None) -> None:
        """Start everything, take up what ran, call `ready`, and go on until `stop`; then leave within ten seconds."""
        await self._world.database.open()
        heads = Heads(self._world.store, self._world.clock, self._settings.bot.timezone, home_places(self._settings))
        work = [
            asyncio.create_task(self._outbox.run(), name="outbox"),
            asyncio.create_task(heads.run(), name="audit-heads"),
            *_others_work(self._reports, self._settings, self._world, self._web, self._problems),
        ]
        if self._inbox is not None:
            work.append(asyncio.create_task(self._inbox.run(), name="webhooks"))
        if self.telling is not None:
            work.append(asyncio.create_task(self.telling.run(), name="quiet-hours"))
        self._work = work
        try:
            for task in work:
                task.add_done_callback(_tell_break)
            await self._offer_claim()
            await make_itself(self._world.store, self._settings)
            for chat in self._chats:
                await chat.start()
            if self._web is not None:
                await self._web.start()
            resumed = await self.deployments.resume()
            if resumed:
                log.info("taking up %s", ", ".join(f"#{one.number}" for one in resumed))
            if self.by_itself is not None:
                work.append(self.by_itself.start())
            give_back()
            ready()
            await self._stop.wait()
        finally:
            log.info("stopping; what runs on servers goes on there")
            await self._close(work)

    async def _close(self, work: Sequence[asyncio.Task[None]]) -> None:
        """Take no new work, let go of what runs, deliver what can be delivered, and close the database last."""
        try:
            async with asyncio.timeout(STOP_WITHIN):
                if self.by_itself is not None:
                    await self.by_itself.close()
                await self.deployments.close()
                for task in work:
                    task.cancel()
                await asyncio.gather(*work, return_exceptions=True)
                if self._web is not None:
                    await self._web.close()
                await asyncio.gather(*(chat.close() for chat in self._chats))
                await self._world.pool.close()
        except TimeoutError:
            log.warning("not everything could be closed within %s", show_duration(STOP_WITHIN))
        await self._world.database.aclose()

    def _listeners(self) -> tuple[EventListener, ...]:
        """Who hears of events, in this order."""
        automatic = () if self.by_itself is None else (self.by_itself.automatic,)
        return automatic if self.telling is None else (self.telling, *automatic)

    def _unlocked(self, app: str) -> None:
        """An environment is free again: what waits for that by itself is looked at."""
        if self.by_itself is not None:
            self.by_itself.watch.ring(app)

    def _wake(self) -> None:
        """Something was put that is to be sent."""
        self._outbox.wake()
        if self._reports is not None:
            self._reports.wake()

    def _problems(self) -> dict[str, str]:
        """What is ill, by name: the database, the chats, and whatever works in the background and has stopped."""
        own = {"database": self._world.store.problem, **{chat.platform: chat.problem for chat in self._chats}}
        return own | {task.get_name(): _STOPPED if _broke(task) else "" for task in self._work}

    async def _recall(self, key: str) -> Card | None:
        """The card of a key as the database tells it now."""
        number = number_of(key)
        return None if number is None else await self.deployments.card(number)

    async def _offer_claim(self) -> None:
        """While there is no administrator, print a one-time code that makes one."""
        code = secrets.token_hex(4)
        until = self._world.clock.now() + CLAIM_LIFE

        def offer(tables: Tables) -> bool:
            if any(grant.role is Role.ADMIN for grant in tables.people.grants()):
                return False
            tables.claims.issue(code, until)
            return True

        if await self._world.store.write(offer):
            print(  # noqa: T201  the one thing that a start says to a person
                f"There is no administrator yet. Type this in a chat within {show_duration(CLAIM_LIFE)}: claim {code}\n"
                "Or here: deploybot allow NAME admin",
                file=sys.stderr,
                flush=True,
            )


def _broke(task: asyncio.Task[None]) -> bool:
    """Whether something that works in the background has ended by a mistake."""
    return task.done() and not task.cancelled() and task.exception() is not None


def _tell_break(task: asyncio.Task[None]) -> None:
    """Log the mistake by which it has ended."""
    if _broke(task):
        log.error("%s broke", task.get_name(), exc_info=task.exception())


def _deployments(settings: Settings, world: Adapters, codes: CodeSecrets) -> Deployments:
    """The deployment engine with all its parts."""
    journal = Journal(settings.bot.data / "logs", world.redactor, limit=settings.bot.keep_logs)
    places = partial(places_of, settings=settings)
    report = Reporter(targets_of(settings), world.clock, world.redactor)
    tell = Teller(clock=world.clock, redactor=world.redactor, journal=journal, places=places, report=report)
    steps = StepRunner(
        store=world.store, servers=world.servers, refs=world.refs, journal=journal, clock=world.clock, tell=tell
    )
    runner = Runner(
        settings=settings,
        store=world.store,
        servers=world.servers,
        steps=steps,
        gate=HealthGate(world.servers, world.clock),
        journal=journal,
        clock=world.clock,
        tell=tell,
    )
    planner = Planner(
        store=world.store, servers=world.servers, refs=world.refs, strategies=STRATEGIES, images=world.images
    )
    bonds = Bonds(settings, planner, world.clock)
    approvals = Approvals(settings=settings, store=world.store, clock=world.clock, bonds=bonds, codes=codes, tell=tell)
    return Deployments(
        settings=settings,
        store=world.store,
        clock=world.clock,
        planner=planner,
        runner=runner,
        journal=journal,
        tell=tell,
        approvals=approvals,
        bonds=bonds,
    )


@dataclass(slots=True)
class ByItself:
    """Deployments by themselves: `automatic` hears events, `watch` looks."""

    automatic: Automatic
    watch: Watch
    _task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Look at everything now, and go on watching, in this task."""
        self._task = asyncio.create_task(self.watch.run(self.automatic.look), name="watch")
        return self._task

    async def close(self) -> None:
        """Ask for nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def _by_itself(settings: Settings, world: Adapters, access: Access, dispatcher: Dispatcher) -> ByItself | None:
    """What bot.toml's `auto` needs, where there is any; it is imported only then."""
    if not is_used(settings):
        return None
    from deploybot.events.auto import Automatic  # noqa: PLC0415  see above
    from deploybot.events.pursuit import Pursuit, Refusal  # noqa: PLC0415  see above
    from deploybot.events.watch import Watch  # noqa: PLC0415  see above
    from deploybot.events.wishes import WishBook  # noqa: PLC0415  see above

    async def refusal(wish: Wish) -> Refusal:
        # The images of a release are known only once it is pinned: then `after` is asked by the command itself.
        release = None if settings.apps[wish.app].images else Release(wish.commit)
        answer = await access.ask(
            AUTO,
            action=Action.DEPLOY,
            command="deploy",
            app=wish.app,
            environment=wish.environment,
            release=release,
        )
        if answer.decision.allowed:
            return Refusal()
        lock, why = answer.lock, " ".join(answer.decision.reasons)
        if lock is None or not answer.decision.held:
            return Refusal(why)
        # Without how long it has held: the card would change with every look.
        return Refusal(f"{why} “{lock.reason}” `unlock {wish.app} {wish.environment}` releases it.", lock.until)

    homes = home_places(settings) or (CONSOLE,)
    book = WishBook(world.clock, world.redactor, lambda app: app.channel or homes)
    apps = [app for app in settings.apps.values() if any(one.auto for one in app.environments.values())]
    watch = Watch(apps, store=world.store, clock=world.clock, book=book)
    pursuit = Pursuit(store=world.store, clock=world.clock, book=book, handle=dispatcher.handle, refusal=refusal)
    automatic = Automatic(
        store=world.store,
        clock=world.clock,
        refs=world.refs,
        images=world.images,
        pursuit=pursuit,
        book=book,
        ring=watch.ring,
    )
    return ByItself(automatic, watch)


def _web(settings: Settings, problems: Callable[[], dict[str, str]]) -> WebServer | None:
    """The HTTP server where bot.toml asks for one; aiohttp is imported only then."""
    if settings.http is None:
        return None
    from deploybot.web import WebServer  # noqa: PLC0415  see above

    return WebServer(settings.http.listen, problems, max_body=settings.http.max_body)


def _webhooks(
    settings: Settings, world: Adapters, server: WebServer | None, listeners: Sequence[EventListener]
) -> Inbox | None:
    """What takes webhooks and lets `listeners` hear of them, where bot.toml has any; imported only then."""
    if server is None or settings.http is None or not (settings.hooks or any(a.hooks for a in settings.apps.values())):
        return None
    from deploybot.webhooks.addresses import addresses  # noqa: PLC0415  see above
    from deploybot.webhooks.inbox import Inbox  # noqa: PLC0415  see above
    from deploybot.webhooks.receiver import Receiver  # noqa: PLC0415  see above

    inbox = Inbox(settings, world.store, world.clock, listeners)
    receiver = Receiver(world.store, world.clock, inbox, rate=settings.http.rate)
    for address in addresses(settings):
        receiver.open(server, address)
    return inbox


def _telling(settings: Settings, world: Adapters) -> Telling | None:
    """What tells channels of events, where bot.toml lets anything call; imported only then.

    Where bot.toml names no channel at all, the console is told.
    """
    if not (settings.hooks or any(app.hooks for app in settings.apps.values())):
        return None
    from deploybot.events.telling import Telling  # noqa: PLC0415  see above

    homes = home_places(settings) or (CONSOLE,)
    return Telling(settings, world.store, world.clock, world.redactor, homes)


def _chats(settings: Settings, parts: Parts, world: Adapters, server: WebServer | None) -> Iterator[LiveChat]:
    """The chats that bot.toml configures; their libraries are imported only then: each takes 20 MB and more."""
    if settings.slack is not None:
        from deploybot.chat.slack.adapter import Slack  # noqa: PLC0415  see above

        yield Slack(settings.slack, parts, Desk(world.store, world.clock, "slack"), server)
    if settings.telegram is not None:
        from deploybot.chat.telegram.chat import TelegramChat  # noqa: PLC0415  see above

        url = (settings.http.url if settings.http else None) or ""
        homes = channels_of(settings, TelegramChat.platform)
        yield TelegramChat(settings.telegram, parts, world.store, server=server, url=url, homes=homes)


def chat_checks(settings: Settings) -> dict[str, AsyncIterator[Finding]]:
    """What `deploybot check` tries of the chats, by name."""
    checks: dict[str, AsyncIterator[Finding]] = {}
    if settings.slack is not None:
        from deploybot.chat.slack.probe import probe  # noqa: PLC0415  see `_chats`

        checks["Slack"] = probe(settings)
    if settings.telegram is not None:
        from deploybot.chat.telegram.probe import probe as probe_telegram  # noqa: PLC0415  see `_chats`

        checks["Telegram"] = probe_telegram(settings)
    return checks


def _reports(settings: Settings, world: Adapters) -> ReportWorker | None:
    """What tells others of deployments, where bot.toml has any; aiohttp is imported only then."""
    if not targets_of(settings):
        return None
    from deploybot.reports.http import Caller  # noqa: PLC0415  see above
    from deploybot.reports.targets import targets  # noqa: PLC0415  see above
    from deploybot.reports.worker import ReportWorker  # noqa: PLC0415  see above

    caller = Caller()
    told = targets(settings, caller, world.store)
    return ReportWorker(world.store, told, world.clock, world.redactor, close=caller.close)


def _others_work(
    reports: ReportWorker | None,
    settings: Settings,
    world: Adapters,
    server: WebServer | None,
    problems: Callable[[], dict[str, str]],
) -> Iterator[asyncio.Task[None]]:
    """Tell others, and answer what asks how the bot is; before the server is started."""
    if reports is not None:
        yield asyncio.create_task(reports.run(), name="reports")
    if server is None or settings.http is None:
        return
    from deploybot.monitoring.health import HealthLook  # noqa: PLC0415  see `_web`
    from deploybot.monitoring.measures import watch_lag  # noqa: PLC0415  see `_web`
    from deploybot.monitoring.routes import Monitor  # noqa: PLC0415  see `_web`

    look = HealthLook(settings.bot.data, problems, tuple(settings.servers), world.pool.sights)
    token = settings.http.token.reveal() if settings.http.token else ""
    monitor = Monitor(look, world.store, world.redactor.text, token)
    server.health = monitor.health
    server.add_get("/metrics", monitor.metrics)
    if token:
        yield asyncio.create_task(watch_lag(), name="loop-lag")


def other_checks(settings: Settings, world: Adapters) -> dict[str, AsyncIterator[Finding]]:
    """What `deploybot check` tries of those who are told of deployments, by name."""
    if not targets_of(settings):
        return {}
    from deploybot.reports.targets import tries  # noqa: PLC0415  see `_reports`

    return tries(settings, world.store)


async def run(settings: Settings, adapt: Callable[[Settings], Adapters] = adapters) -> None:
    """Run the bot until SIGTERM, SIGINT, or the end of the client that started it.

    Raises UserError when another bot has the data folder, ConfigError for a bad plug-in, StoreError for a
    database that cannot be used.
    """
    keep_one_heap()
    with single_bot(settings.bot.data):
        world = adapt(settings)
        _log_to_stderr(settings.bot, world.redactor)
        bot = Bot(settings, world)
        with _told_to_stop(bot.stop):
            await bot.serve(_say_ready)


@contextlib.contextmanager
def _told_to_stop(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on SIGTERM and SIGINT, and when the client whose bot this is goes away."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    life = os.environ.pop(LIFE_FD, "")
    if life:
        loop.add_reader(int(life), stop)
    try:
        yield
    finally:
        if life:
            loop.remove_reader(int(life))


def _say_ready() -> None:
    """Tell whoever started this that it listens; a service manager reads the log instead."""
    ready = os.environ.pop(READY_FD, "")
    if ready:
        with os.fdopen(int(ready), "wb", buffering=0) as pipe:
            pipe.write(b"ready\n")
    log.info("ready")


def _log_to_stderr(settings: BotSettings, redactor: Redactor) -> None:
    """Log everything from bot.toml's level on, in its format; libraries only from warnings on."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(settings.log_format, redactor.text))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
