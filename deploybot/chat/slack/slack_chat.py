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
from deploybot.chat.rate_limits import Urgency, urgency_of
from deploybot.chat.resumed_uploads import Uploads
from deploybot.chat.slack.bolt_app import BoltListener, SlackHttpEndpoint
from deploybot.chat.slack.connection_problems import GRANT, SlackProblems
from deploybot.chat.slack.oauth_scopes import HOOK, bot_scopes
from deploybot.chat.slack.slack_api import NotInChannel, SlackApi, SlackRefused
from deploybot.chat.slack.slack_connection import SlackConnection
from deploybot.chat.slack.slack_files import SlackFiles
from deploybot.chat.slack.slack_handler import PLATFORM, SlackHandler
from deploybot.chat.slack.slack_incoming import SlackEvent, read
from deploybot.chat.slack.slack_members import Directory
from deploybot.chat.slack.slack_rendering import Rendered, bare, render
from deploybot.chat.slack.slack_reply_target import ELSEWHERE, OUTSIDE
from deploybot.chat.slack.slack_settings import SlackSettings
from deploybot.chat.slack.slack_timeouts import Times
from deploybot.chat.unwritable_channels import Closed, no_report
from deploybot.command import Incoming
from deploybot.domain import Place
from deploybot.errors import DeploybotError, StoreError, Unreachable
from deploybot.http_server import WebServer

_READ_CHANNELS: Final = {"channels:read", "groups:read"}
log = logging.getLogger(__name__)

_LOOK_AGAIN: Final = 300.0
_MOST_TASKS: Final = 1_000
_STOP_WITHIN: Final = 2.0
_TOO_MUCH: Final = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"})


