"""Protect the HTTP server from overload: connections, heads and bodies are all bounded.

In a flood, the server drops the connections that have taken longest to send their request. An honest client needs only
milliseconds for that, so deliveries get through while thousands hold their sockets.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import cast

from aiohttp import hdrs, web

from deploybot.metrics import METRICS

CONNECTIONS = 512
READ_WITHIN = 10.0
_READING = 32 << 20
_SWEEP = 1.0
_HEADERS = 100
_TELL_EVERY = 60.0
log = logging.getLogger(__name__)


class ConnectionGate:
    """The connections of a server: at most `most`, each with `within` seconds for a head and again for a body.

    Bodies in transfer may take 32 MiB in total, plus one of the largest allowed size, `max_body` bytes.
    """

    def __init__(self, *, max_body: int, most: int = CONNECTIONS, within: float = READ_WITHIN) -> None:
        self.max_body = max_body
        self._most = most
        self._within = within
        self._room = _READING + max_body
        self._open: set[web.RequestHandler] = set()
        # Both are sorted by when the connection was added, oldest first.
        self._idle: dict[web.RequestHandler, None] = {}
        self._receiving: dict[web.RequestHandler, float] = {}
        self._claims: dict[web.RequestHandler, int] = {}
        self._claimed = 0
        self._cut_off = 0
        self._quiet_until = 0.0
        self._sweeper: asyncio.TimerHandle | None = None

    def enter(self, connection: HttpConnection) -> None:
        """Add a new connection. Drop another one if there are too many."""
        self._open.add(connection)
        self.start_clock(connection)
        if len(self._open) > self._most:
            self._drop(next(iter(self._idle), None) or next(iter(self._receiving)))
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)

    def leave(self, connection: HttpConnection) -> None:
        """Remove a closed connection."""
        self._open.discard(connection)
        self._idle.pop(connection, None)
        self._receiving.pop(connection, None)

    def start_clock(self, connection: web.RequestHandler) -> None:
        """Start the clock for a connection that begins to send a head or a body."""
        self._idle.pop(connection, None)
        self._receiving.pop(connection, None)
        self._receiving[connection] = asyncio.get_running_loop().time()

    def bytes_arrived(self, connection: HttpConnection) -> None:
        """Start the clock for an idle connection that sends bytes: the head of its next request begins."""
        if connection in self._idle:
            self.start_clock(connection)

    def begin(self, connection: web.RequestHandler) -> None:
        """Stop the clock of a connection while its request is handled."""
        self._receiving.pop(connection, None)

    def end(self, connection: web.RequestHandler) -> None:
        """Mark a connection as idle after its answer."""
        if connection in self._open:
            self._idle[connection] = None

    def claim(self, connection: web.RequestHandler, size: int) -> None:
        """Reserve room for a body of this many bytes. Drop the oldest transfers if there is too little."""
        self._claims[connection] = size
        self._claimed += size
        self.start_clock(connection)
        while self._claimed > self._room:
            self._drop(next(iter(self._claims)))

    def unclaim(self, connection: web.RequestHandler) -> None:
        """Free the room of a body, whether it was read or not."""
        self._receiving.pop(connection, None)
        self._claimed -= self._claims.pop(connection, 0)

    def cut_off(self, remote: str) -> None:
        """Count a request that ended before its body was complete. The log gets one line a minute for all of them."""
        METRICS.http_cut_off.add()
        self._cut_off += 1
        now = asyncio.get_running_loop().time()
        if now < self._quiet_until:
            return
        log.info("%d HTTP requests ended before their body was complete, the last from %s", self._cut_off, remote)
        self._cut_off, self._quiet_until = 0, now + _TELL_EVERY

    def _drop(self, connection: web.RequestHandler) -> None:
        """Drop a connection."""
        self._idle.pop(connection, None)
        self.unclaim(connection)
        connection.force_close()

    def _sweep(self) -> None:
        """Drop connections that have taken too long."""
        loop = asyncio.get_running_loop()
        late = loop.time() - self._within
        while (oldest := next(iter(self._receiving), None)) is not None and self._receiving[oldest] < late:
            self._drop(oldest)
        self._sweeper = loop.call_later(_SWEEP, self._sweep) if self._open else None

    def close(self) -> None:
        """Stop checking connections."""
        if self._sweeper is not None:
            self._sweeper.cancel()


class HttpConnection(web.RequestHandler):
    """An aiohttp connection that a gate counts."""

    __slots__ = ("_gate",)

    def __init__(self, gate: ConnectionGate, server: web.Server, *, keep: float, linger: float) -> None:
        """Take the gate, the seconds to keep an idle connection, and those to read the rest of a refused body."""
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=cast("logging.Logger", None),  # as AppRunner passes it: there is no access log then
            keepalive_timeout=keep,
            lingering_time=linger,
            max_headers=_HEADERS,
            auto_decompress=False,
        )
        self._gate = gate

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Add the connection to the gate."""
        super().connection_made(transport)
        self._gate.enter(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Remove the connection from the gate."""
        self._gate.leave(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer an error outside of handlers. Bytes that are not HTTP are not worth a traceback."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return super().handle_error(request, status, exc, message)
        log.debug("%s did not send HTTP: %s", request.remote, message)
        answer = web.Response(status=status, text=f"{status}: {HTTPStatus(status).phrase}\n")
        # aiohttp's response hooks do not see this answer, so set the header here.
        answer.headers[hdrs.SERVER] = "deploybot"
        answer.force_close()
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer whose Server header names deploybot and no versions."""
        resp.headers[hdrs.SERVER] = "deploybot"
        return await super().finish_response(request, resp, start_time)

    def data_received(self, data: bytes) -> None:
        """Report incoming bytes to the gate: the next head may begin."""
        self._gate.bytes_arrived(self)
        super().data_received(data)


async def take_body(gate: ConnectionGate, request: web.Request) -> None:
    """Read a request's whole body, so that `request.read()` returns it at once.

    Raises 415 for an encoded body (small ones can expand to huge ones), and 413 for one that is too large.
    Both are raised as early as possible. Clients that are too slow are dropped.
    """
    check_head(gate, request)
    # aiohttp's own limit: a body without a length is only found too large while it is read.
    gate.claim(request.protocol, gate.max_body if request.content_length is None else request.content_length)
    try:
        await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large(gate.max_body) from None
    except (ConnectionError, web.RequestPayloadError):
        gate.cut_off(request.remote or "nowhere")
        raise _closing(web.HTTPBadRequest(text="The body ended too early.\n")) from None
    finally:
        gate.unclaim(request.protocol)


def check_head(gate: ConnectionGate, request: web.Request) -> None:
    """Refuse a body by its head: 415 if it is encoded, 413 if it claims to be too large."""
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise _closing(
            web.HTTPUnsupportedMediaType(text="Content-Encoding is not supported: send the body uncompressed.\n")
        )
    if (request.content_length or 0) > gate.max_body:
        raise too_large(gate.max_body)


def too_large(most: int) -> web.HTTPException:
    """Return a 413 error that names the limit in bytes."""
    error = web.HTTPRequestEntityTooLarge(most, text=f"The limit for a body is {most} bytes (max_body in bot.toml).\n")
    return _closing(error)


def _closing(error: web.HTTPException) -> web.HTTPException:
    error.headers[hdrs.CONNECTION] = "close"
    error.force_close()
    return error
