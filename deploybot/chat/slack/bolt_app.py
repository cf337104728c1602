"""What Slack hands over, through Bolt, in either mode: acknowledged at once, then given on.

In HTTP mode a request has to be signed (v0, docs.slack.dev/authentication/verifying-requests-from-slack), be no
older than five minutes, and come once: the same one again is acknowledged and not given on.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
from collections import OrderedDict
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
    """Bolt's app with one listener for everything: `take` is called with each payload once it is acknowledged."""

    def __init__(self, take: Callable[[dict[str, Any]], None]) -> None:
        self._take = take
        self._app = AsyncApp(
            logger=quiet_logger(),
            client=AsyncWebClient(logger=quiet_logger()),
            authorize=_authorize,
            # Requests are verified before Bolt has them, and what the bot said itself is told by `heard`.
            request_verification_enabled=False,
            ignoring_self_events_enabled=False,
            # Bolt gives the logger of this name the level of the one above: `deploybot` would say nothing any more.
            name=quiet_logger().name,
        )
        self._app.middleware(self._acknowledge)

    async def _acknowledge(self, body: dict[str, Any], ack: AsyncAck) -> BoltResponse:
        """The only listener, before all others: nothing that follows can make an acknowledgement late."""
        self._take(body)
        return await ack()

    async def envelope(self, client: SocketModeClient, request: SocketModeRequest) -> None:
        """One envelope of Socket Mode."""
        response = await self._dispatched(run_async_bolt_app(self._app, request))
        await send_async_response(client, request, response, 0.0)

    async def request(self, headers: dict[str, str | Sequence[str]], body: str) -> web.Response:
        """One request of HTTP mode that was verified."""

        async def dispatch() -> BoltResponse:
            return await self._app.async_dispatch(AsyncBoltRequest(body=body, headers=headers))

        return await to_aiohttp_response(await self._dispatched(dispatch()))

    @staticmethod
    async def _dispatched(answer: Awaitable[BoltResponse]) -> BoltResponse:
        """Bolt's answer. What Bolt itself cannot read is acknowledged, too: Slack would only send it again."""
        try:
            response = await answer
        except Exception:
            log.exception("Slack: something that was handed over could not be read")
            return BoltResponse(status=_OK)
        return response if response.status == _OK else BoltResponse(status=_OK)


async def _authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
    """Bolt asks whose token to use; it makes no call for us, so nothing is looked up that could be slow."""
    return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id)


class HttpDoor:
    """The HTTP mode: a handler for `WebServer.add_post`."""

    def __init__(self, secret: str, hearing: BoltListener, clock: Clock) -> None:
        self._secret = secret.encode()
        self._hearing = hearing
        self._clock = clock
        self._seen: OrderedDict[str, float] = OrderedDict()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """401 for what Slack did not sign, 408 for what takes too long."""
        try:
            async with asyncio.timeout(_READ_WITHIN):
                body = await request.read()
        except TimeoutError:
            return web.Response(status=408)
        signature = self._signature(request, body)
        if not signature:
            return web.Response(status=401)
        if not self._first(signature):
            return web.Response(status=200)
        headers: dict[str, str | Sequence[str]] = {
            name: value
            for name, value in request.headers.items()
            if name.lower().startswith(("x-slack", "content-type"))
        }
        return await self._hearing.request(headers, body.decode("utf-8", "replace"))

    def _signature(self, request: web.Request, body: bytes) -> str:
        """The request's signature, or nothing where it is missing, twice there, wrong or old."""
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

    def _first(self, signature: str) -> bool:
        """Whether this signed request comes for the first time; older ones than five minutes are refused anyway."""
        now = self._clock.now()
        while self._seen and next(iter(self._seen.values())) < now - 2 * _FRESH:
            self._seen.popitem(last=False)
        if signature in self._seen:
            return False
        self._seen[signature] = now
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return True
