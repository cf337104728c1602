"""One registry over HTTP: manifests' digests and lists of tags (OCI Distribution Specification 1.1).

Logging in is what registries ask for by `WWW-Authenticate`: Basic (RFC 7617), or a token from the address that they
name (CNCF Distribution, "Token Authentication Specification"). aiohttp is imported with this module.
"""

from __future__ import annotations

import email.utils
import hashlib
import json
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDictProxy
from yarl import URL

from deploybot.domain import DOCKER_HUB
from deploybot.errors import NoImage, Unreachable
from deploybot.ports import Clock
from deploybot.shapes import leads_astray

ASK_WITHIN = 15.0
_HUB_API = "registry-1.docker.io"
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_CHALLENGE = re.compile(r'([A-Za-z]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))', re.ASCII)
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?', re.IGNORECASE | re.ASCII)
_MOST_BYTES = 4 << 20
_PAGE = 1000
_MOST_PAGES = 200
_MOST_HOPS = 3
_KEPT = 256
_TOKEN_LIFE = 60.0  # where a registry does not say: the least that the specification allows
_TOKEN_SPARE = 10.0
_REST = 60.0
_LONGEST_REST = 86400.0
_OK, _NOT_MODIFIED, _BAD, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _MANY = 200, 304, 400, 401, 403, 404, 429
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NO_HEAD = frozenset({405, 501})


@dataclass(frozen=True, slots=True)
class Login:
    """How a registry is asked. `name` is its table in bot.toml, empty where it has none."""

    name: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    plain: bool = False


class _Answer(NamedTuple):
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    url: URL


class _Token(NamedTuple):
    header: str
    until: float


class _Kept(NamedTuple):
    """What a question was answered with, by the ETag by which the registry knows that it still holds."""

    etag: str
    answer: str


class _Careful(AbstractResolver):
    """Names by the system, but none that leads to link-local and metadata addresses."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name; OSError where there are none that may be used."""
        found = await aiohttp.ThreadedResolver().resolve(host, port, family)
        if safe := [one for one in found if not leads_astray(one["host"].partition("%")[0])]:
            return safe
        raise OSError(None, "it leads to a link-local or metadata address")

    async def close(self) -> None:
        """Nothing is held."""


