"""The bot's own HTTP server: what chats and webhooks are given to it as routes, and `/healthz`.

Bodies are capped before they are read, a slow client is cut off, and no error tells more than its status.
Put a reverse proxy with TLS before it: it listens on loopback unless bot.toml says otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from deploybot.errors import UserError

_BODY = 1 << 20
_READ_WITHIN = 10.0
_STOP_WITHIN = 2.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = logging.getLogger(__name__)


class WebServer:
    """`problems` gives what is ill by name (`database`, `slack`), for `/healthz`; empty texts are well."""

    def __init__(self, listen: str, problems: Callable[[], Mapping[str, str]]) -> None:
        """`listen` is `host:port`."""
        self._listen = listen
        self._problems = problems
        self._app = web.Application(client_max_size=_BODY)
        self._app.router.add_get("/healthz", self._health)
        self._runner: web.AppRunner | None = None

    def add_post(self, path: str, handler: Handler) -> None:
        """Take POST requests to a path; before `start`. A body over 1 MiB is refused with 413."""
        self._app.router.add_post(path, handler)

    async def start(self) -> None:
        """Listen. UserError when the address cannot be had."""
        host, _, port = self._listen.rpartition(":")
        self._runner = web.AppRunner(
            self._app, access_log=None, handle_signals=False, shutdown_timeout=_STOP_WITHIN, lingering_time=_READ_WITHIN
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            raise UserError(
                f"The HTTP server cannot listen on {self._listen}: {error.strerror}.",
                hint="Change `listen` in [http] of bot.toml, or stop what has the port.",
            ) from None
        log.info("HTTP on %s", self._listen)

    async def close(self) -> None:
        """Stop listening; requests on their way get a moment."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _health(self, _: web.Request) -> web.Response:
        """200 when all is well, 503 otherwise; names what is ill, and tells nothing more."""
        ill = sorted(name for name, problem in self._problems().items() if problem)
        return web.json_response({"status": "ill" if ill else "ok", "ill": ill}, status=503 if ill else 200)
