"""The connection to Telegram: receive updates by long polls or webhook, and report problems.

This does not use python-telegram-bot's Application and Updater. They confirm updates that are still in a queue, end for
good if a token is refused once, hide time-outs of long polls, and take two more megabytes. Only its Bot is used, in the
bot's own event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from telegram import Bot, Update
from telegram.error import Conflict, InvalidToken, RetryAfter, TelegramError

from deploybot.backoff import Backoff
from deploybot.bounded_memory import SeenKeys
from deploybot.chat.telegram.telegram_api import error_text, seconds_of
from deploybot.chat.telegram.telegram_incoming import Me

if TYPE_CHECKING:
    from aiohttp import web

PATH = "/telegram/updates"
UPDATES = ["message", "callback_query"]
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)
_HEADER = "X-Telegram-Bot-Api-Secret-Token"
_LONGEST_PAUSE = 30.0
_LAST_POLL_WITHIN = 1.5
_CONNECT_WITHIN = 30.0
_READ_WITHIN = 10.0
_BATCH = 100
_OLD_ERROR = 120.0
_REMEMBERED = 10_000
log = logging.getLogger(__name__)

Take = Callable[[Update, bool], "asyncio.Task[None] | None"]


@dataclass(frozen=True, slots=True)
class PollingTimeouts:
    """Timeouts and pauses, in seconds.

    `poll` is the length of a long poll, and `grace` the extra time for its answer. A dead poll is noticed after both.
    `first` is the pause after a first failure, `rival` after another program polled, `token` after the token was
    refused, `look` between two checks of the webhook. `handed` is the time for an update to reach the database before
    it is confirmed.
    """

    poll: float = 25.0
    grace: float = 10.0
    first: float = 1.0
    rival: float = 5.0
    token: float = 300.0
    look: float = 30.0
    handed: float = 0.1


class TelegramConnection:
    """Passes updates to `take`, and reports in `problem` why none arrive.

    `take` gets each update once, and whether it may have waited long. It returns the task that handles the update, or
    None. `meet` is called when Telegram has answered for the first time. `url` is the bot's public URL for webhooks,
    with their `secret`; it is empty for long polls.
    """

    def __init__(
        self,
        bot: Bot,
        take: Take,
        meet: Callable[[], object],
        *,
        timeouts: PollingTimeouts,
        url: str = "",
        secret: str = "",
    ) -> None:
        self._bot = bot
        self._take = take
        self._meet = meet
        self._timeouts = timeouts
        self._url = f"{url}{PATH}" if url else ""
        self._secret = hashlib.sha256(secret.encode()).hexdigest()
        self._offset = 0
        self._failures = 0
        self._late = True
        self._late_until = 0.0
        self._rival_until = 0.0
        self._taken = SeenKeys(_REMEMBERED)
        self._met = False
        self._run: asyncio.Task[None] | None = None
        self.me = Me(0, "")
        self.problem = "Telegram has not answered yet."

    def start(self) -> None:
        """Connect, and run until `close`."""
        self._run = asyncio.create_task(self._keep(), name="telegram")
        self._run.add_done_callback(self._stopped)

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """Report that listening ended by itself."""
        if not task.cancelled() and (error := task.exception()):
            log.error("receiving from Telegram has stopped", exc_info=error)
            self.problem = "Receiving from Telegram has stopped; see the log, and restart the bot."

    async def close(self) -> None:
        """Stop listening. Confirm the updates passed on, so that they do not come again."""
        if self._run is None:
            return
        self._run.cancel()
        await asyncio.gather(self._run, return_exceptions=True)
        if self._offset and not self._url and not self.problem:
            with contextlib.suppress(TelegramError, TimeoutError):
                async with asyncio.timeout(_LAST_POLL_WITHIN):
                    await self._bot.get_updates(self._offset, limit=1, timeout=0, allowed_updates=UPDATES)

    async def _keep(self) -> None:
        """Connect and listen; retry after failures."""
        while True:
            try:
                await self._connect()
                await (self._watch() if self._url else self._listen())
            except (TelegramError, TimeoutError) as error:
                pause = self._trouble(error)
            except Exception as error:
                log.exception("receiving from Telegram failed")
                pause = self._trouble(error)
            else:
                pause = 0.0
            await asyncio.sleep(pause)

    async def _connect(self) -> None:
        """Look up the bot's own account. Then remove the webhook for long polls, or set ours."""
        async with asyncio.timeout(_CONNECT_WITHIN):
            await self._bot.initialize()
            if not self.me.id:
                self.me = Me(self._bot.id, self._bot.username)
                log.info("Telegram knows me as @%s", self.me.name)
            if self._url:
                await self._bot.set_webhook(self._url, allowed_updates=UPDATES, secret_token=self._secret)
                self._late_until = asyncio.get_running_loop().time() + 2 * self._timeouts.look
            else:
                await self._bot.delete_webhook()
        self._recovered()
        if not self._met:
            self._met = True
            self._meet()

    async def _listen(self) -> None:
        """Run long polls. The next poll confirms the updates that were passed on."""
        while True:
            updates = await self._poll()
            self._recovered()
            late, self._late = self._late, self._late and len(updates) == _BATCH
            tasks = [task for update in updates if (task := self._once(update, late=late))]
            if updates:
                self._offset = updates[-1].update_id + 1
            if tasks:
                await asyncio.wait(tasks, timeout=self._timeouts.handed)

    async def _poll(self) -> Sequence[Update]:
        """Run a long poll, or a short one for updates that waited while the bot was not running.

        If the library can't read one update, the others are still received.
        """
        timeouts = self._timeouts
        seconds = 0 if self._late else int(timeouts.poll)
        try:
            async with asyncio.timeout(seconds + timeouts.grace):
                return await self._bot.get_updates(self._offset, limit=_BATCH, timeout=seconds, allowed_updates=UPDATES)
        except UNREADABLE:
            url = f"{self._bot.base_url}/getUpdates?offset={self._offset}&limit={_BATCH}&timeout=0"
            async with asyncio.timeout(timeouts.grace):
                raw = await self._bot.request.retrieve(url)
            return [self._read(one) for one in json.loads(raw)["result"]]

    def _read(self, raw: dict[str, object]) -> Update:
        """Parse an update. Return an empty one if it can't be read, so that it is skipped."""
        try:
            return Update.de_json(raw, self._bot)
        except UNREADABLE:
            log.exception("Telegram sent an update that I cannot read")
            return Update(int(str(raw["update_id"])))

    def _once(self, update: Update, *, late: bool) -> asyncio.Task[None] | None:
        """Start to handle an update, unless it was handled before."""
        return self._take(update, late) if self._taken.first_time(update.update_id) else None

    async def _watch(self) -> None:
        """Check regularly whether Telegram still delivers to this bot, and whether it can."""
        while True:
            await asyncio.sleep(self._timeouts.look)
            info = await self._bot.get_webhook_info()
            if info.url != self._url:
                log.warning("someone set another webhook for @%s; the bot set its own again", self.me.name)
                return
            error = info.last_error_date
            if error is not None and info.pending_update_count and time.time() - error.timestamp() < _OLD_ERROR:
                self._failed(
                    f"Telegram cannot deliver to {self._url}: {info.last_error_message}. "
                    "Check the reverse proxy in front of the bot and `url` in [http]."
                )
            else:
                self._recovered()

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """Receive one update by webhook. Return 200 if it was passed on; otherwise Telegram delivers it again."""
        from aiohttp import web  # noqa: PLC0415  ten megabytes that long polls do not need

        given = request.headers.getall(_HEADER, [])
        if len(given) != 1 or not hmac.compare_digest(given[0].encode("utf-8", "replace"), self._secret.encode()):
            return web.Response(status=403)
        if not self.me.id:
            return web.Response(status=503)
        try:
            async with asyncio.timeout(_READ_WITHIN):
                raw = json.loads(await request.read())
            update = self._read(raw)
        except TimeoutError:
            return web.Response(status=408)
        except UNREADABLE:
            return web.Response(status=400)
        task = self._once(update, late=asyncio.get_running_loop().time() < self._late_until)
        if task is not None:
            await asyncio.wait([task], timeout=self._timeouts.handed)
        return web.Response()

    def _recovered(self) -> None:
        """Clear the problem. After another program polled, wait first until polling has worked for a while."""
        if asyncio.get_running_loop().time() < self._rival_until:
            return
        if self.problem and self._failures:
            log.info("Telegram answers again")
        self._failures, self.problem = 0, ""

    def _failed(self, problem: str, level: int = logging.WARNING) -> None:
        """Store a problem, and log it if it is new."""
        self._failures += 1
        if problem != self.problem:
            log.log(level, "%s", problem)
        self.problem = problem

    def _trouble(self, error: Exception) -> float:
        """Store an error as a problem. Return the seconds until the next retry."""
        timeouts = self._timeouts
        self._late = True
        match error:
            case InvalidToken():
                self._failed(_REFUSED, logging.ERROR)
                return timeouts.token
            case Conflict() if "webhook" in error.message.lower():
                self._failed("Someone set a webhook for my bot in Telegram, so I could not poll. I am removing it.")
                return timeouts.first
            case Conflict():
                self._failed(_RIVAL, logging.ERROR)
                self._rival_until = asyncio.get_running_loop().time() + 2 * timeouts.poll
                return timeouts.rival
            case RetryAfter():
                self._failed("Telegram asked the bot to slow down.")
                return seconds_of(error)
            case TelegramError() | TimeoutError():
                self._failed(f"Telegram cannot be reached: {error_text(error)}. I keep trying.")
            case _:
                self._failed("Receiving from Telegram failed; see the log. I keep trying.")
        return Backoff(timeouts.first, _LONGEST_PAUSE).after(self._failures)


_REFUSED = (
    "Telegram rejected the bot's token: it is wrong or was revoked. Get it from @BotFather (/token), "
    "put it where `token` in [telegram] of bot.toml points, and restart the bot."
)
_RIVAL = (
    "Another program polls Telegram with the same token, so both miss updates. "
    "Stop it, or create a separate bot for it (@BotFather, /newbot)."
)
