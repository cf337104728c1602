"""Slack's Web API: calls are rate-limited and have a timeout, and refusals become our own errors.

docs.slack.dev/reference/methods lists methods, scopes and errors; docs.slack.dev/apis/web-api/rate-limits the rates.
Nothing is retried here: only the caller knows whether a retry is safe.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from json import dumps
from pathlib import Path
from typing import Any, Final

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from deploybot.backoff import RequestedPauses, requested_seconds
from deploybot.chat.rate_limits import Pace, Rate, Urgency
from deploybot.chat.slack.connection_problems import DEAD_TOKENS, GRANT, SlackProblems
from deploybot.chat.slack.oauth_scopes import SCOPES
from deploybot.chat.slack.slack_sdk_setup import quiet_logger
from deploybot.chat.slack.slack_timeouts import SLOWEST, Times
from deploybot.errors import ChannelClosed, Unreachable, UserError

Json = dict[str, Any]

_UPLOAD_WITHIN: Final = 60.0
_BYTES: Final = "application/octet-stream"
_TURN_WITHIN: Final = 60.0
_DEAD_PAUSE: Final = 300.0
_SCOPE_PAUSE: Final = 60.0
_THROTTLED_PAUSE: Final = 30.0
_TOO_MANY, _OK, _BROKEN = 429, 200, 500
_FORMS: Final = frozenset({"apps.connections.open", "users.info", "conversations.info", "files.getUploadURLExternal"})
"""Methods that accept no JSON."""
_PASSING: Final = frozenset(
    {"fatal_error", "internal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
)
_THROTTLED: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
"""Errors for too many messages, which come with status 200 and without Retry-After."""
_SUSPENDED: Final = frozenset({"accesslimited", "ekm_access_denied"})
"""Errors that last until an administrator of the workspace allows access again."""
# `Pace` releases half of a rate at once, and the other half gradually.
_TIER_4: Final = Rate(95, 60)
_RATES: Final = {
    "chat.postMessage": Rate(3, 2.0),
    "chat.update": Rate(10, 6.7),
    "apps.connections.open": Rate(10, 60),
    "conversations.info": Rate(45, 60),
}
_CROWD: Final = 5
_CURES: Final = {
    "not_in_channel": "Invite the bot there: `/invite @deploybot`.",
    "channel_not_found": "Check the channel, and invite the bot there: `/invite @deploybot`.",
    "is_archived": "The channel is archived: unarchive it, or set another one.",
    **dict.fromkeys(
        ("restricted_action", "restricted_action_read_only_channel"),
        "Let apps post there: the channel's Settings, Posting permissions.",
    ),
}


class SlackRefused(UserError):
    """Slack refused a call, and a retry would not help. `error` is Slack's error code (`not_in_channel`)."""

    def __init__(self, method: str, error: str) -> None:
        super().__init__(f"Slack refused {method}: {error}.", hint=_CURES.get(error, ""))
        self.error = error


class NotInChannel(SlackRefused, ChannelClosed):
    """Slack does not let the bot write in a channel."""


