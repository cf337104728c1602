"""Make what connects the bot to people and programs: chats, the HTTP server, webhooks, forges, signed calls.

Each is imported only if bot.toml configures it: the libraries of one chat take 20 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from deploybot.chat.card_channels import channel_ids, event_channels
from deploybot.chat.chat_dependencies import Parts
from deploybot.chat.chat_port import ChatTools, chat_parts
from deploybot.chat.console.console_session import CHANNEL
from deploybot.chat.unwritable_channels import MissingChannels
from deploybot.domain import Channel, SinkSight
from deploybot.ports import EventListener, LiveChat
from deploybot.reporting.report_targets import connected, receivers_of
from deploybot.reporting.reporter_port import ReportTools
from deploybot.settings import Settings
from deploybot.setup_notices import NoticeBoard, NoticeWriter
from deploybot.wiring.infrastructure import Adapters, Infrastructure

if TYPE_CHECKING:
    from deploybot.http_server import WebServer
    from deploybot.notifications.notifier import Notifier
    from deploybot.reporting.audit_sinks.audit_worker import AuditExporter
    from deploybot.reporting.report_worker import ReportWorker
    from deploybot.webhooks.inbox_worker import Inbox


def chats(
    settings: Settings, parts: Parts, world: Adapters, server: WebServer | None, missing: MissingChannels
) -> Iterator[LiveChat]:
    """Yield the chats that bot.toml configures. Their libraries are imported only then: each takes 20 MB and more."""
    for name, chat in chat_parts(settings):
        tools = ChatTools(
            parts=parts,
            store=world.store,
            homes=channel_ids(settings, name),
            closed=missing.on_closed(world.store, name),
            server=server,
        )
        yield chat.connect(settings, tools)


def web_server(settings: Settings, problems: Callable[[], dict[str, str]]) -> WebServer | None:
    """Return the HTTP server if bot.toml configures one. aiohttp is imported only then."""
    if settings.http is None:
        return None
    from deploybot.http_server import WebServer  # noqa: PLC0415  see above

    return WebServer(settings.http.listen, problems, max_body=settings.http.max_body)


def notifier(settings: Settings, world: Adapters) -> Notifier | None:
    """Return the notifier, which posts events to channels, if bot.toml has webhooks. It is imported only then."""
    if not _has_hooks(settings):
        return None
    from deploybot.notifications.notifier import Notifier  # noqa: PLC0415  see above

    return Notifier(settings, world.store, world.clock, world.redactor, event_channels(settings))


def _has_hooks(settings: Settings) -> bool:
    return bool(settings.hooks or any(app.hooks for app in settings.apps.values()))


def webhooks(
    settings: Settings,
    world: Adapters,
    server: WebServer | None,
    listeners: Iterable[EventListener],
    board: NoticeBoard,
) -> Inbox | None:
    """Return the inbox, which passes webhooks to `listeners`, if bot.toml has any. It is imported only then."""
    if server is None or settings.http is None or not _has_hooks(settings):
        return None
    from deploybot.webhooks.hook_addresses import addresses  # noqa: PLC0415  see above
    from deploybot.webhooks.inbox_worker import Inbox  # noqa: PLC0415  see above
    from deploybot.webhooks.receiver import Receiver  # noqa: PLC0415  see above

    inbox = Inbox(settings, world.store, world.clock, tuple(listeners), board=board)
    receiver = Receiver(
        world.store, world.clock, inbox, rate=settings.http.rate, report=NoticeWriter(world.store, board)
    )
    for address in addresses(settings):
        receiver.open(server, address)
    return inbox


def artifact_uploads(settings: Settings, world: Adapters, server: WebServer | None) -> None:
    """Take artifacts by HTTP for the apps whose uploads have a secret. It is imported only then."""
    asked = [(app, app.artifact.secret) for app in settings.apps.values() if app.artifact and app.artifact.secret]
    if server is None or world.uploads is None or not asked:
        return
    from deploybot.webhooks.artifact_receiver import ArtifactReceiver  # noqa: PLC0415  see above

    receiver = ArtifactReceiver(world.uploads, world.clock)
    for app, secret in asked:
        receiver.open(server, app, secret)


def notice_board(settings: Settings, world: Infrastructure) -> NoticeBoard:
    """Return the board that posts notices in the channels of the app, or of its environment."""

    def channels(target: str) -> Iterable[Channel]:
        app, _, environment = target.partition("/")
        known = settings.apps.get(app)
        return (known.at(environment).channel if known else ()) or event_channels(settings)

    return NoticeBoard(world.clock, channels, CHANNEL)


def unfit_tags(settings: Settings, world: Infrastructure) -> Iterator[EventListener]:
    """Yield the listener that reports image tags which no pattern in bot.toml can match, if bot.toml has images."""
    if any(one.images for app in settings.apps.values() for one in app.everywhere()):
        from deploybot.events.unmatched_tags import UnfitTags  # noqa: PLC0415  see above

        yield UnfitTags(world.store, notice_board(settings, world))


def reports(settings: Settings, world: Adapters) -> ReportWorker | None:
    """Return the worker that reports deployments, if bot.toml has report targets. aiohttp is imported only then."""
    if not receivers_of(settings):
        return None
    from deploybot.reporting.report_http import Caller  # noqa: PLC0415  see above
    from deploybot.reporting.report_worker import ReportWorker  # noqa: PLC0415  see above

    caller = Caller()
    targets = connected(settings, ReportTools(caller, world.store, world.redactor.text))
    return ReportWorker(world.store, targets, world.clock, close=caller.close)


def audit_export(settings: Settings, world: Adapters, board: NoticeBoard) -> AuditExporter | None:
    """Return the worker that exports the audit, if bot.toml configures it. It is imported only then."""
    if settings.audit is None:
        return None
    from deploybot.reporting.audit_sinks.audit_worker import AuditExporter  # noqa: PLC0415  see above
    from deploybot.reporting.audit_sinks.sink_table import sinks_of  # noqa: PLC0415  see above

    return AuditExporter(world.store, sinks_of(settings.audit), world.clock, world.redactor, board)


def monitor(
    settings: Settings,
    world: Adapters,
    server: WebServer,
    problems: Callable[[], dict[str, str]],
    sinks: Callable[[], Mapping[str, SinkSight]],
) -> Coroutine[None, None, None] | None:
    """Make the server answer health checks. Return the measurement to run for `/metrics`, if bot.toml opens it."""
    from deploybot.monitoring.bot_health import HealthLook  # noqa: PLC0415  see above
    from deploybot.monitoring.metric_values import watch_lag  # noqa: PLC0415  see above
    from deploybot.monitoring.monitoring_routes import Monitor  # noqa: PLC0415  see above

    look = HealthLook(settings.bot.data, problems, tuple(settings.servers), world.pool.sights, sinks=sinks)
    token = settings.http.token.reveal() if settings.http and settings.http.token else ""
    made = Monitor(look, world.store, world.redactor.text, token)
    server.add_get("/healthz", made.health)
    server.add_get("/metrics", made.metrics)
    return watch_lag() if token else None
