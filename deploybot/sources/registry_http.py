"""Send HTTP requests to a registry, with timeouts, redirects, size limits and rate limits. Imports aiohttp."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from deploybot.backoff import requested_seconds
from deploybot.domain import DOCKER_HUB
from deploybot.errors import Unreachable, system_words
from deploybot.net.guarded_resolver import GuardedResolver
from deploybot.ports import Clock
from deploybot.settings.address_values import leads_astray
from deploybot.units import show_duration

ASK_WITHIN = 15.0
_HUB_API = "registry-1.docker.io"
_MOST_BYTES = 4 << 20
_MOST_HOPS = 3
_REST = 60.0
_SHORTEST_REST = 1.0
_MANY = 429
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class RegistryAnswer(NamedTuple):
    """A registry's final answer, after all redirects."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    url: URL


class Peer:
    """The HTTP side of a registry. Raises Unreachable if it does not answer correctly.

    `left` is the number of pulls left for the bot's address, which Docker Hub reports; -1 if unknown.
    """

    def __init__(self, host: str, clock: Clock, *, plain: bool = False, ask_within: float = ASK_WITHIN) -> None:
        """Take its canonical host (with the port) and the clock.

        `plain` means without TLS. `ask_within` is the timeout of one request in seconds.
        """
        self.host = host
        self.base = URL(f"{'http' if plain else 'https'}://{_HUB_API if host == DOCKER_HUB else host}")
        self.left = -1
        self._clock = clock
        self._ask_within = ask_within
        self._rests_until = 0.0

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[aiohttp.ClientSession]:
        """Open a session for a few requests."""
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._ask_within),
            connector=aiohttp.TCPConnector(resolver=GuardedResolver(), limit=4),
            headers={"User-Agent": "deploybot", "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            yield session

    def unreachable(self, why: str, *, hint: str = "", retry_after: float = 0.0) -> Unreachable:
        """Return the error for a registry that can't be used, with the reason."""
        return Unreachable(f"the registry {self.host}", why, hint=hint, retry_after=retry_after)

    def strange(self, answer: RegistryAnswer) -> Unreachable:
        """Return the error for an answer that makes no sense."""
        return self.unreachable(f"it answered {answer.status}, which the bot did not expect ({answer.url.path})")

    def allows(self, url: URL) -> bool:
        """Return whether the bot may call an address that the registry names: a TLS registry requires TLS."""
        return url.scheme in {"https", self.base.scheme} and not leads_astray(url.host or "")

    async def send(
        self, session: aiohttp.ClientSession, method: str, url: URL, headers: Mapping[str, str]
    ) -> RegistryAnswer:
        """Send a request and follow a few redirects. Credentials are sent to no other host.

        While a rate limit of the registry lasts, this raises Unreachable with the seconds left.
        """
        if (rest := self._rests_until - self._clock.now()) > 0:
            raise self.unreachable(f"it asked the bot to wait {show_duration(rest)}", retry_after=rest)
        origin, headers = url.origin(), dict(headers)
        for _ in range(_MOST_HOPS + 1):
            if not self.allows(url):
                break
            answer = await self._once(session, method, url, headers)
            if answer.status not in _REDIRECTS:
                return answer
            url = _moved(answer)
            if not url.absolute or url.origin() != origin:
                headers.pop("Authorization", None)
        raise self.unreachable("it redirects to an address that the bot does not call")

    async def _once(
        self, session: aiohttp.ClientSession, method: str, url: URL, headers: Mapping[str, str]
    ) -> RegistryAnswer:
        try:
            async with session.request(method, url, headers=headers, allow_redirects=False) as response:
                body = await self._body(response) if method != "HEAD" else b""
                answer = RegistryAnswer(response.status, response.headers, body, url)
        except TimeoutError as problem:
            raise self.unreachable(f"no answer within {self._ask_within:.0f} s") from problem
        except aiohttp.ClientSSLError as problem:
            hint = "Is it without TLS? Then set `plain = true` in its [registries.NAME]."
            raise self.unreachable("no trusted TLS connection is possible", hint=hint) from problem
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            raise self.unreachable(_words(problem)) from problem
        self._count(answer)
        return answer

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise self.unreachable("its answer is too large")
        return bytes(body)

    def _count(self, answer: RegistryAnswer) -> None:
        """Store the number of pulls left (Docker Hub: `76;w=21600`). Raise Unreachable at the rate limit."""
        left = answer.headers.get("ratelimit-remaining", "").partition(";")[0].strip()
        if left.isascii() and left.isdigit():
            self.left = int(left[:9])
        if answer.status != _MANY:
            return
        asked = requested_seconds(answer.headers.get("Retry-After", ""), self._clock.now())
        rest = _REST if asked is None else max(asked, _SHORTEST_REST)
        self._rests_until = self._clock.now() + rest
        hint = "A login in [registries.NAME] raises the limit."
        why = f"its rate limit is reached; it asked the bot to wait {show_duration(rest)}"
        raise self.unreachable(why, hint=hint, retry_after=rest)


def _moved(answer: RegistryAnswer) -> URL:
    """Return the target of a redirect; an empty URL if it is invalid."""
    try:
        return answer.url.join(URL(answer.headers.get("Location", "")))
    except ValueError:
        return URL()


def _words(problem: Exception) -> str:
    if isinstance(problem, aiohttp.ClientConnectorError):
        return system_words(problem.os_error)
    return str(problem) or "the connection broke"