class SlackApi:
    """A client of the Web API. `app_token` only opens sockets; `health` gets problems with tokens and scopes."""

    def __init__(
        self, api_url: str, bot_token: str, app_token: str, health: SlackProblems, times: Times | None = None
    ) -> None:
        self._times = times or Times()
        self._app_token = app_token
        self._health = health
        self._pace = Pace(())
        self._pauses = RequestedPauses()
        self._waiting: Counter[str] = Counter()
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._times.answer))
        self._client = AsyncWebClient(
            bot_token,
            base_url=f"{api_url.rstrip('/')}/",
            session=self._session,
            retry_handlers=[],
            logger=quiet_logger(),
        )
        self.granted: tuple[str, ...] = ()
        """The scopes of the bot token, known after the first answer."""

    @property
    def proxy(self) -> str | None:
        """Return the proxy that the library takes from the environment for every call and socket."""
        return self._client.proxy

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def call(self, method: str, urgency: Urgency = Urgency.ANSWER, /, **args: object) -> Mapping[str, Any]:
        """Make one call. Return Slack's answer.

        Raises Unreachable for temporary errors, SlackRefused for permanent ones.
        """
        channel = str(args.get("channel", "")) if method == "chat.postMessage" else ""
        key = f"{method} {channel}".rstrip()
        await self._turn(method, key, urgency)
        self._pauses.check("Slack", key)
        given = {name: value for name, value in args.items() if value is not None and value != ""}
        is_app = SCOPES[method] == ("connections:write",)
        # The library moves the token from these into the header.
        other = {"token": self._app_token} if is_app else None
        dumps(given)  # what cannot be sent is a fault of the bot, and must not look like an answer of Slack
        try:
            async with asyncio.timeout(self._times.answer):
                if method in _FORMS:
                    answer = await self._client.api_call(method, data=given, params=other)
                else:
                    answer = await self._client.api_call(method, json=given)
        except SlackApiError as error:
            raise self._refusal(method, key, error, "app_token" if is_app else "bot_token") from None
        except TimeoutError:
            raise Unreachable("Slack", f"{method} was not answered within {self._times.answer:g} s") from None
        except (aiohttp.ClientError, SlackClientError, OSError) as error:
            raise Unreachable("Slack", f"{method}: {str(error) or type(error).__name__}") from None
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            # Slack's library checks no answer: something between the bot and Slack can answer with anything.
            raise Unreachable("Slack", f"{method}: the answer can't be read ({type(error).__name__})") from error
        self._health.clear("app_token" if is_app else "bot_token", method)
        self.granted = _scopes(answer.headers) or self.granted
        return answer.data if isinstance(answer.data, dict) else {}

    async def _turn(self, method: str, key: str, urgency: Urgency) -> None:
        """Return when a call may go out. Raises Unreachable if that takes too long: nothing was sent then."""
        rate = _RATES.get(method, _TIER_4)
        self._waiting[key] += 1
        try:
            async with asyncio.timeout(_TURN_WITHIN):
                await self._pace.turn(key, Rate(rate.count, rate.seconds / self._times.hurry), urgency=urgency)
        except TimeoutError:
            raise Unreachable("Slack", "too many messages wait for their turn", retry_after=1.0) from None
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]

    def is_crowded(self, channel: str) -> bool:
        """Return whether so many messages wait for a channel that one more would be late and delay others."""
        return self._waiting[f"chat.postMessage {channel}"] >= _CROWD

    async def answer(self, url: str, message: Json) -> None:
        """Post to a response_url. Raises Unreachable for temporary errors, SlackRefused for permanent ones."""
        status, text, wait = await self._post(url, within=self._times.answer, json=message)
        if status == _TOO_MANY or status >= _BROKEN:
            raise Unreachable("Slack", f"an answer was refused with status {status}", retry_after=wait)
        if status != _OK:
            raise SlackRefused("an answer", text[:100] or str(status))

    async def upload(
        self, name: str, content: bytes | Path, channel: str, thread: str, sharing: Callable[[], Awaitable[None]]
    ) -> None:
        """Upload a file into a thread. `sharing` is awaited before the call that makes it visible.

        Raises Unreachable for temporary errors, SlackRefused for permanent ones, OSError if the file can't be read.
        """
        size = len(content) if isinstance(content, bytes) else (await asyncio.to_thread(content.stat)).st_size
        slot = await self.call("files.getUploadURLExternal", filename=name, length=size)
        status, _, _ = await self._send_file(str(slot["upload_url"]), content, _UPLOAD_WITHIN + size / SLOWEST)
        if status != _OK:
            raise Unreachable("Slack", f"the upload of {name} was refused with status {status}")
        files = [{"id": slot["file_id"], "title": name}]
        await sharing()
        await self.call("files.completeUploadExternal", files=files, channel_id=channel, thread_ts=thread)

    async def _send_file(self, url: str, content: bytes | Path, within: float) -> tuple[int, str, float]:
        """POST a file, in pieces if it is one of this machine. Return what `_post` returns."""
        if isinstance(content, bytes):
            return await self._post(url, within=within, data=content)
        with await asyncio.to_thread(content.open, "rb") as handle:
            data = aiohttp.payload.BufferedReaderPayload(handle, disposition=None, content_type=_BYTES)  # type: ignore[arg-type]  # None: no local name in a header
            return await self._post(url, within=within, data=data)

    async def _post(
        self, url: str, *, within: float, json: Json | None = None, data: bytes | aiohttp.payload.Payload | None = None
    ) -> tuple[int, str, float]:
        """POST to a URL from Slack. Return status, text and Retry-After in seconds."""
        timeout = aiohttp.ClientTimeout(total=within)
        try:
            async with self._session.post(
                url, json=json, data=data, timeout=timeout, proxy=self.proxy, allow_redirects=False
            ) as response:
                return response.status, await response.text(errors="replace"), _retry_after(response.headers)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unreachable("Slack", str(error) or type(error).__name__) from None

    def _refusal(self, method: str, key: str, error: SlackApiError, token: str) -> Unreachable | SlackRefused:
        """Return our own error for Slack's error."""
        response = error.response
        status = getattr(response, "status_code", 0) or getattr(response, "status", 0)
        body = getattr(response, "data", None)
        why = str(body.get("error", "")) if isinstance(body, dict) else ""
        if status == _TOO_MANY or why in _THROTTLED:
            pause = 1.0 if status == _TOO_MANY else _THROTTLED_PAUSE / self._times.hurry
            wait = _retry_after(response.headers) or pause
            self._pauses.note(key, wait)
            return Unreachable("Slack", f"too many messages ({why or status})", retry_after=wait)
        if why in DEAD_TOKENS:
            wrong, fix = DEAD_TOKENS[why]
            self._health.report(token, f"{token} {wrong}: {fix} ({why})")
            return Unreachable("Slack", f"{token} {wrong} ({why})", hint=fix, retry_after=_DEAD_PAUSE)
        if why == "missing_scope" and isinstance(body, dict):
            wrong = f"the app lacks the scope {body.get('needed', '')}"
            self._health.report(method, f"{wrong}: {GRANT}")
            return Unreachable("Slack", wrong, hint=GRANT, retry_after=_SCOPE_PAUSE)
        if why in _SUSPENDED:
            return Unreachable("Slack", f"{method} is suspended in the workspace ({why})", retry_after=_SCOPE_PAUSE)
        if why in _PASSING or status != _OK or not why:
            return Unreachable("Slack", f"{method} ended with {why or f'status {status}'}")
        return NotInChannel(method, why) if why in _CURES else SlackRefused(method, why)


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of Retry-After, or 0.0 without a valid header."""
    return requested_seconds(str(headers.get("Retry-After", "")), time.time()) or 0.0


def _scopes(headers: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(scope.strip() for scope in str(headers.get("X-OAuth-Scopes", "")).split(",") if scope.strip())
