"""Slack as a chat: Socket Mode with `app_token`, HTTP mode with `signing_secret`.

Every payload is acknowledged first (`bolt_app`) and then handled in a separate task. People who are not members of the
workspace are ignored (`slack_members`). The dispatcher checks what a member may do, as in every chat.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

from deploybot.backoff import requested_pause
from deploybot.card import Card
from deploybot.chat.button_tokens import ButtonTokens
from deploybot.chat.chat_dependencies import Parts
from deploybot.chat.rate_limits import Urgency
from deploybot.chat.resumed_uploads import Uploads
from deploybot.chat.slack.bolt_app import BoltListener, SlackHttpEndpoint
from deploybot.chat.slack.connection_problems import GRANT, SlackProblems
from deploybot.chat.slack.oauth_scopes import HOOK, bot_scopes
from deploybot.chat.slack.slack_api import NotInChannel, SlackApi, SlackRefused
from deploybot.chat.slack.slack_connection import SlackConnection
from deploybot.chat.slack.slack_files import SlackFiles
from deploybot.chat.slack.slack_handler import SlackHandler
from deploybot.chat.slack.slack_incoming import SlackEvent, read
from deploybot.chat.slack.slack_members import Directory
from deploybot.chat.slack.slack_posting import PLATFORM, SlackPosting
from deploybot.chat.slack.slack_reply_target import OUTSIDE
from deploybot.chat.slack.slack_settings import SlackSettings
from deploybot.chat.slack.slack_timeouts import Times
from deploybot.chat.unwritable_channels import Closed, no_report
from deploybot.command import Incoming
from deploybot.domain import Channel
from deploybot.errors import DeploybotError, StoreError
from deploybot.http_server import WebServer
from deploybot.ports import ELSEWHERE

_READ_CHANNELS: Final = {"channels:read", "groups:read"}
log = logging.getLogger(__name__)

_LOOK_AGAIN: Final = 300.0
_MOST_TASKS: Final = 1_000
_STOP_WITHIN: Final = 2.0


class SlackChat:
    """Slack as a `ports.LiveChat` and a `ReplyRoom`."""

    platform = PLATFORM
    interval = SlackPosting.interval
    edit_interval = SlackPosting.edit_interval

    def __init__(
        self,
        settings: SlackSettings,
        parts: Parts,
        button_tokens: ButtonTokens,
        server: WebServer | None = None,
        *,
        times: Times | None = None,
        uploads: Uploads | None = None,
        homes: Sequence[str] = (),
        closed: Closed = no_report,
    ) -> None:
        """Take the `[slack]` table of bot.toml. In HTTP mode `server` gets a route, so it must not run yet.

        `homes` are the channels named in bot.toml. `closed` is called for each one in which the bot can't write.
        """
        self._homes = homes
        self._closed = closed
        self._settings = settings
        self._button_tokens = button_tokens
        self._clock = parts.clock
        self._health = SlackProblems()
        self._user = ""
        self._times = times or Times()
        self._listener = BoltListener(self._take)
        self._uploads = uploads
        self._posting = SlackPosting(button_tokens, self._spawn, self._card_posted)
        self._handler = SlackHandler(self._posting, parts, button_tokens, self._times, self._doubt)
        self._ready = asyncio.Event()
        self._doubted = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: list[asyncio.Task[None]] = []
        if settings.signing_secret and server is not None:
            endpoint = SlackHttpEndpoint(settings.signing_secret.reveal(), self._listener, parts.clock)
            server.add_post(HOOK, endpoint.handle)

    @property
    def problem(self) -> str:
        """Return why messages do not arrive or are not received, and the fix; "" if there is no problem."""
        return self._health.problem

    @property
    def api(self) -> SlackApi:
        """Return the Web API. Raises Unreachable before the start and after the end."""
        return self._posting.api

    async def start(self) -> None:
        """Start to listen. Returns at once."""
        app_token = self._settings.app_token.reveal() if self._settings.app_token else ""
        bot_token = self._settings.bot_token.reveal()
        api = SlackApi(self._settings.api_url, bot_token, app_token, self._health, self._times)
        files = SlackFiles(api, self._spawn, self._posting.explain, self._times, self._uploads)
        self._posting.open(api, files)
        with contextlib.suppress(StoreError):
            await files.resume()
        self._running = [asyncio.create_task(self._watch(), name="slack")]
        if self._settings.app_token:
            link = SlackConnection(self._open_url, self._listener.envelope, self._health, self._times)
            self._running.append(asyncio.create_task(self._listen(link), name="slack-link"))
        for task in self._running:
            task.add_done_callback(self._stopped)

    async def close(self) -> None:
        """Stop listening, wait a moment for running answers, and close everything."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_STOP_WITHIN)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._posting.close()

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """Report a background task that ended by itself."""
        if not task.cancelled() and (error := task.exception()):
            self._health.broke(task.get_name(), error)

    async def _watch(self) -> None:
        """Look up the bot's own user id, then check regularly whether its token still works."""
        pauses = iter(self._times.retry)
        while True:
            wait = _LOOK_AGAIN
            try:
                self._introduce(await self.api.call("auth.test"))
                pauses = iter(self._times.retry)
            except DeploybotError as problem:
                if not self._health.is_ill("bot_token"):
                    self._health.report("api", f"{problem}")
                wait = max(next(pauses), requested_pause(problem))
            except Exception as problem:  # noqa: BLE001  reported, and logged with its traceback
                self._health.broke("api", problem)
                wait = next(pauses)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._doubted.wait()
            self._doubted.clear()

    def _introduce(self, answer: Mapping[str, Any]) -> None:
        """Store the bot's user id and team from Slack's answer."""
        self._health.clear("api")
        if not self._ready.is_set():
            missing = sorted({*bot_scopes()} - {*self.api.granted})
            if missing and self.api.granted:
                log.warning("Slack: the app lacks %s: %s", ", ".join(missing), GRANT)
            self._user = str(answer["user_id"])
            team, enterprise = str(answer["team_id"]), str(answer.get("enterprise_id") or "")
            self._handler.open(enterprise or team, Directory(self.api, team, enterprise))
            self._ready.set()
            if {*self.api.granted} >= _READ_CHANNELS:
                self._spawn(self._look_at_homes())

    async def _look_at_homes(self) -> None:
        """Check whether the bot is in the channels named in bot.toml."""
        for channel in self._homes:
            try:
                found = (await self.api.call("conversations.info", Urgency.NOTIFICATION, channel=channel))["channel"]
            except NotInChannel as error:
                await self._closed(channel, error.sentence)
            except DeploybotError as problem:
                log.info("the channel %s was not checked: %s", Channel(self.platform, channel), problem)
            else:
                name = found.get("name", channel)
                if found.get("is_archived"):
                    await self._closed(channel, f"#{name} is archived.")
                elif not found.get("is_member"):
                    await self._closed(channel, f"The bot is not in #{name}.")

    async def _listen(self, link: SlackConnection) -> None:
        """Run Socket Mode, once the bot knows its own user id."""
        await self._ready.wait()
        await link.run()

    async def _open_url(self) -> str:
        answer = await self.api.call("apps.connections.open")
        return str(answer["url"])

    def _take(self, body: dict[str, Any]) -> None:
        """Take a payload."""
        event = read(body, self._user)
        if event is not None:
            self._spawn(self._receive(event, self._clock.now()))

    async def _receive(self, event: SlackEvent, at: float) -> None:
        """Handle an event. In HTTP mode it may come before the bot knows its own user id, so wait for that."""
        await self._ready.wait()
        await self._handler.receive(event, at)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine that outlives its caller. Its errors are logged."""
        if len(self._tasks) >= _MOST_TASKS:
            work.close()
            log.error("Slack: dropped a message; already handling %d", _MOST_TASKS)
            return
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("handling a request from Slack failed", exc_info=error)

    def _doubt(self) -> None:
        """Check the token at once: Slack reports that the app or its token was removed."""
        self._doubted.set()

    def _card_posted(self, card: Card) -> None:
        self._handler.home.changed(card)

    async def send(self, channel: Channel, card: Card) -> str:
        """Post a message. Return its `ts`. Raises Unreachable, or SlackRefused if a retry would not help.

        If the bot is not in the channel, the person who requested the card there sees its first and final state.
        """
        try:
            return await self._posting.post(channel, card)
        except SlackRefused as refused:
            if refused.error not in OUTSIDE or not await self._handler.show_aside(channel, card):
                raise
        return ELSEWHERE

    async def edit(self, channel: Channel, message: str, card: Card) -> None:
        """Replace a message and its buttons."""
        if message != ELSEWHERE:
            await self._posting.edit(channel, message, card)
        elif card.final:
            await self._handler.show_aside(channel, card)

    async def whisper(self, incoming: Incoming, card: Card) -> None:
        """Answer so that only the sender sees it."""
        await self._posting.whisper(incoming, card)
