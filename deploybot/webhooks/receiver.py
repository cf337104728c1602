"""Answer senders: check the proof first, then store the delivery durably, and only then answer 2xx.

Bodies are not parsed here. A duplicate (`repeated_deliveries`) is answered with 2xx, too.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol
from urllib.parse import unquote

from aiohttp import web

from deploybot.errors import StoreError
from deploybot.http_server import WebServer
from deploybot.metrics import METRICS
from deploybot.ports import Clock, NewDelivery, Store
from deploybot.setup_notices import Notice
from deploybot.token_bucket import TokenBucket
from deploybot.units import show_size
from deploybot.webhooks.body_reading import plain
from deploybot.webhooks.delivery_writer import DeliveryWriter
from deploybot.webhooks.hook_addresses import HookAddress
from deploybot.webhooks.repeated_deliveries import again_after, digest_of
from deploybot.webhooks.sender_notices import no_report, too_large_notice
from deploybot.webhooks.sender_port import ForgedError, Received, Sender
from deploybot.webhooks.senders import sender

_BURST_SECONDS = 10
_MINUTE = 60.0
_RETRY_STORE = 30
_REFUSALS = 5
_KEPT_HEADERS = ("x-", "webhook-id", "webhook-timestamp", "content-type", "user-agent")
_KEPT_PARAMETERS = frozenset({"registry"})
_PROOFS = ("token", "signature", "secret", "auth", "password")
log = logging.getLogger(__name__)


class Shelf(Protocol):
    """The queue of deliveries that wait to be processed."""

    def room(self, size: int) -> bool:
        """Return whether a body of so many bytes still has room."""

    def put(self, size: int) -> None:
        """Report that a delivery was stored, with a body of so many bytes."""


class Receiver:
    """Answers at the addresses of all senders that bot.toml has a secret for. There are no others.

    Each may be called `rate` times a second, with ten times as many at once.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        shelf: Shelf,
        *,
        rate: float,
        report: Callable[[Notice], Awaitable[None]] = no_report,
    ) -> None:
        """Take the store, the clock and the queue. `report` posts refused calls in chat."""
        self._writer = DeliveryWriter(store)
        self._clock = clock
        self._shelf = shelf
        self._rate = rate
        self._report = report

    def open(self, server: WebServer, address: HookAddress) -> None:
        """Answer at an address, also with a secret at its end for senders that prove themselves that way.

        Call this before the server starts.
        """
        endpoint = _Endpoint(address, sender(address.sender), TokenBucket(self._rate, self._rate * _BURST_SECONDS))
        handler = functools.partial(self._take, endpoint)
        refused = functools.partial(self._too_large, endpoint)
        server.add_post(address.path, handler, refused)
        server.add_post(f"{address.path}/*", handler, refused)

    async def _too_large(self, endpoint: _Endpoint, request: web.Request, most: int) -> None:
        """Log a body that is too large, and report the first one. It is unknown whether it was authentic."""
        METRICS.webhooks.add(endpoint.name, "too_large")
        size = show_size(request.content_length) if request.content_length else f"more than {show_size(most)}"
        if not endpoint.refusals.take_if_free(time.monotonic()):
            log.warning(
                "%s: a body of %s from %s (%s) was refused with 413: raise max_body in [http] of bot.toml, now %s",
                endpoint.path,
                size,
                request.remote,
                plain(request.headers.get("User-Agent", "")),
                show_size(most),
            )
        await self._report(too_large_notice(endpoint.path, endpoint.address.app, size, show_size(most)))

    async def _take(self, endpoint: _Endpoint, request: web.Request) -> web.Response:
        begun = time.monotonic()
        answer = await self._answer(endpoint, request, begun)
        METRICS.webhook_seconds.observe(time.monotonic() - begun, endpoint.name)
        return answer

    async def _answer(self, endpoint: _Endpoint, request: web.Request, now: float) -> web.Response:
        received = await _received(request, endpoint.path, self._clock.now())
        try:
            endpoint.sender.verify(received, endpoint.secret)
        except ForgedError as error:
            log.info("%s: refused: %s", endpoint.path, error)
            return endpoint.refuse("forged", 403, "The signature or secret is missing or wrong.")
        wait = endpoint.bucket.take_if_free(now)
        if wait:
            return endpoint.refuse("limited", 429, "Too many at once.", retry_after=wait)
        if not self._shelf.room(len(received.body)):
            return endpoint.refuse("full", 503, "Too many deliveries are waiting.", retry_after=_RETRY_STORE)
        try:
            number = await self._writer.keep(endpoint.new(received))
        except StoreError:
            # The store itself reports the cause, in the log and at /healthz.
            return endpoint.refuse("unkept", 503, "The delivery cannot be stored now.", retry_after=_RETRY_STORE)
        if not number:
            return endpoint.answer("double", b'{"result":"double"}\n')
        self._shelf.put(len(received.body))
        return endpoint.answer("kept", b'{"result":"kept","delivery":%d}\n' % number)


