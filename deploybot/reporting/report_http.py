"""HTTP calls to other services: only to addresses from bot.toml, never to redirects or forbidden addresses.

A name is resolved and its addresses are checked. The connection then goes to exactly those, so a second look-up cannot
lead elsewhere. Failed calls and answers become deploybot's errors here: `Unreachable` if a retry may help.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from deploybot import __version__
from deploybot.backoff import pause_in_headers
from deploybot.errors import Unreachable, UserError, system_words
from deploybot.net.address_guard import check_resolved
from deploybot.net.guarded_resolver import GuardedResolver
from deploybot.untrusted_input import Unreadable, json_of

WITHIN = 15.0
_LONGEST_ANSWER = 1 << 20
_WAY = "Check its address in bot.toml and that this machine can reach it."
_SHOWN = 200
_REFUSED = frozenset({400, 410, 413, 422})
"""Statuses of a request that the other side understood and will never accept."""
_NOT_ALLOWED = frozenset({401, 403, 404})


@dataclass(frozen=True, slots=True)
class ReportAnswer:
    """A response: the status, the headers, and up to 1 MiB of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def words(self) -> str:
        """Return the error message in the body, in one line."""
        try:
            answer = json_of(self.body)
            if isinstance(answer, dict):
                answer = answer.get("message") or answer.get("error") or answer.get("errors") or ""
            words = answer if isinstance(answer, str) else json.dumps(answer)
        except Unreadable:
            words = self.body.decode("utf-8", "replace")
        return " ".join(words.split())[:_SHOWN]


class Caller:
    """One session for all calls, opened by the first one. `within` is the timeout of a call in seconds.

    A custom `resolver` is for tests. Its addresses are checked like any others.
    """

    def __init__(self, *, within: float = WITHIN, resolver: AbstractResolver | None = None) -> None:
        """Take the timeout and the resolver. Nothing is opened yet."""
        self._within = within
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(
        self, method: str, url: str, *, headers: Mapping[str, str], what: str, body: bytes | None = None
    ) -> ReportAnswer:
        """Send a request and return the response, whatever its status.

        `url` is already quoted. Raises Unreachable for `what` if there is no response.
        """
        try:
            parsed = URL(url, encoded=True)
            check_resolved(parsed.host or "")
            async with (
                asyncio.timeout(self._within),
                self._opened().request(method, parsed, headers=headers, data=body, allow_redirects=False) as response,
            ):
                data = await _beginning(response)
                return ReportAnswer(response.status, dict(response.headers.items()), data)
        except TimeoutError:
            raise Unreachable(what, f"no answer within {self._within:g} s", hint=_WAY) from None
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            raise Unreachable(what, _why(problem), hint=_WAY) from problem

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=GuardedResolver(self._resolver), limit_per_host=4),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"deploybot/{__version__}"},
                auto_decompress=False,
            )
        return self._session


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Return the body, cut off after 1 MiB."""
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > _LONGEST_ANSWER:
            response.close()
            break
    return bytes(data[:_LONGEST_ANSWER])


def _why(problem: Exception) -> str:
    cause = problem.os_error if isinstance(problem, aiohttp.ClientConnectorError) else problem
    if isinstance(problem, aiohttp.ClientConnectorCertificateError):
        cause = problem.certificate_error
    # Its number is OpenSSL's, not the system's: 1 would be shown as “operation not permitted”.
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return f"TLS fails: {cause.reason or cause}"
    return system_words(cause) if isinstance(cause, OSError) else str(problem) or type(problem).__name__


def accepted(answer: ReportAnswer, what: str) -> ReportAnswer:
    """Return the answer if its status is a success.

    Raises UserError if the other side will never accept the request, and Unreachable if a retry may help. Its
    `retry_after` is set if the other side asks for a pause.
    """
    if 200 <= answer.status < 300:  # noqa: PLR2004  any 2xx
        return answer
    text = f"it answers {answer.status}" + (f": {answer.words}" if answer.words else "")
    if answer.status in _REFUSED:
        raise UserError(f"{what}: {text}")
    raise Unreachable(what, text, hint=_fix_of(answer), retry_after=pause_in_headers(answer.headers, time.time()))


def _fix_of(answer: ReportAnswer) -> str:
    if 300 <= answer.status < 400:  # noqa: PLR2004  any 3xx
        return "Redirects are not followed: set the final address in bot.toml."
    if answer.status in _NOT_ALLOWED:
        return "Check the address, the token and its permissions."
    return ""


@dataclass(frozen=True, slots=True)
class Api:
    """A JSON API: its URL, the headers that authenticate, and its name for error messages."""

    caller: Caller
    url: str
    headers: Mapping[str, str]
    what: str

    async def get(self, path: str) -> object:
        """Return the JSON at `path` (`/…`). Raises as `accepted` does."""
        return await self._ask("GET", path, None)

    async def send(self, method: str, path: str, body: Mapping[str, object]) -> object:
        """Send JSON by POST or PUT and return the answer. Raises as `accepted` does."""
        return await self._ask(method, path, json.dumps(body).encode())

    async def _ask(self, method: str, path: str, body: bytes | None) -> object:
        headers = {"Accept": "application/json", **self.headers}
        if body is not None:
            headers["Content-Type"] = "application/json"
        answer = await self.caller.call(method, self.url + path, headers=headers, what=self.what, body=body)
        try:
            return json_of(accepted(answer, self.what).body)
        except Unreadable:
            raise Unreachable(self.what, "its answer is not JSON: is this the address of its API?") from None
