"""The bot: start and stop its parts in order. `deploybot.wiring` makes them; nothing else builds an adapter."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

from deploybot import __version__
from deploybot.access import Access, PersonLocks, TargetFreezes, new_code
from deploybot.access.bot_person import make_itself
from deploybot.access.grant_expiry import GrantEnds
from deploybot.access.lock_reminders import LockReminders
from deploybot.applogs.deployment_logs import DeploymentLogs
from deploybot.applogs.log_reader import AppLogs
from deploybot.bot_log import formatter
from deploybot.card import Card
from deploybot.chat.audit_head_posts import AuditHeadPosts
from deploybot.chat.card_channels import event_channels, home_channels, keys_of_channels
from deploybot.chat.chat_dependencies import Parts
from deploybot.chat.console.console_chat import Console
from deploybot.chat.console.starting_client import Starter
from deploybot.chat.outbox_worker import OutboxWorker
from deploybot.chat.unwritable_channels import MissingChannels
from deploybot.command import Services
from deploybot.command_loader import load
from deploybot.deployments.deployment_card import number_of
from deploybot.dispatch import Dispatcher
from deploybot.domain import Role, SinkSight
from deploybot.events.forge_accounts import ForgeAccounts
from deploybot.masking import Redactor
from deploybot.memory_tuning import freeze_loaded, keep_large_apart
from deploybot.ports import EventListener, LiveChat, Tables
from deploybot.settings import BotSettings, Settings
from deploybot.status.status_board import StatusBoard
from deploybot.store.one_time_code_rows import CodeFiles
from deploybot.store.single_bot import make_room, single_bot
from deploybot.units import show_duration
from deploybot.wiring.adapters import (
    artifact_uploads,
    audit_export,
    chats,
    monitor,
    notice_board,
    notifier,
    reports,
    unfit_tags,
    web_server,
    webhooks,
)
from deploybot.wiring.autodeploy_wiring import autodeploy
from deploybot.wiring.deployment_wiring import deployments
from deploybot.wiring.infrastructure import Adapters, adapters

log = logging.getLogger(__name__)

CLAIM_LIFE = 900.0
STOP_WITHIN = 8.0
_STOPPED = "it stopped because of a bug in the bot: see the log, and restart the bot"
_NOISY = ("asyncssh", "docker", "urllib3", "asyncio", "httpx", "httpcore", "telegram")


class Bot:
    """The bot, built from settings and adapters. `serve` runs it until `stop` is called."""

    def __init__(self, settings: Settings, world: Adapters, *, on_quiet: Callable[[], None] = lambda: None) -> None:
        """Build the bot without starting, opening or connecting anything. Raise ConfigError for a bad plug-in.

        `on_quiet` is called when a deployment, a console client or a command has ended.
        """
        self._settings = settings
        self._world = world
        self._on_quiet = on_quiet
        codes = CodeFiles(settings.bot.data / "codes")
        self._access = Access(settings, world.store, world.clock, codes, event_channels(settings))
        self.notifier = notifier(settings, world)
        self.deployments = deployments(settings, world, codes, self.notifier, on_end=self._ended)
        services = self._services(settings, world)
        self.dispatcher = Dispatcher(
            services=services, access=self._access, store=world.store, clock=world.clock, redactor=world.redactor
        )
        board = notice_board(settings, world)
        self.autodeploy = autodeploy(settings, world, self._access, self.dispatcher, self.deployments.queue)
        parts = Parts(
            handle=self.dispatcher.handle,
            complete=self.dispatcher.complete,
            recall=self._recall,
            clock=world.clock,
            bot=__version__,
            commands=services.commands,
        )
        self.console = Console(settings.bot.data / "console.sock", parts, on_quiet=on_quiet)
        self._web = web_server(settings, self._problems)
        artifact_uploads(settings, world, self._web)
        self._inbox = webhooks(settings, world, self._web, self._listeners(), board)
        missing = MissingChannels(board, keys_of_channels(settings))
        self._chats: tuple[LiveChat, ...] = (self.console, *chats(settings, parts, world, self._web, missing))
        by_platform = {chat.platform: chat for chat in self._chats}
        self._outbox = OutboxWorker(world.store, by_platform, world.clock, missing=missing)
        self._reports = reports(settings, world)
        self._audit = audit_export(settings, world, board)
        world.database.connect_workers(self._wake)
        self._work: Sequence[asyncio.Task[None]] = ()
        self._stop = asyncio.Event()

    def _services(self, settings: Settings, world: Adapters) -> Services:
        """Return what commands may use. Raise ConfigError for a bad plug-in."""
        return Services(
            settings=settings,
            deployments=self.deployments,
            releases=self.deployments.releases,
            status=StatusBoard(world.servers, world.store, world.clock, settings.bot.timezone),
            logs=AppLogs(
                settings,
                world.servers,
                world.clock,
                world.redactor,
                DeploymentLogs(self.deployments),
                may_read=self._access.may_read,
            ),
            locks=PersonLocks(settings, world.store, world.clock, self._access.announcer, self._unlocked),
            freezes=TargetFreezes(
                settings,
                world.store,
                world.clock,
                self._access.announcer,
                changed=self._freeze_changed,
                show_wait=self.deployments.queue.show_wait,
            ),
            people=self._access,
            commands=load(settings.bot.plugins),
        )

    def stop(self) -> None:
        """Make `serve` stop."""
        self._stop.set()

    async def serve(
        self, ready: Callable[[], None] = lambda: None, beside: Callable[[], Coroutine[None, None, None]] | None = None
    ) -> None:
        """Start everything, resume deployments, call `ready`, and run until `stop`. Then shut down within ten seconds.

        `beside` runs in the background after `ready`.
        """
        for hint in self._settings.hints:
            log.warning("bot.toml has an old form, which still works: %s", hint)
        accounts = ForgeAccounts(self._settings)
        if accounts.unclear:
            log.warning("%s. An account without a host may not count. %s", accounts.warning, accounts.fix)
        await self._world.database.open()
        work: list[asyncio.Task[None]] = []
        self._work = work
        try:
            await self._offer_claim()
            await make_itself(self._world.store, self._settings)
            for chat in self._chats:
                await chat.start()
            # Started after the chats, so it does not find them missing.
            for name, part in self._parts():
                work.append(asyncio.create_task(part, name=name))
                work[-1].add_done_callback(_log_failure)
            if self._web is not None:
                await self._web.start()
            resumed = await self.deployments.queue.resume()
            if resumed:
                log.info("resuming %s", ", ".join(f"#{one.number}" for one in resumed))
            if self.autodeploy is not None:
                work.append(self.autodeploy.start())
                work[-1].add_done_callback(_log_failure)
            ready()
            if beside is not None:
                work.append(asyncio.create_task(beside(), name="temporary-life"))
                work[-1].add_done_callback(_log_failure)
            await self._stop.wait()
        finally:
            log.info("stopping; deployments continue on the servers")
            await self._close(work)

    def _parts(self) -> Iterator[tuple[str, Coroutine[None, None, None]]]:
        """Yield the background work of the bot, each with its name."""
        world, settings = self._world, self._settings
        yield "outbox", self._outbox.run()
        yield (
            "audit-heads",
            AuditHeadPosts(world.store, world.clock, settings.bot.timezone, home_channels(settings)).run(),
        )
        yield "grant-ends", GrantEnds(world.store, world.clock, self._access.announcer).run()
        if settings.bot.lock_reminder:
            yield "lock-reminders", LockReminders(settings, world.store, world.clock, self._access.announcer).run()
        if self._reports is not None:
            yield "reports", self._reports.run()
        if self._audit is not None:
            yield "audit-export", self._audit.run()
        if self._inbox is not None:
            yield "webhooks", self._inbox.run()
        if self.notifier is not None:
            yield "quiet-hours", self.notifier.run()
        if self._web is not None and (lag := monitor(settings, world, self._web, self._problems, self._sinks)):
            yield "loop-lag", lag

    async def _close(self, work: Sequence[asyncio.Task[None]]) -> None:
        """Stop new work, detach from running work, deliver what is possible, and close the database last."""
        try:
            async with asyncio.timeout(STOP_WITHIN):
                if self.autodeploy is not None:
                    await self.autodeploy.close()
                await self.deployments.queue.close()
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

    def _listeners(self) -> Iterator[EventListener]:
        """Yield the listeners for events in order: first notifications, then automatic deployments."""
        if self.notifier is not None:
            yield self.notifier
        if self.autodeploy is not None:
            yield self.autodeploy.automatic
        yield from unfit_tags(self._settings, self._world)

    def _wake(self) -> None:
        """Wake the workers that send, after something was queued."""
        self._outbox.wake()
        if self._reports is not None:
            self._reports.wake()
        if self._audit is not None:
            self._audit.wake()

    def _ended(self, app: str) -> None:
        """Check what waits for the end of a deployment."""
        self._unlocked(app)
        self._on_quiet()

    def _unlocked(self, app: str) -> None:
        """Check which automatic deployments wait for an environment of this app."""
        if self.autodeploy is not None:
            self.autodeploy.watch.wake(app)

    def _freeze_changed(self, app: str) -> None:
        """Let what waits for a freeze look again."""
        self.deployments.queue.look_again()
        self._unlocked(app)

    def _problems(self) -> dict[str, str]:
        """Return the problem of each part by name: the database, the chats, and background work that has stopped."""
        own = {"database": self._world.store.problem, **{chat.platform: chat.problem for chat in self._chats}}
        return own | {task.get_name(): _STOPPED if _broke(task) else "" for task in self._work}

    def _sinks(self) -> Mapping[str, SinkSight]:
        """Return the last known state of the audit's sinks."""
        return self._audit.sights if self._audit is not None else {}

    async def _recall(self, key: str) -> Card | None:
        """Return the current card of a key, from the database; None if there is none."""
        number = number_of(key)
        return None if number is None else await self.deployments.card(number)

    async def _offer_claim(self) -> None:
        """Print a one-time code that makes the first administrator, while there is none."""
        code = new_code()
        until = self._world.clock.now() + CLAIM_LIFE

        def offer(tables: Tables) -> bool:
            if any(grant.role is Role.ADMIN and not grant.until for grant in tables.people.grants()):
                return False
            tables.claims.issue(code, until)
            return True

        if await self._world.store.write(offer):
            print(  # noqa: T201  the one thing that a start prints for a person
                f"There is no administrator yet. Type this in a chat within {show_duration(CLAIM_LIFE)}: claim {code}\n"
                "Or here: deploybot allow NAME admin",
                file=sys.stderr,
                flush=True,
            )