class SlackChat:
    """Slack as a `ports.LiveChat` and a `ReplyRoom`."""

    platform = PLATFORM
    interval = 1.0
    edit_interval = 2.0

    def __init__(
        self,
        settings: SlackSettings,
        parts: Parts,
        desk: ButtonTokens,
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
        self._desk = desk
        self._clock = parts.clock
        self._health = SlackProblems()
        self._user = ""
        self._folds = True
        self._times = times or Times()
        self._listener = BoltListener(self._take)
        self._api: SlackApi | None = None
        self._files: SlackFiles | None = None
        self._uploads = uploads
        self._reception = SlackHandler(self, parts, desk, self._times)
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
        if self._api is None:
            raise Unreachable("Slack", "the bot is not connected to it")
        return self._api

    async def start(self) -> None:
        """Start to listen. Returns at once."""
        app_token = self._settings.app_token.reveal() if self._settings.app_token else ""
        bot_token = self._settings.bot_token.reveal()
        self._api = SlackApi(self._settings.api_url, bot_token, app_token, self._health, self._times)
        self._files = SlackFiles(self._api, self.spawn, self._times, self._uploads)
        with contextlib.suppress(StoreError):
            await self._files.resume()
        self._running = [asyncio.create_task(self._watch(), name="slack")]
        if self._settings.app_token:
            link = SlackConnection(self._open_url, self._listener.envelope, self._health, self._times)
            self._running.append(asyncio.create_task(self._listen(link), name="slack-link"))

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
        if self._api is not None:
            await self._api.close()
            self._api = None

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
                    self._health.ill("api", f"{problem}")
                wait = max(next(pauses), requested_pause(problem))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._doubted.wait()
            self._doubted.clear()

    def _introduce(self, answer: Mapping[str, Any]) -> None:
        """Store the bot's user id and team from Slack's answer."""
        self._health.well("api")
        if not self._ready.is_set():
            missing = sorted({*bot_scopes()} - {*self.api.granted})
            if missing and self.api.granted:
                log.warning("Slack: the app lacks %s: %s", ", ".join(missing), GRANT)
            self._user = str(answer["user_id"])
            team, enterprise = str(answer["team_id"]), str(answer.get("enterprise_id") or "")
            self._reception.open(enterprise or team, Directory(self.api, team, enterprise))
            self._ready.set()
            if {*self.api.granted} >= _READ_CHANNELS:
                self.spawn(self._look_at_homes())

    async def _look_at_homes(self) -> None:
        """Check whether the bot is in the channels named in bot.toml."""
        for channel in self._homes:
            try:
                found = (await self.api.call("conversations.info", Urgency.NOTIFICATION, channel=channel))["channel"]
            except NotInChannel as error:
                await self._closed(channel, error.sentence)
            except DeploybotError as problem:
                log.info("the channel %s was not checked: %s", Place(self.platform, channel), problem)
            else:
                if not found.get("is_member"):
                    await self._closed(channel, f"The bot is not in #{found.get('name', channel)}.")

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
            self.spawn(self._receive(event, self._clock.now()))

    async def _receive(self, event: SlackEvent, at: float) -> None:
        """Handle an event. In HTTP mode it may come before the bot knows its own user id, so wait for that."""
        await self._ready.wait()
        await self._reception.receive(event, at)

    def spawn(self, work: Coroutine[None, None, None]) -> None:
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

    def revoked(self) -> None:
        """Check the token at once: Slack reports that the app or its token was removed."""
        self._doubted.set()

    async def send(self, place: Place, card: Card) -> str:
        """Post a message. Return its `ts`. Raises Unreachable, or SlackRefused if a retry would not help.

        If the bot is not in the channel, the person who requested the card there sees its first and final state.
        """
        try:
            return await self.post(place, card)
        except SlackRefused as refused:
            if refused.error not in OUTSIDE or not await self._reception.show_aside(place, card):
                raise
        return ELSEWHERE

    async def post(self, place: Place, card: Card) -> str:
        """Post a message. Raises SlackRefused if the bot is not in the channel, whatever the card."""
        tokens = await self._desk.lay_out(place, card.buttons)
        where = {"channel": place.channel, "thread_ts": place.thread, "unfurl_links": False, "unfurl_media": False}
        made, answer = await self._post_or_edit("chat.postMessage", card, tokens, where)
        message = str(answer["ts"])
        self._reception.home.changed(card)
        # The message is posted. An unbound button is bound by its first press, and posting twice would be worse.
        with contextlib.suppress(StoreError):
            await self._desk.sent(place, card.buttons, tokens, message)
        await self._follow(place, message, card, made)
        return message

    async def edit(self, place: Place, message: str, card: Card) -> None:
        """Replace a message and its buttons."""
        if message == ELSEWHERE:
            if card.final:
                await self._reception.show_aside(place, card)
            return
        tokens = await self._desk.lay_out(place, card.buttons, message)
        made, _ = await self._post_or_edit("chat.update", card, tokens, {"channel": place.channel, "ts": message})
        self._reception.home.changed(card)
        await self._follow(place, message, card, made)

    async def whisper(self, incoming: Incoming, card: Card) -> None:
        """Answer so that only the sender sees it."""
        place = incoming.place
        where = {"channel": place.channel, "user": incoming.identity.user, "thread_ts": place.thread}
        await self._post_or_edit("chat.postEphemeral", card, await self._desk.lay_out(place, card.buttons), where)

    async def _post_or_edit(
        self, method: str, card: Card, tokens: Sequence[str], where: Mapping[str, object]
    ) -> tuple[Rendered, Mapping[str, Any]]:
        """Post or edit a card. Return the rendered message and Slack's answer.

        If Slack refuses its blocks, its details are not folded. If that is refused, too, only text is sent. A workspace
        that does not accept folded details is remembered.
        """
        urgency = urgency_of(card, edits=method == "chat.update")
        for folds in (True, False) if self._folds and card.folded else (self._folds,):
            made = render(card, tokens, folds=folds)
            try:
                answer = await self._put(method, made, where, urgency)
            except SlackRefused as refused:
                if refused.error not in _TOO_MUCH:
                    raise
                log.warning(
                    "Slack rejected the blocks of a message (%s); it is posted in a simpler form", refused.error
                )
            else:
                self._folds &= folds or not card.folded
                return made, answer
        made = bare(card)
        return made, await self._put(method, made, where, urgency)

    async def _put(
        self, method: str, made: Rendered, where: Mapping[str, object], urgency: Urgency
    ) -> Mapping[str, Any]:
        """Send a rendered message. `parse` prevents links and mentions in its text: edits have another default."""
        content = {**where, "text": made.text, "blocks": made.blocks}
        return await self.api.call(method, urgency, **content, parse="none", link_names=False)

    async def _follow(self, place: Place, message: str, card: Card, made: Rendered) -> None:
        if self._files is not None:
            await self._files.follow(place, message, card, was_cut=made.was_cut)
