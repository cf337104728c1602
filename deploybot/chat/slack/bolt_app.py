"""Receive Slack's payloads through Bolt, in either mode: acknowledge them at once, then pass them on.

In HTTP mode a request must be signed (v0, docs.slack.dev/authentication/verifying-requests-from-slack) and at most five
minutes old. A repeated request is acknowledged but not passed on.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

from deploybot.bounded_memory import SeenKeys
from deploybot.chat.slack.slack_sdk_setup import quiet_logger
from deploybot.ports import Clock

log = logging.getLogger(__name__)

_OK: Final = 200
_FRESH: Final = 300.0
_REMEMBERED: Final = 5_000
_READ_WITHIN: Final = 5.0
_SIGNATURE: Final = re.compile(r"v0=[0-9a-f]{64}")
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")


class BoltListener:
    """Bolt's app with one listener for everything. It calls `take` with each payload, then acknowledges it."""

    def __init__(self, take: Callable[[dict[str, Any]], None]) -> None:
        self._take = take
        self._app = AsyncApp(
            logger=quiet_logger(),
            client=AsyncWebClient(logger=quiet_logger()),
            authorize=_authorize,
            # Requests are verified before they reach Bolt, and `slack_incoming` detects the bot's own messages.
            request_verification_enabled=False,
            ignoring_self_events_enabled=False,
            # Bolt sets the level of the logger with this name to that of its parent. That would silence `deploybot`.
            name=quiet_logger().name,
        )
        self._app.middleware(self._acknowledge)

    async def _acknowledge(self, body: dict[str, Any], ack: AsyncAck) -> BoltResponse:
        """Take and acknowledge a payload, before any other listener, so that nothing can delay it."""
        self._take(body)
        return await ack()

    async def envelope(self, client: SocketModeClient, request: SocketModeRequest) -> None:
        """Handle one envelope of Socket Mode."""
        response = await self._dispatched(run_async_bolt_app(self._app, request))
        await send_async_response(client, request, response, 0.0)

    async def request(self, headers: dict[str, str | Sequence[str]], body: str) -> web.Response:
        """Handle one verified request of HTTP mode."""

        async def dispatch() -> BoltResponse:
            return await self._app.async_dispatch(AsyncBoltRequest(body=body, headers=headers))

        return await to_aiohttp_response(await self._dispatched(dispatch()))

    @staticmethod
    async def _dispatched(answer: Awaitable[BoltResponse]) -> BoltResponse:
        """Return Bolt's answer. Payloads that Bolt can't read are acknowledged, too: Slack would only resend them."""
        try:
            response = await answer
        except Exception:
            log.exception("Slack: a request could not be read")
            return BoltResponse(status=_OK)
        return response if response.status == _OK else BoltResponse(status=_OK)


async def _authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
    """Return no token. Bolt makes no calls for us, so there is no slow look-up."""
    return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id)


class SlackHttpEndpoint:
    """The HTTP mode: a handler for `WebServer.add_post`."""

    def __init__(self, secret: str, listener: BoltListener, clock: Clock) -> None:
        self._secret = secret.encode()
        self._listener = listener
        self._clock = clock
        self._seen = SeenKeys(_REMEMBERED, forget_after=2 * _FRESH)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Handle a request. Return 401 if Slack did not sign it, 408 if it takes too long."""
        try:
            async with asyncio.timeout(_READ_WITHIN):
                body = await request.read()
        except TimeoutError:
            return web.Response(status=408)
        signature = self._signature(request, body)
        if not signature:
            return web.Response(status=401)
        if not self._seen.first_time(signature, self._clock.now()):
            return web.Response(status=200)
        headers: dict[str, str | Sequence[str]] = {
            name: value
            for name, value in request.headers.items()
            if name.lower().startswith(("x-slack", "content-type"))
        }
        return await self._listener.request(headers, body.decode("utf-8", "replace"))

    def _signature(self, request: web.Request, body: bytes) -> str:
        """Return the request's signature, or "" if it is missing, duplicate, wrong or too old."""
        given = request.headers.getall("X-Slack-Signature", [])
        times = request.headers.getall("X-Slack-Request-Timestamp", [])
        if (
            len(given) != 1
            or len(times) != 1
            or not _SIGNATURE.fullmatch(given[0])
            or not _TIMESTAMP.fullmatch(times[0])
        ):
            return ""
        if abs(self._clock.now() - int(times[0])) > _FRESH:
            return ""
        right = hmac.new(self._secret, b"v0:%s:%s" % (times[0].encode(), body), hashlib.sha256).hexdigest()
        return given[0] if hmac.compare_digest(f"v0={right}", given[0]) else ""
