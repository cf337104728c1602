"""The routes `/healthz` and `/metrics` of the bot's HTTP server, and the token that opens them."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable

from aiohttp import hdrs, web

from deploybot import __version__
from deploybot.errors import StoreError
from deploybot.http_server import HEALTH_CODES
from deploybot.monitoring.bot_health import BotHealth, HealthLook, HealthPart
from deploybot.monitoring.metric_values import measured
from deploybot.monitoring.prometheus_text import CONTENT_TYPE, exposed
from deploybot.ports import Store

log = logging.getLogger(__name__)
_NOT_STORED = {hdrs.CACHE_CONTROL: "no-store"}


class Monitor:
    """Serves the bot's health and metrics. Without a `token` there are neither details nor metrics."""

    def __init__(self, look: HealthLook, store: Store, mask: Callable[[str], str], token: str = "") -> None:
        """Take the ports. `mask` removes secrets from the messages of other programs."""
        self._look = look
        self._store = store
        self._mask = mask
        self._token = token.encode()

    async def health(self, request: web.Request) -> web.Response:
        """Answer 200 if the bot works, 503 if it is down. Only requests with the token get problems and fixes."""
        health = await self._look.look()
        body: dict[str, object] = {"status": health.status}
        if self._opens(request):
            body |= self._details(health)
        return web.json_response(body, status=HEALTH_CODES[health.status], headers=_NOT_STORED)

    async def metrics(self, request: web.Request) -> web.Response:
        """Return all metrics for Prometheus. Answer 404 if bot.toml has no token, 401 for a wrong token."""
        if not self._token:
            raise web.HTTPNotFound
        if not self._opens(request):
            raise web.HTTPUnauthorized(headers={hdrs.WWW_AUTHENTICATE: "Bearer"})
        try:
            text = exposed(await measured(self._store, await self._look.look()))
        except StoreError as error:
            log.warning("/metrics: %s", error)
            raise web.HTTPServiceUnavailable from None
        return web.Response(body=text.encode(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE, **_NOT_STORED})

    def _opens(self, request: web.Request) -> bool:
        """Return whether exactly one `Authorization` header has the token."""
        given = request.headers.getall(hdrs.AUTHORIZATION, [])
        scheme, _, value = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        sent = value.strip().encode("utf-8", "surrogateescape")
        return bool(self._token) and scheme.lower() == "bearer" and hmac.compare_digest(sent, self._token)

    def _details(self, health: BotHealth) -> dict[str, object]:
        groups = {"parts": health.own, "servers": health.servers} | ({"audit": health.audit} if health.audit else {})
        body = {group: {name: self._shown(part) for name, part in parts.items()} for group, parts in groups.items()}
        return {"version": __version__, **body}

    def _shown(self, part: HealthPart) -> dict[str, object]:
        body: dict[str, object] = {"ok": not part.problem, **(part.facts or {})}
        if part.problem:
            body |= {"problem": self._mask(part.problem), "fix": self._mask(part.fix)}
        return body