class _Endpoint:
    """An address, its sender, and how often it may be called."""

    __slots__ = ("address", "bucket", "name", "path", "refusals", "secret", "sender")

    def __init__(self, address: HookAddress, caller: Sender, bucket: TokenBucket) -> None:
        self.address = address
        self.name = address.sender
        self.path = address.path
        self.secret = address.secret.reveal()
        self.sender = caller
        self.bucket = bucket
        self.refusals = TokenBucket(_REFUSALS / _MINUTE, _REFUSALS)

    def answer(self, result: str, body: bytes) -> web.Response:
        """Return a 2xx response, and count it."""
        METRICS.webhooks.add(self.name, result)
        return web.Response(body=body, content_type="application/json")

    def refuse(self, result: str, status: int, sentence: str, *, retry_after: float = 0.0) -> web.Response:
        """Return an error, and count it. `retry_after` are the seconds that the sender should wait."""
        METRICS.webhooks.add(self.name, result)
        headers = {"Retry-After": str(int(retry_after) + 1)} if retry_after else {}
        return web.json_response({"result": result, "error": sentence}, status=status, headers=headers)

    def new(self, received: Received) -> NewDelivery:
        """Return the parts of a delivery to store, without anything that proves its origin."""
        delivery = self.sender.delivery(received)
        return NewDelivery(
            app=self.address.app,
            sender=self.name,
            delivery=delivery,
            digest=digest_of(self.sender, received.body, delivery),
            again_after=again_after(self.sender),
            body=received.body,
            received=received.at,
            headers=self._harmless(received.headers),
            query=self._harmless(received.query) if received.query else {},
        )

    def _harmless(self, values: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
        """Return the headers or parameters to store, without any that hold a proof or the secret."""
        return {
            name: found
            for name, found in values.items()
            if _is_stored(name) and not any(self.secret in value or self.secret in unquote(value) for value in found)
        }


@functools.lru_cache(maxsize=256)
def _is_stored(name: str) -> bool:
    """Return whether a header, or a parameter of an address, may be stored, judged by its name."""
    kept = name.startswith(_KEPT_HEADERS) or name in _KEPT_PARAMETERS
    return kept and not any(word in name for word in _PROOFS)


@functools.lru_cache(maxsize=256)
def _lower(name: bytes) -> str:
    return name.decode("latin-1").lower()


async def _received(request: web.Request, address: str, at: float) -> Received:
    """Return a request to an address in the form that senders read."""
    headers: dict[str, list[str]] = {}
    for raw, content in request.raw_headers:
        headers.setdefault(_lower(raw), []).append(content.decode("utf-8", "surrogateescape"))
    query: dict[str, list[str]] = {}
    for key, value in request.query.items() if request.query_string else ():
        query.setdefault(key, []).append(value)
    path = "" if request.path == address else request.rel_url.name
    return Received(headers=headers, body=await request.read(), query=query, path=path, at=at)