class Registry:
    """One registry, and what is remembered of it. Raises Unreachable where it does not answer as it should."""

    def __init__(self, host: str, login: Login, clock: Clock) -> None:
        """Take its canonical host (with the port), how it is asked, and the clock.

        `left` is how many pulls it says are left to the bot's address, as Docker Hub does; -1 where it says nothing.
        """
        self.host = host
        self.login = login
        self.clock = clock
        self.base = URL(f"{'http' if login.plain else 'https'}://{_HUB_API if host == DOCKER_HUB else host}")
        self.tokens: dict[str, _Token] = {}
        self.kept: dict[URL, _Kept] = {}
        self.rests_until = 0.0
        self.left = -1

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Connection]:
        """A connection for a few questions."""
        timeout = aiohttp.ClientTimeout(total=ASK_WITHIN)
        connector = aiohttp.TCPConnector(resolver=_Careful(), limit=4)
        async with aiohttp.ClientSession(
            timeout=timeout,
            connector=connector,
            headers={"User-Agent": "deploybot", "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            yield Connection(self, session)

    def keep(self, url: URL, headers: Mapping[str, str], answer: str) -> str:
        """Remember an answer that has an ETag; the answer."""
        if etag := headers.get("ETag", ""):
            self.kept.pop(url, None)
            self.kept[url] = _Kept(etag, answer)
            if len(self.kept) > _KEPT:
                del self.kept[next(iter(self.kept))]
        return answer

    def unreachable(self, why: str, *, hint: str = "", retry_after: float = 0.0) -> Unreachable:
        """That it does not answer, and why."""
        return Unreachable(f"the registry {self.host}", why, hint=hint, retry_after=retry_after)


class Connection:
    """A few questions to a registry, one after the other or at once."""

    def __init__(self, registry: Registry, session: aiohttp.ClientSession) -> None:
        """Take the registry and an open session."""
        self._registry = registry
        self._session = session

    async def digest(self, repository: str, reference: str) -> str:
        """The digest of the manifest, or index, that a tag means or that has a digest; empty where there is none."""
        url = self._url(repository, "manifests", reference)
        answer = await self._ask("HEAD", url, repository)
        found = answer.headers.get("Docker-Content-Digest", "")
        if answer.status in _NO_HEAD or (answer.status == _OK and not _DIGEST.fullmatch(found)):
            answer, found = await self._digest_by_body(url, repository)
        if answer.status == _NOT_MODIFIED:
            return self._registry.kept[url].answer
        if answer.status == _NOT_FOUND:
            return ""
        if answer.status != _OK or (reference.startswith("sha256:") and found != reference):
            raise self._strange(answer)
        return self._registry.keep(url, answer.headers, found)

    async def _digest_by_body(self, url: URL, repository: str) -> tuple[_Answer, str]:
        """For registries that tell no digest: it is the SHA-256 of the manifest. That counts as a pull."""
        if self._registry.left == 0:
            raise self._registry.unreachable("it allows no more pulls for now", retry_after=_REST)
        answer = await self._ask("GET", url, repository)
        return answer, f"sha256:{hashlib.sha256(answer.body).hexdigest()}"

    async def tags(self, repository: str) -> tuple[str, ...] | None:
        """All tags of a repository; None where there is no such repository."""
        first = self._url(repository, "tags", "list")
        url, found = first.with_query(n=str(_PAGE)), list[str]()
        for _ in range(_MOST_PAGES):
            answer = await self._ask("GET", url, repository)
            if answer.status == _BAD and url.query:
                # Some take no pages as long as these.
                url = first
                continue
            if answer.status == _NOT_FOUND:
                return None
            if answer.status == _NOT_MODIFIED:
                page, follows = self._page(self._registry.kept[url].answer)
            elif answer.status == _OK:
                follows = _following(answer)
                page, _ = self._page(answer.body.decode("utf-8", "replace"), answer)
                self._registry.keep(url, answer.headers, json.dumps({"tags": page, "next": follows}))
            else:
                raise self._strange(answer)
            found += page
            if not follows:
                return tuple(found)
            url = self._same_host(url.join(URL(follows, encoded=True)))
        raise self._registry.unreachable(f"its list of tags of {repository} has no end")

    def _page(self, text: str, answer: _Answer | None = None) -> tuple[list[str], str]:
        """The tags of a page, and where the next one is if that was kept with it."""
        try:
            content = json.loads(text)
            tags = content.get("tags") or []
        except (ValueError, AttributeError):
            raise (self._strange(answer) if answer else self._registry.unreachable("its list is none")) from None
        return [tag for tag in tags if isinstance(tag, str)], str(content.get("next", ""))

    def _same_host(self, url: URL) -> URL:
        if url.origin() != self._registry.base.origin():
            raise self._registry.unreachable(f"its list of tags goes on at {url.host}, which is not asked")
        return url

    def _url(self, repository: str, *parts: str) -> URL:
        return self._registry.base.joinpath("v2", *repository.split("/"), *parts)

    async def _ask(self, method: str, url: URL, repository: str) -> _Answer:
        """One question, with the login that the registry asks for."""
        registry = self._registry
        if (rest := registry.rests_until - registry.clock.now()) > 0:
            raise registry.unreachable("it has asked to be left alone", retry_after=rest)
        headers = {"Accept": ", ".join(_MANIFESTS if "manifests" in url.parts else ("application/json",))}
        if url in registry.kept:
            headers["If-None-Match"] = registry.kept[url].etag
        answer = await self._send(method, url, headers | self._known(repository))
        # Another host, to which we were redirected, is not told who we are.
        if answer.status == _UNAUTHORIZED and answer.url.origin() == registry.base.origin():
            header = await self._authorise(answer, repository)
            answer = await self._send(method, url, headers | {"Authorization": header})
        if answer.status in {_UNAUTHORIZED, _FORBIDDEN}:
            registry.tokens.pop(repository, None)
            raise self._refused(repository)
        return answer

    def _known(self, repository: str) -> dict[str, str]:
        """The token of an earlier question, while it lasts."""
        token = self._registry.tokens.get(repository)
        return {"Authorization": token.header} if token and token.until > self._registry.clock.now() else {}

    async def _authorise(self, answer: _Answer, repository: str) -> str:
        """The header that a registry wants to see: our name and password, or a token that they, or nobody, get."""
        registry, login = self._registry, self._registry.login
        for challenge in answer.headers.getall("WWW-Authenticate", []):
            scheme, _, rest = challenge.partition(" ")
            if scheme.lower() == "bearer":
                named = {name.lower(): quoted or plain for name, quoted, plain in _CHALLENGE.findall(rest)}
                token = await self._token(named, repository)
                registry.tokens[repository] = token
                return token.header
            if scheme.lower() == "basic" and login.user:
                header = aiohttp.BasicAuth(login.user, login.password, "utf-8").encode()
                registry.tokens[repository] = _Token(header, float("inf"))
                return header
        raise self._refused(repository)

    async def _token(self, challenge: Mapping[str, str], repository: str) -> _Token:
        registry, login = self._registry, self._registry.login
        realm = URL(challenge.get("realm", ""))
        if realm.scheme not in {"https", registry.base.scheme} or leads_astray(realm.host or ""):
            raise registry.unreachable("it sends the bot to an address for tokens that is not asked")
        query = {"scope": f"repository:{repository}:pull"}
        if service := challenge.get("service"):
            query["service"] = service
        headers = {"Accept": "application/json"}
        if login.user:
            headers["Authorization"] = aiohttp.BasicAuth(login.user, login.password, "utf-8").encode()
        answer = await self._send("GET", realm.update_query(query), headers)
        if answer.status in {_UNAUTHORIZED, _FORBIDDEN}:
            raise self._refused(repository)
        try:
            content = json.loads(answer.body)
            value = content.get("token") or content["access_token"]
            life = float(content.get("expires_in") or _TOKEN_LIFE)
        except (ValueError, KeyError, AttributeError, TypeError):
            raise self._strange(answer) from None
        return _Token(f"Bearer {value}", registry.clock.now() + life - _TOKEN_SPARE)

    async def _send(self, method: str, url: URL, headers: Mapping[str, str]) -> _Answer:
        """Send it, and follow a few redirects: what proves who we are goes to no other host."""
        origin, headers = url.origin(), dict(headers)
        for _ in range(_MOST_HOPS + 1):
            if leads_astray(url.host or ""):
                raise self._registry.unreachable("it leads to a link-local or metadata address")
            answer = await self._once(method, url, headers)
            if answer.status == _MANY:
                raise self._tired(answer)
            if answer.status not in _REDIRECTS:
                return answer
            url = url.join(URL(answer.headers.get("Location", "")))
            if url.scheme not in {"https", self._registry.base.scheme}:
                break
            if url.origin() != origin:
                headers.pop("Authorization", None)
        raise self._registry.unreachable("it redirects where the bot does not follow")

    async def _once(self, method: str, url: URL, headers: Mapping[str, str]) -> _Answer:
        try:
            async with self._session.request(method, url, headers=headers, allow_redirects=False) as response:
                self._count(response.headers)
                body = await response.content.read(_MOST_BYTES + 1) if method != "HEAD" else b""
                while body and len(body) <= _MOST_BYTES and (more := await response.content.read(_MOST_BYTES)):
                    body += more
                if len(body) > _MOST_BYTES:
                    raise self._registry.unreachable("its answer is larger than any of its kind should be")
                return _Answer(response.status, response.headers, body, url)
        except aiohttp.ClientSSLError as problem:
            hint = "Is it without TLS? Then set `plain = true` in its [registries.NAME]."
            raise self._registry.unreachable("there is no TLS connection that can be trusted", hint=hint) from problem
        except (aiohttp.ClientError, OSError) as problem:
            raise self._registry.unreachable(_words(problem)) from problem
        except TimeoutError as problem:
            raise self._registry.unreachable(f"no answer within {ASK_WITHIN:.0f} s") from problem

    def _count(self, headers: Mapping[str, str]) -> None:
        """What Docker Hub says of pulls that are left: `76;w=21600`."""
        left = headers.get("ratelimit-remaining", "").partition(";")[0].strip()
        if left.isascii() and left.isdigit():
            self._registry.left = int(left)

    def _tired(self, answer: _Answer) -> Unreachable:
        """A 429: nothing is asked until it says that it may be."""
        registry = self._registry
        rest = _seconds(answer.headers.get("Retry-After", ""), registry.clock.now())
        registry.rests_until = registry.clock.now() + rest
        hint = "" if registry.login.user else "With a login more may be asked: [registries.NAME]."
        return registry.unreachable("it has been asked too often", hint=hint, retry_after=rest)

    def _strange(self, answer: _Answer) -> Unreachable:
        return self._registry.unreachable(f"it answers {answer.status} where that makes no sense ({answer.url.path})")

    def _refused(self, repository: str) -> NoImage:
        """That the image is not shown, and what to set."""
        host, login = self._registry.host, self._registry.login
        if login.user:
            return NoImage(
                f"{host} does not show {repository} to {login.user}.",
                hint=f"Look at `user` and `password` in [registries.{login.name}], and at what they may read.",
            )
        table = login.name or "NAME"
        return NoImage(
            f"{host} shows {repository} to nobody without a login, or does not have it.",
            hint=f'Set `host = "{host}"`, `user` and `password` in [registries.{table}].',
        )


def _following(answer: _Answer) -> str:
    """Where the next page is (RFC 8288); empty on the last."""
    match = _NEXT.search(answer.headers.get("Link", ""))
    return match[1] if match else ""


def _seconds(text: str, now: float) -> float:
    """A Retry-After (RFC 9110, 10.2.3): seconds, or a date."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(max(float(text), 1.0), _LONGEST_REST)
    try:
        then = email.utils.parsedate_to_datetime(text).timestamp()
    except ValueError:
        return _REST
    return min(max(then - now, 1.0), _LONGEST_REST)


def _words(problem: Exception) -> str:
    if isinstance(problem, aiohttp.ClientConnectorError):
        return problem.os_error.strerror or "nothing listens there"
    return str(problem) or "the connection broke"
