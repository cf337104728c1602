"""Socket Mode: watch one socket, and replace it before it is closed or soon after it died.

docs.slack.dev/apis/events-api/using-socket-mode. The socket is that of Slack's own client, but this module decides when
to open the next one. Slack's client can keep using an expired URL, and can be connected but dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from deploybot.backoff import requested_pause
from deploybot.chat.slack.connection_problems import SlackProblems
from deploybot.chat.slack.slack_sdk_setup import quiet_logger
from deploybot.chat.slack.slack_timeouts import Times
from deploybot.errors import DeploybotError, Unreachable

log = logging.getLogger(__name__)

_DISABLED: Final = "link_disabled"
_CONNECT_WITHIN: Final = 10.0
_CLOSE_WITHIN: Final = 1.0
_SHORT_LIFE: Final = 10.0


class _Socket(SocketModeClient):
    """Slack's client without its own reconnecting. It only reports that it must be replaced, and why."""

    def __init__(
        self, url: str, handle: Callable[[SocketModeClient, SocketModeRequest], Awaitable[None]], ping: float
    ) -> None:
        super().__init__(
            app_token="",
            logger=quiet_logger(),
            web_client=AsyncWebClient(logger=quiet_logger()),
            auto_reconnect_enabled=False,
            ping_interval=ping,
            on_message_listeners=[self._noticed],
            on_error_listeners=[self._broke],
            on_close_listeners=[self._broke],
        )
        self.wss_uri = url
        self.greeted = asyncio.Event()
        self.ended = asyncio.Event()
        self.over = asyncio.Event()
        self.reason = ""
        self.socket_mode_request_listeners.append(handle)  # type: ignore[arg-type]  # the library annotates its base class

    async def connect_to_new_endpoint(self, force: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002  Slack's signature
        """Handle Slack's announcement that the socket will close. `SlackConnection` opens the next one."""
        self.ended.set()

    async def _noticed(self, message: aiohttp.WSMessage) -> None:
        body = json.loads(message.data) if message.data.startswith("{") else {}
        if body.get("type") == "hello":
            self.greeted.set()
        elif body.get("type") == "disconnect":
            self.reason = str(body.get("reason", ""))
            self.ended.set()

    async def _broke(self, message: aiohttp.WSMessage) -> None:
        del message
        self.ended.set()
        self.over.set()

    async def drop(self) -> None:
        """Close the socket within about a second, whatever the other side does."""
        self.closed = True
        tasks = [self.message_processor, self.current_session_monitor, self.message_receiver]
        running = [task for task in tasks if task is not None]
        try:
            with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
                async with asyncio.timeout(_CLOSE_WITHIN):
                    await self.disconnect()  # type: ignore[no-untyped-call]
        finally:
            # Also if the bot stops meanwhile.
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self.aiohttp_client_session.close()


class SlackConnection:
    """Keeps one socket connected. `open_url` asks Slack for a URL; `handle` gets each envelope."""

    def __init__(
        self,
        open_url: Callable[[], Awaitable[str]],
        handle: Callable[[SocketModeClient, SocketModeRequest], Awaitable[None]],
        health: SlackProblems,
        times: Times,
    ) -> None:
        self._open_url = open_url
        self._handle = handle
        self._health = health
        self._times = times
        self._socket: _Socket | None = None
        self._leaving: dict[asyncio.Task[None], _Socket] = {}

    async def run(self) -> None:
        """Run until cancelled."""
        pauses = iter(self._times.retry)
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    await self._replace()
                except DeploybotError as problem:
                    if not self._health.is_ill("app_token"):
                        self._health.report("link", f"no connection: {problem}")
                    await asyncio.sleep(max(next(pauses), requested_pause(problem)))
                    continue
                except Exception as problem:  # noqa: BLE001  reported, and logged with its traceback
                    self._health.broke("link", problem)
                    await asyncio.sleep(next(pauses))
                    continue
                self._health.clear("link")
                since = loop.time()
                await self._until_it_ends()
                if loop.time() - since < _SHORT_LIFE:
                    await asyncio.sleep(next(pauses))
                else:
                    pauses = iter(self._times.retry)
        finally:
            leaving, sockets = [*self._leaving], [*self._leaving.values()]
            for task in leaving:
                task.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)
            # A task that is cancelled before it began has closed nothing.
            for socket in (*sockets, *([self._socket] if self._socket else [])):
                await socket.drop()

    async def _replace(self) -> None:
        """Open the next socket before closing the old one, so that nothing from Slack is lost in between."""
        fresh = await self._connect()
        old, self._socket = self._socket, fresh
        if old is not None:
            task = asyncio.create_task(self._leave(old))
            self._leaving[task] = old
            task.add_done_callback(self._left)

    async def _leave(self, socket: _Socket) -> None:
        """Close a socket. If it still works, wait until Slack closes it, or for `linger` seconds."""
        try:
            if await socket.is_connected():
                async with asyncio.timeout(self._times.linger):
                    await socket.over.wait()
        except TimeoutError:
            log.debug("Slack: closing the previous socket")
        finally:
            await socket.drop()

    def _left(self, task: asyncio.Task[None]) -> None:
        self._leaving.pop(task, None)
        if not task.cancelled() and (error := task.exception()):
            log.error("Slack: closing the previous socket failed", exc_info=error)

    async def _connect(self) -> _Socket:
        """Return a socket that Slack has greeted. Raises Unreachable with the reason if that failed."""
        socket = _Socket(await self._open_url(), self._handle, self._times.ping)
        try:
            async with asyncio.timeout(_CONNECT_WITHIN):
                await socket.connect()  # type: ignore[no-untyped-call]
                ended = asyncio.create_task(socket.ended.wait())
                greeted = asyncio.create_task(socket.greeted.wait())
                try:
                    await asyncio.wait({ended, greeted}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    ended.cancel()
                    greeted.cancel()
        except TimeoutError:
            await socket.drop()
            raise Unreachable("Slack's socket", f"no greeting within {_CONNECT_WITHIN:.0f} s") from None
        except BaseException:
            await socket.drop()
            raise
        if not socket.greeted.is_set():
            await socket.drop()
            raise Unreachable("Slack's socket", _why(socket.reason))
        return socket

    async def _until_it_ends(self) -> None:
        """Return when the socket must be replaced, because it died or Slack will close it."""
        socket = self._socket
        while socket is not None and not socket.ended.is_set() and await socket.is_connected():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._times.look):
                    await socket.ended.wait()
        if socket is None:
            return
        if socket.reason == _DISABLED:
            self._health.report("link", _why(socket.reason))
        log.info("Slack: replacing the socket (%s)", socket.reason or "it died")


def _why(reason: str) -> str:
    if reason == _DISABLED:
        return "Socket Mode is disabled for the app: enable it at api.slack.com/apps, or set signing_secret"
    return f"it was closed: {reason or 'no reason given'}"
