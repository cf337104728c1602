"""The bot's own HTTP server: `/healthz`, and the routes that chats and webhooks add.

Connections, heads and bodies are bounded (`deploybot.http_limits`). Errors show only their status.
Put a reverse proxy with TLS before it: it listens on loopback unless bot.toml says otherwise.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from aiohttp import StreamReader, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from deploybot.errors import UserError, system_words
from deploybot.http_limits import ConnectionGate, HttpConnection, check_head, take_body
from deploybot.metrics import METRICS

_BODY = 1 << 20
_IDLE = 75.0
_LINGER = 1.0
_STOP_WITHIN = 2.0
_BACKLOG = 1024
_AT_ONCE = 32
_RESOLVE_WITHIN = 5.0
_ANY_PART = "*"
_CHATS = frozenset({"slack", "telegram"})
HEALTH_CODES = {"ok": 200, "degraded": 200, "down": 503}
"""The status code of `/healthz` for each status."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Refused = Callable[[web.Request, int], Awaitable[None]]
log = logging.getLogger(__name__)


class WebServer:
    """The HTTP server. `problems` returns each part's problem by name (`database`, `slack`), empty for none.

    `/healthz` answers with their status. Callers that know more add their own handler for it.
    """

    def __init__(
        self,
        listen: str,
        problems: Callable[[], Mapping[str, str]],
        *,
        max_body: int = _BODY,
        gate: ConnectionGate | None = None,
    ) -> None:
        """Take `listen` as `host:port`, and the limit of every body in bytes. Tests pass their own `gate`."""
        self._listen = listen
        self._problems = problems
        self._gate = gate or ConnectionGate(max_body=max_body)
        self._routes: dict[str, dict[str, Handler]] = {}
        self._refused: dict[str, Refused] = {}
        self._streamed: set[str] = set()
        self.add_get("/healthz", self._health)
        self._runner: web.ServerRunner | None = None
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """Return `host:port` with the real port. Call it only after `start`."""
        assert self._server is not None, "it was not started"  # noqa: S101  calling it earlier is a bug
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def add_get(self, path: str, handler: Handler) -> None:
        """Add a route for GET (and HEAD) requests, or replace it. Call it before `start`."""
        self._routes.setdefault(path, {}).update({hdrs.METH_GET: handler, hdrs.METH_HEAD: handler})

    def add_post(self, path: str, handler: Handler, refused: Refused | None = None) -> None:
        """Add a route for POST requests. Call it before `start`. A path that ends with `/*` matches any one last part.

        The handler gets the whole body from `request.read()`. Encoded, too large and too slow bodies never reach it.
        `refused` is called for a body that is too large, with the limit in bytes.
        """
        self._routes.setdefault(path, {})[hdrs.METH_POST] = handler
        if refused is not None:
            self._refused[path] = refused

    def add_upload(self, path: str, handler: Handler) -> None:
        """Add a route for HEAD, POST and PATCH whose handler reads the body itself. Call it before `start`.

        Nothing bounds that body: the handler has to, in bytes and in time. It calls `invite` before it reads.
        """
        methods = (hdrs.METH_HEAD, hdrs.METH_POST, hdrs.METH_PATCH)
        self._routes.setdefault(path, {}).update(dict.fromkeys(methods, handler))
        self._streamed.add(path)

    async def start(self) -> None:
        """Listen. Raise UserError if the address can't be used."""
        host, _, port = self._listen.rpartition(":")
        # `_request` makes every request, which the types do not express.
        server = web.Server(cast("Any", self._answer), request_factory=self._request)
        self._runner = web.ServerRunner(server, shutdown_timeout=_STOP_WITHIN)
        await self._runner.setup()

        def connection() -> HttpConnection:
            return HttpConnection(self._gate, server, keep=_IDLE, linger=_LINGER)

        loop = asyncio.get_running_loop()
        try:
            ours = await _socket(host.strip("[]"), int(port))
            self._server = await loop.create_server(connection, sock=ours, backlog=_AT_ONCE)
            # asyncio accepts as many at once as its backlog. In a flood, that would drop connections unread.
            ours.listen(_BACKLOG)
        except OSError as error:
            raise UserError(
                f"The HTTP server cannot listen on {self._listen}: {system_words(error)}.",
                hint="Change `listen` in [http] of bot.toml, or stop the program that uses the port.",
            ) from None
        log.info("HTTP on %s", self._listen)

    async def close(self) -> None:
        """Stop listening, and give requests in progress a moment to finish."""
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._gate.close()

    def _request(
        self,
        head: RawRequestMessage,
        body: StreamReader,
        connection: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.Request:
        """Return a request with the body limit, for aiohttp's server."""
        loop = task.get_loop()
        return web.Request(head, body, connection, writer, task, loop, client_max_size=self._gate.max_body)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Read the body, call the handler, and watch the connection meanwhile.

        It looks up paths in a dictionary instead of aiohttp's application: webhooks arrive here, many at once.
        """
        connection = request.protocol
        self._gate.begin(connection)
        try:
            handler = self._handler(request)
            if self._route(request) in self._streamed:
                return await handler(request)
            try:
                if hdrs.EXPECT in request.headers:
                    await self._expect(request)
                if request.method == hdrs.METH_POST:
                    await take_body(self._gate, request)
            except web.HTTPRequestEntityTooLarge:
                if refused := self._refused.get(self._route(request)):
                    await refused(request, self._gate.max_body)
                raise
            answer = await handler(request)
            if request.transport is None or request.transport.is_closing():
                METRICS.http_gone.add()
            return answer
        finally:
            self._gate.end(connection)

    def _handler(self, request: web.Request) -> Handler:
        """Return the handler of a path; escaped slashes do not separate parts. Raise 404 or 405 if there is none."""
        found = self._routes.get(self._route(request))
        if found is None:
            raise web.HTTPNotFound
        handler = found.get(request.method)
        if handler is None:
            raise web.HTTPMethodNotAllowed(request.method, [*found])
        return handler

    def _route(self, request: web.Request) -> str:
        """Return the path as it was added."""
        path = request.rel_url.path_safe
        if path in self._routes:
            return path
        parent, _, part = path.rpartition("/")
        return f"{parent}/{_ANY_PART}" if part else ""

    async def _expect(self, request: web.Request) -> None:
        """Send `100 Continue` to a client that waits for it (`Expect: 100-continue`), if its body is acceptable."""
        if request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
            raise web.HTTPExpectationFailed
        check_head(self._gate, request)
        await _invite(request)

    async def _health(self, _: web.Request) -> web.Response:
        """Answer 200 if the bot works and 503 if it is down, with only the status."""
        status = health_status(self._problems())
        return web.json_response({"status": status}, status=HEALTH_CODES[status])


async def invite(request: web.Request) -> None:
    """Ask for the body of an upload, if its client waits for that (`Expect: 100-continue`)."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await _invite(request)


async def _invite(request: web.Request) -> None:
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # The bytes written so far are not part of the answer.
    request.writer.output_size = 0


def health_status(problems: Mapping[str, str]) -> str:
    """Return `ok`, `degraded` or `down`, from the problem of each part by name; an empty text is no problem.

    The bot is degraded if a chat fails and another one works. Any other problem means that it is down.
    """
    failed = {name for name, problem in problems.items() if problem}
    chats = _CHATS & problems.keys()
    return "ok" if not failed else "degraded" if failed < chats else "down"


async def _socket(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address, or to the first address of a name. Raise OSError."""
    async with asyncio.timeout(_RESOLVE_WITHIN):
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    family, _, _, _, address = found[0]
    return socket.create_server(address, family=family)
