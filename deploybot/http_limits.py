"""What stands between the HTTP server and those who would wear it down: connections, heads and bodies, all bounded.

A flood is met by letting go of who has waited longest without having said all: whoever means it needs milliseconds for
that, so a delivery gets through while thousands hold their sockets.
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

    Bodies on their way may claim 32 MiB in all, and one of the largest allowed, `max_body` bytes, besides.
    """

    def __init__(self, *, max_body: int, most: int = CONNECTIONS, within: float = READ_WITHIN) -> None:
        self.max_body = max_body
        self._most = most
        self._within = within
        self._room = _READING + max_body
        self._open: set[web.RequestHandler] = set()
        # Both are sorted by when they came here, the oldest first.
        self._idle: dict[web.RequestHandler, None] = {}
        self._saying: dict[web.RequestHandler, float] = {}
        self._claims: dict[web.RequestHandler, int] = {}
        self._claimed = 0
        self._cut_off = 0
        self._quiet_until = 0.0
        self._sweeper: asyncio.TimerHandle | None = None

    def enter(self, connection: HttpConnection) -> None:
        """A connection was made; another one may have to go for it."""
        self._open.add(connection)
        self.speak(connection)
        if len(self._open) > self._most:
            self._drop(next(iter(self._idle), None) or next(iter(self._saying)))
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)

    def leave(self, connection: HttpConnection) -> None:
        """A connection is gone."""
        self._open.discard(connection)
        self._idle.pop(connection, None)
        self._saying.pop(connection, None)

    def speak(self, connection: web.RequestHandler) -> None:
        """Somebody begins to say something: a head, or a body."""
        self._idle.pop(connection, None)
        self._saying.pop(connection, None)
        self._saying[connection] = asyncio.get_running_loop().time()

    def hear(self, connection: HttpConnection) -> None:
        """Bytes of an idle connection came: the head of its next request begins."""
        if connection in self._idle:
            self.speak(connection)

    def begin(self, connection: web.RequestHandler) -> None:
        """A request is worked on: nothing is expected of its connection meanwhile."""
        self._saying.pop(connection, None)

    def end(self, connection: web.RequestHandler) -> None:
        """It was answered."""
        if connection in self._open:
            self._idle[connection] = None

    def claim(self, connection: web.RequestHandler, size: int) -> None:
        """A body of so many bytes is read from now on; those that have been at it longest may have to go for it."""
        self._claims[connection] = size
        self._claimed += size
        self.speak(connection)
        while self._claimed > self._room:
            self._drop(next(iter(self._claims)))

    def unclaim(self, connection: web.RequestHandler) -> None:
        """It was read, or not."""
        self._saying.pop(connection, None)
        self._claimed -= self._claims.pop(connection, 0)

    def cut_off(self, remote: str) -> None:
        """Count a request that ended before its body had come; the log has one line a minute for all of them."""
        METRICS.http_cut_off.add()
        self._cut_off += 1
        now = asyncio.get_running_loop().time()
        if now < self._quiet_until:
            return
        log.info("%d HTTP requests ended before their body had come, the last from %s", self._cut_off, remote)
        self._cut_off, self._quiet_until = 0, now + _TELL_EVERY

    def _drop(self, connection: web.RequestHandler) -> None:
        """Cut somebody off."""
        self._idle.pop(connection, None)
        self.unclaim(connection)
        connection.force_close()

    def _sweep(self) -> None:
        """Cut off whoever has had enough time."""
        loop = asyncio.get_running_loop()
        late = loop.time() - self._within
        while (oldest := next(iter(self._saying), None)) is not None and self._saying[oldest] < late:
            self._drop(oldest)
        self._sweeper = loop.call_later(_SWEEP, self._sweep) if self._open else None

    def close(self) -> None:
        """Watch no more."""
        if self._sweeper is not None:
            self._sweeper.cancel()


class HttpConnection(web.RequestHandler):
    """aiohttp's connection, counted by a gate."""

    __slots__ = ("_gate",)

    def __init__(self, gate: ConnectionGate, server: web.Server, *, keep: float, linger: float) -> None:
        """Take the gate, and seconds: how long an idle one stays, and how long a refused body is still taken."""
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=cast("logging.Logger", None),  # as AppRunner passes it: there is none then
            keepalive_timeout=keep,
            lingering_time=linger,
            max_headers=_HEADERS,
            auto_decompress=False,
        )
        self._gate = gate

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        super().connection_made(transport)
        self._gate.enter(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        self._gate.leave(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer an error that no handler made: what a client sends that is no HTTP is not worth a traceback."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return super().handle_error(request, status, exc, message)
        log.debug("%s sent no HTTP: %s", request.remote, message)
        answer = web.Response(status=status, text=f"{status}: {HTTPStatus(status).phrase}\n")
        # What no application answered is not seen by its hooks.
        answer.headers[hdrs.SERVER] = "deploybot"
        answer.force_close()
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer that says which program answers, and not of which versions it is made."""
        resp.headers[hdrs.SERVER] = "deploybot"
        return await super().finish_response(request, resp, start_time)

    def data_received(self, data: bytes) -> None:
        """Its next head may begin."""
        self._gate.hear(self)
        super().data_received(data)


async def take_body(gate: ConnectionGate, request: web.Request) -> None:
    """Read a request's body whole, so that `request.read()` has it at once.

    Raises 415 for one that is encoded (small bodies can stand for huge ones), and 413 for one that is too large, as
    soon as that is known. Who is too slow is cut off.
    """
    check_head(gate, request)
    # aiohttp's own cut: a body without a length is found too large while it is read.
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
    """Refuse a body by what its head says: 415 where it is encoded, 413 where it claims to be too large."""
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise _closing(web.HTTPUnsupportedMediaType(text="Content-Encoding is not taken: send the body as it is.\n"))
    if (request.content_length or 0) > gate.max_body:
        raise too_large(gate.max_body)


def too_large(most: int) -> web.HTTPException:
    """413 with what is allowed."""
    error = web.HTTPRequestEntityTooLarge(most, text=f"A body may have {most} bytes here (max_body in bot.toml).\n")
    return _closing(error)


def _closing(error: web.HTTPException) -> web.HTTPException:
    error.headers[hdrs.CONNECTION] = "close"
    error.force_close()
    return error