def _broke(task: asyncio.Task[None]) -> bool:
    """Return whether background work has ended with an exception."""
    return task.done() and not task.cancelled() and task.exception() is not None


def _log_failure(task: asyncio.Task[None]) -> None:
    """Log the exception that ended background work."""
    if _broke(task):
        log.error("%s broke", task.get_name(), exc_info=task.exception())


async def run(settings: Settings, adapt: Callable[[Settings], Adapters] = adapters, *, temporary: bool = False) -> None:
    """Run the bot until SIGTERM, SIGINT, or the end of the client that started it; a `temporary` one longer.

    A temporary bot stops when all clients have left and its deployments have ended. It makes room for another bot.
    Raises UserError if another bot uses the data folder, ConfigError for a bad plug-in, and StoreError if the database
    can't be used.
    """
    keep_large_apart()
    starter = Starter()
    replaced = 0 if temporary else await asyncio.to_thread(make_room, settings.bot.data)
    with single_bot(settings.bot.data, temporary=temporary):
        world = adapt(settings)
        if temporary:
            await _run_temporary(settings, world, starter)
            return
        _log_to(logging.StreamHandler(), settings.bot, world.redactor)
        if replaced:
            log.info("took over from the temporary bot, process %d", replaced)
        bot = Bot(settings, world)
        with _stopped_by_signal(bot.stop), starter.watched(bot.stop):
            await bot.serve(lambda: _report_ready(starter, done=True))


