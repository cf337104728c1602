"""Download artifacts and checksum files, and ask forges, over TLS, never at a forbidden address. Imports aiohttp."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from deploybot import __version__
from deploybot.backoff import pause_in_headers
from deploybot.errors import Unreachable, UserError, system_words
from deploybot.net.address_guard import check_resolved, is_loopback
from deploybot.net.guarded_resolver import GuardedResolver
from deploybot.settings.address_values import leads_astray
from deploybot.units import show_duration, show_size
from deploybot.untrusted_input import Unreadable, json_of

ASK_WITHIN = 20.0
SAVE_WITHIN = 3600.0
STALLED_AFTER = 60.0
_MOST_HOPS = 5
_MOST_TEXT = 1 << 20
_MOST_JSON = 4 << 20
_PIECE = 1 << 20
_OK = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_DENIED = frozenset({401, 403})
_LIMITED = frozenset({403, 429})
"""GitHub answers both at its rate limits."""


class ArtifactServer:
    """The host that an app's artifacts come from. Its token goes to the origin of `home` alone."""

    def __init__(
        self,
        home: str,
        token: str = "",
        *,
        denied: str = "Check `token` of the app's artifact in bot.toml.",
        missing: str = "Was it built and published?",
        resolver: AbstractResolver | None = None,
    ) -> None:
        """Take the address from bot.toml, filled in, and the token. A custom `resolver` is for tests.

        `denied` and `missing` say what to do if the origin of `home` refuses the token, or does not have something.
        """
        self._home = URL(home, encoded=True).origin()
        self._token = token
        self._denied, self._missing = denied, missing
        self._resolver = resolver

    async def text(self, url: str) -> str:
        """Return a small text file, such as a checksum file. Raises Unreachable, or UserError if there is none."""
        async with self._opened("GET", url, ASK_WITHIN) as response:
            data = await _body(response, _MOST_TEXT)
        if data is None:
            raise UserError(f"{url} is too large for a checksum file.", hint="Check `sha256` in bot.toml.")
        return data.decode("utf-8", "replace")

    async def json(self, url: str) -> Mapping[str, object] | Sequence[object]:
        """Return the answer of an API. Raises Unreachable, or UserError if it does not have that."""
        async with self._opened("GET", url, ASK_WITHIN) as response:
            data = await _body(response, _MOST_JSON)
        try:
            found = json_of(data) if data is not None else None
        except Unreadable:
            found = None
        if not isinstance(found, dict | list):
            raise Unreachable(url, "its answer is no JSON that the bot can read", hint=self._missing)
        return found

    async def size(self, url: str) -> int:
        """Return the size of a file in bytes; 0 if the server does not say."""
        try:
            async with self._opened("HEAD", url, ASK_WITHIN) as response:
                return response.content_length or 0
        except (Unreachable, UserError):
            return 0  # not every server answers HEAD, and some answer 404

    async def save(self, url: str, target: Path, *, most: int, within: float = SAVE_WITHIN) -> str:
        """Download a file of at most `most` bytes. Return its SHA-256. Raises Unreachable or UserError."""
        async with self._opened("GET", url, within) as response:
            if (response.content_length or 0) > most:
                raise _too_large(url, most)
            digest, total = hashlib.sha256(), 0
            file = await asyncio.to_thread(_opened_privately, target)
            try:
                async for piece in response.content.iter_chunked(_PIECE):
                    total += len(piece)
                    if total > most:
                        raise _too_large(url, most)
                    await asyncio.to_thread(_write, file, digest, piece)
            finally:
                await asyncio.to_thread(file.close)
        return digest.hexdigest()

    @asynccontextmanager
    async def _opened(self, method: str, url: str, within: float) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request, follow redirects, and yield the answer 200. All of it may take `within` seconds."""
        try:
            async with (
                asyncio.timeout(within),
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(resolver=GuardedResolver(self._resolver)),
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=ASK_WITHIN, sock_read=STALLED_AFTER),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    headers={"User-Agent": f"deploybot/{__version__}", "Accept-Encoding": "identity"},
                    auto_decompress=False,
                ) as session,
                self._final(session, method, URL(url, encoded=True)) as response,
            ):
                yield response
        except TimeoutError:
            raise Unreachable(url, "it did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            raise Unreachable(url, _words(problem)) from problem

    @asynccontextmanager
    async def _final(
        self, session: aiohttp.ClientSession, method: str, url: URL
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        asked = url
        for _ in range(_MOST_HOPS + 1):
            self._insist(asked, url)
            authorised = (
                {"Authorization": f"Bearer {self._token}"} if self._token and url.origin() == self._home else {}
            )
            async with session.request(method, url, headers=authorised, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    self._accept(response, str(asked))
                    yield response
                    return
                url = url.join(URL(response.headers.get("Location", "")))
        raise Unreachable(str(asked), f"it redirects more than {_MOST_HOPS} times")

    def _insist(self, asked: URL, url: URL) -> None:
        """Raise Unreachable if an address may not be called: https stays https."""
        host = url.host or ""
        plain = url.scheme == "http" and asked.scheme == "http" and is_loopback(host)
        if (url.scheme != "https" and not plain) or leads_astray(host):
            raise Unreachable(str(asked), "it redirects to an address that the bot does not call")
        check_resolved(host)

    def _accept(self, response: aiohttp.ClientResponse, url: str) -> None:
        if response.status == _OK:
            return
        if response.status in _GONE:
            raise UserError(f"There is no {url} (it answers {response.status}).", hint=self._missing)
        pause = pause_in_headers(response.headers, time.time()) if response.status in _LIMITED else 0.0
        if pause:
            why = f"it answers {response.status}: the rate limit is reached"
            hint = f"Try again in {show_duration(pause)}."
            raise Unreachable(url, why, hint=hint, retry_after=pause)
        denied = response.status in _DENIED and response.url.origin() == self._home
        raise Unreachable(url, f"it answers {response.status}", hint=self._denied if denied else "")


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes | None:
    """Return the body; None if it has more bytes than that."""
    data = bytearray()
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > most:
            return None
    return bytes(data)


def _too_large(url: str, most: int) -> UserError:
    return UserError(f"{url} has more than {show_size(most)}.", hint="Build a smaller one, or raise `max_size`.")


def _opened_privately(path: Path) -> IO[bytes]:
    path.touch(mode=0o600)
    return path.open("wb")


def _write(file: IO[bytes], digest: hashlib._Hash, piece: bytes) -> None:
    digest.update(piece)
    try:
        file.write(piece)
    except OSError as problem:
        raise UserError(f"The bot cannot write {file.name}: {system_words(problem)}.") from problem


def _words(problem: Exception) -> str:
    cause = problem.os_error if isinstance(problem, aiohttp.ClientConnectorError) else problem
    return system_words(cause) if isinstance(cause, OSError) else str(problem) or type(problem).__name__
