"""How Slack hands something over: Socket Mode (docs.slack.dev/apis/events-api/using-socket-mode), or signed HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from tests.doubles.slack.mrkdwn import Json
from tests.doubles.timeline import Unkind

MOST_SOCKETS = 10
LIFE = 360


@dataclass(slots=True)
class Wire:
    """Delivers envelopes to whoever is connected. `hook` is the bot's address in HTTP mode.

    `delays` are the seconds after which the envelopes so far were acknowledged; with `deaf` no ping is answered,
    with `disabled` Socket Mode is off.
    """

    unkind: Unkind
    violations: list[str]
    now: Callable[[], float]
    ack_within: float = 3.0
    hook: str = ""
    signing_secret: str = ""
    url: str = ""
    tickets: set[str] = field(default_factory=set)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    opened: int = 0
    delays: list[float] = field(default_factory=list)
    deaf: bool = False
    disabled: bool = False
    _acks: dict[str, asyncio.Future[Json]] = field(default_factory=dict)
    _plain: set[asyncio.Future[Json]] = field(default_factory=set)
    _turn: int = 0

    def ticket(self) -> str:
        """An address for one socket, good once."""
        made = secrets.token_hex(8)
        self.tickets.add(made)
        return f"{self.url.replace('http', 'ws', 1)}/link/?ticket={made}&app_id=A0APP"

    async def link(self, request: web.Request) -> web.StreamResponse:
        """One socket's life."""
        ticket = request.query.get("ticket", "")
        if ticket not in self.tickets:
            self.violations.append("a socket with a ticket that was used or made up")
            return web.Response(status=404)
        self.tickets.discard(ticket)
        socket = web.WebSocketResponse(autoping=not self.deaf)
        await socket.prepare(request)
        if self.disabled or len(self.sockets) >= MOST_SOCKETS:
            reason = "link_disabled" if self.disabled else "too_many_websockets"
            await socket.send_json({"type": "disconnect", "reason": reason})
            return socket
        self.opened += 1
        await socket.send_json(
            {
                "type": "hello",
                "num_connections": len(self.sockets) + 1,
                "debug_info": {"host": "applink-1", "approximate_connection_time": LIFE},
                "connection_info": {"app_id": "A0APP"},
            }
        )
        self.sockets.append(socket)
        self.connected.set()
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._heard(message.json())
        finally:
            self._gone(socket)
        return socket

    def _heard(self, message: Json) -> None:
        if unknown := message.keys() - {"envelope_id", "payload"}:
            self.violations.append(f"socket: an answer with {sorted(unknown)}")
        future = self._acks.get(message.get("envelope_id", ""))
        if future is None:
            self.violations.append("socket: an acknowledgement of nothing")
        elif not future.done():
            if message.get("payload") and future in self._plain:
                self.violations.append("socket: an event was answered with a payload")
            future.set_result(message.get("payload") or {})

    def _gone(self, socket: web.WebSocketResponse) -> None:
        if socket in self.sockets:
            self.sockets.remove(socket)
        if not self.sockets:
            self.connected.clear()

    async def warn(self, reason: str = "refresh_requested") -> None:
        """Tell every socket that it will be closed."""
        for socket in list(self.sockets):
            await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-1"}})

    def cut(self) -> None:
        """Cut every socket without a word."""
        for socket in list(self.sockets):
            _abort(socket)
            self._gone(socket)

    async def hand_over(self, kind: str, payload: Json, *, again: int = 0) -> Json | None:
        """Deliver once, or twice on request; the acknowledgement, or None where none came in time."""
        if self.unkind.dropped > 0 and not self.hook:
            self.unkind.dropped -= 1
            self.cut()
            if kind != "events_api":
                return None
            again += 1
        twice = self.unkind.twice > 0
        self.unkind.twice -= twice
        answer = await self._once(kind, payload, again)
        if twice:
            await self._once(kind, payload, again + 1)
        if answer is None and kind == "events_api" and again < 3:
            return await self.hand_over(kind, payload, again=again + 1)
        return answer

    async def _once(self, kind: str, payload: Json, again: int) -> Json | None:
        started = asyncio.get_running_loop().time()
        try:
            answer = await (self._post(kind, payload, again) if self.hook else self._send(kind, payload, again))
        except TimeoutError:
            self.violations.append(f"{kind} was not acknowledged within {self.ack_within:g} s")
            return None
        except (ConnectionError, aiohttp.ClientError):
            return None
        self.delays.append(asyncio.get_running_loop().time() - started)
        return answer

    async def _send(self, kind: str, payload: Json, again: int) -> Json | None:
        """Through one of the sockets; a message waits until there is one, a person does not."""
        async with asyncio.timeout(60 if kind == "events_api" else 0.5) as patience:
            await self.connected.wait()
            patience.reschedule(None)
        socket = self.sockets[self._turn % len(self.sockets)]
        self._turn += 1
        envelope = secrets.token_hex(8)
        more = {"retry_attempt": again, "retry_reason": "timeout" if again else ""} if kind == "events_api" else {}
        future = self._acks[envelope] = asyncio.get_running_loop().create_future()
        if kind == "events_api":
            self._plain.add(future)
        try:
            await socket.send_json(
                {
                    "envelope_id": envelope,
                    "type": kind,
                    "payload": payload,
                    "accepts_response_payload": kind != "events_api",
                    **more,
                }
            )
            async with asyncio.timeout(self.ack_within):
                answer: Json = await future
                return answer
        finally:
            del self._acks[envelope]
            self._plain.discard(future)

    async def _post(self, kind: str, payload: Json, again: int) -> Json | None:
        body, content = encode(kind, payload)
        headers = {**signed(self.signing_secret, body, int(self.now())), "Content-Type": content}
        if again:
            headers |= {"X-Slack-Retry-Num": str(again), "X-Slack-Retry-Reason": "http_timeout"}
        status, text = await post(self.hook, body, headers, within=self.ack_within)
        if status != 200:
            return None
        answered: Json = json.loads(text) if text.startswith("{") else {}
        return answered


def encode(kind: str, payload: Json) -> tuple[bytes, str]:
    """A body as Slack posts it, and its type."""
    if kind == "events_api":
        return json.dumps(payload).encode(), "application/json"
    form = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
    return urlencode(form).encode(), "application/x-www-form-urlencoded"


def signed(secret: str, body: bytes, at: int) -> dict[str, str]:
    """The headers of Slack's signature v0 (docs.slack.dev/authentication/verifying-requests-from-slack)."""
    digest = hmac.new(secret.encode(), b"v0:%d:%s" % (at, body), hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": str(at), "X-Slack-Signature": f"v0={digest}"}


async def post(url: str, body: bytes, headers: dict[str, str], *, within: float = 3.0) -> tuple[int, str]:
    """POST something; status and text. TimeoutError when no answer came in time."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=within)) as session,
        session.post(url, data=body, headers=headers) as response,
    ):
        return response.status, await response.text()


def _abort(socket: web.WebSocketResponse) -> None:
    transport = socket._req.transport if socket._req is not None else None
    if transport is not None:
        transport.abort()