async def _run_temporary(settings: Settings, world: Adapters, starter: Starter) -> None:
    """Run a temporary bot. It logs to a file, because it outlives its client."""
    from deploybot.wiring.temporary_bot import LOG, PrivateLog, TemporaryLife  # noqa: PLC0415  rarely needed

    file = PrivateLog(settings.bot.data / LOG)
    _log_to(file, settings.bot, world.redactor)
    changed = asyncio.Event()
    bot = Bot(settings, world, on_quiet=changed.set)
    life = TemporaryLife(bot.deployments.queue, bot.console, changed)

    def ready() -> None:
        _report_ready(starter, done=False)
        file.take(sys.stdout, sys.stderr)

    async def live() -> None:
        try:
            await life.run(starter.part)
        finally:
            bot.stop()

    if not starter.is_there:
        life.release()
    with _stopped_by_signal(bot.stop), starter.watched(life.release):
        await bot.serve(ready, live)


@contextlib.contextmanager
def _stopped_by_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    yield


def _report_ready(starter: Starter, *, done: bool) -> None:
    """Signal to the client that started the bot that it listens. A service manager reads the log instead."""
    starter.ready()
    if done:
        starter.end()
    log.info("ready")
    freeze_loaded()


def _log_to(handler: logging.Handler, settings: BotSettings, redactor: Redactor) -> None:
    """Log everything from the level of bot.toml on, in its format. Libraries log only from warnings on."""
    handler.setFormatter(formatter(settings.log_format, redactor.text))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
