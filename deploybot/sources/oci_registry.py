"""Read one registry's manifests and tags (OCI Distribution Specification 1.1), with the login it requires.

The registry chooses the login in `WWW-Authenticate`: Basic (RFC 7617), or a token from the address that it names (CNCF
Distribution, "Token Authentication Specification"). Importing this module imports aiohttp.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import aiohttp
from yarl import URL

from deploybot.bounded_memory import BoundedDict
from deploybot.errors import NoImage
from deploybot.ports import Clock
from deploybot.sources.registry_http import ASK_WITHIN, Peer, RegistryAnswer
from deploybot.untrusted_input import Unreadable, json_of

PAGE = 1000
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
# Each match can start at only one position: a registry controls its headers, which may be long.
_CHALLENGE = re.compile(r'\b([A-Za-z]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))', re.ASCII)
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel="?next"?', re.IGNORECASE | re.ASCII)
_MOST_PAGES = 200
_MOST_TAGS = 200_000
_KEPT = 64
_KEPT_CHARACTERS = 4 << 20
_TOKEN_LIFE = 60.0  # default of a registry: the minimum that the specification allows
_LONGEST_LIFE = 86400
_TOKEN_SPARE = 10.0
_REST = 60.0
_OK, _NOT_MODIFIED, _BAD, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 304, 400, 401, 403, 404
_NO_HEAD = frozenset({405, 501})


@dataclass(frozen=True, slots=True)
class Login:
    """The login of a registry. `name` is its table in bot.toml, empty if it has none."""

    name: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    plain: bool = False

    @property
    def header(self) -> str:
        """Return the Authorization header with user name and password (RFC 7617)."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


class _RegistryToken(NamedTuple):
    header: str
    until: float


class _RegistryPage(NamedTuple):
    """Some tags, and the address of the next page; empty on the last page."""

    tags: list[str]
    following: str


class _Kept(NamedTuple):
    """A cached answer and its ETag, by which the registry knows whether it is still current."""

    etag: str
    answer: str


class OciRegistry:
    """One registry, with its state between requests."""

    def __init__(
        self, host: str, login: Login, clock: Clock, *, page: int = PAGE, ask_within: float = ASK_WITHIN
    ) -> None:
        """Take its canonical host (with the port), its login, and the clock.

        `page` is the number of tags per request, `ask_within` the timeout of one request in seconds.
        """
        self.peer = Peer(host, clock, plain=login.plain, ask_within=ask_within)
        self.login = login
        self.clock = clock
        self.page = page
        self.tokens: dict[str, _RegistryToken] = {}
        self.kept: BoundedDict[URL, _Kept] = BoundedDict(_KEPT)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[RegistryConnection]:
        """Open a connection for a few requests."""
        async with self.peer.opened() as session:
            yield RegistryConnection(self, session)

    def keep(self, url: URL, headers: Mapping[str, str], answer: str) -> str:
        """Cache an answer that has an ETag. Return the answer."""
        if etag := headers.get("ETag", ""):
            self.kept[url] = _Kept(etag, answer)
            while sum(len(one.answer) for one in self.kept.values()) > _KEPT_CHARACTERS:
                self.kept.popitem(last=False)
        return answer


class RegistryConnection:
    """A connection for a few requests to a registry, in sequence or at once."""

    def __init__(self, registry: OciRegistry, session: aiohttp.ClientSession) -> None:
        """Take the registry and an open session."""
        self._registry = registry
        self._session = session

    async def digest(self, repository: str, reference: str) -> str:
        """Return the digest of the manifest or index for a tag or digest; empty if there is none."""
        url = self._url(repository, "manifests", reference)
        answer = await self._ask("HEAD", url, repository)
        found = answer.headers.get("Docker-Content-Digest", "")
        if answer.status in _NO_HEAD or (answer.status == _OK and not _DIGEST.fullmatch(found)):
            answer, found = await self._digest_by_body(url, repository)
        if answer.status == _NOT_MODIFIED and url in self._registry.kept:
            return self._registry.kept[url].answer
        if answer.status == _NOT_FOUND:
            return ""
        if answer.status != _OK or (reference.startswith("sha256:") and found != reference):
            raise self._registry.peer.strange(answer)
        return self._registry.keep(url, answer.headers, found)

    async def _digest_by_body(self, url: URL, repository: str) -> tuple[RegistryAnswer, str]:
        """Compute the SHA-256 of the manifest, for registries that send no digest. This counts as a pull."""
        if self._registry.peer.left == 0:
            raise self._registry.peer.unreachable("its pull limit is reached for now", retry_after=_REST)
        answer = await self._ask("GET", url, repository)
        return answer, f"sha256:{hashlib.sha256(answer.body).hexdigest()}"

    async def document(self, repository: str, kind: str, reference: str) -> dict[str, object]:
        """Return the JSON object of a manifest (`manifests`) or a blob (`blobs`), or an empty one. Counts as a pull."""
        answer = await self._ask("GET", self._url(repository, kind, reference), repository, fresh=True)
        return _object(answer) if answer.status == _OK else {}

    async def tags(self, repository: str) -> tuple[str, ...] | None:
        """Return all tags of a repository, or None if there is no such repository."""
        first = self._url(repository, "tags", "list")
        url, found = first.with_query(n=str(self._registry.page)), list[str]()
        for number in range(_MOST_PAGES):
            answer = await self._ask("GET", url, repository)
            if answer.status == _BAD:
                if number == 0:
                    # Some registries refuse pages of this size.
                    url = first
                    continue
                why = f"its list of tags of {repository} is incomplete: the next page answered {answer.status}"
                raise self._registry.peer.unreachable(why)
            if answer.status == _NOT_FOUND:
                return None
            page = self._page(url, answer)
            found += page.tags
            if len(found) > _MOST_TAGS:
                break
            if not page.following:
                return tuple(found)
            url = self._next(url, page.following)
        raise self._registry.peer.unreachable(f"its list of tags of {repository} has no end")

    def _page(self, url: URL, answer: RegistryAnswer) -> _RegistryPage:
        """Return a page of tags, from the cache if it has not changed."""
        if answer.status == _NOT_MODIFIED and url in self._registry.kept:
            return _RegistryPage(**json.loads(self._registry.kept[url].answer))
        tags = _object(answer).get("tags") or []
        if answer.status != _OK or not isinstance(tags, list):
            raise self._registry.peer.strange(answer)
        # Skip invalid tags: requests for them would be refused, and a number in one may have any length.
        page = _RegistryPage([tag for tag in tags if isinstance(tag, str) and _TAG.fullmatch(tag)], _following(answer))
        self._registry.keep(url, answer.headers, json.dumps(page._asdict()))
        return page

    def _next(self, url: URL, following: str) -> URL:
        try:
            found = url.join(URL(following, encoded=True))
        except ValueError:
            found = URL()
        if not found.absolute or found.origin() != self._registry.peer.base.origin():
            raise self._registry.peer.unreachable(
                "its list of tags continues at another address, which the bot does not call"
            )
        return found

    def _url(self, repository: str, *parts: str) -> URL:
        return self._registry.peer.base.joinpath("v2", *repository.split("/"), *parts)

    async def _ask(self, method: str, url: URL, repository: str, *, fresh: bool = False) -> RegistryAnswer:
        """Send one request with the login that the registry requires; `fresh` ignores cached answers."""
        registry = self._registry
        headers = {"Accept": ", ".join(_MANIFESTS if "manifests" in url.parts else ("application/json",))}
        if url in registry.kept and not fresh:
            headers["If-None-Match"] = registry.kept[url].etag
        answer = await registry.peer.send(self._session, method, url, headers | self._known(repository))
        # After a redirect to another host, send it no credentials.
        if answer.status == _UNAUTHORIZED and answer.url.origin() == registry.peer.base.origin():
            header = await self._authorise(answer, repository)
            answer = await registry.peer.send(self._session, method, url, headers | {"Authorization": header})
        if answer.status in {_UNAUTHORIZED, _FORBIDDEN}:
            registry.tokens.pop(repository, None)
            raise self._refused(repository)
        return answer

    def _known(self, repository: str) -> dict[str, str]:
        """Return the header with a token of an earlier request while it is valid."""
        token = self._registry.tokens.get(repository)
        return {"Authorization": token.header} if token and token.until > self._registry.clock.now() else {}

    async def _authorise(self, answer: RegistryAnswer, repository: str) -> str:
        """Return the header that the registry requires: the login, or a token requested with it or anonymously."""
        registry, login = self._registry, self._registry.login
        for challenge in answer.headers.getall("WWW-Authenticate", []):
            scheme, _, rest = challenge.partition(" ")
            if scheme.lower() == "bearer":
                named = {name.lower(): quoted or plain for name, quoted, plain in _CHALLENGE.findall(rest)}
                token = await self._token(named, repository)
                registry.tokens[repository] = token
                return token.header
            if scheme.lower() == "basic" and login.user:
                header = login.header
                registry.tokens[repository] = _RegistryToken(header, math.inf)
                return header
        raise self._refused(repository)

    async def _token(self, challenge: Mapping[str, str], repository: str) -> _RegistryToken:
        registry, login = self._registry, self._registry.login
        realm = _address(challenge.get("realm", ""))
        if not registry.peer.allows(realm):
            raise registry.peer.unreachable("its address for tokens is one that the bot does not call")
        query = {"scope": f"repository:{repository}:pull"}
        if service := challenge.get("service"):
            query["service"] = service
        headers = {"Accept": "application/json"}
        if login.user:
            headers["Authorization"] = login.header
        answer = await registry.peer.send(self._session, "GET", realm.update_query(query), headers)
        if answer.status in {_UNAUTHORIZED, _FORBIDDEN}:
            raise self._refused(repository)
        content = _object(answer)
        value, life = content.get("token") or content.get("access_token"), content.get("expires_in")
        if not isinstance(value, str):
            raise registry.peer.strange(answer)
        life = min(life, _LONGEST_LIFE) if isinstance(life, int) else _TOKEN_LIFE
        return _RegistryToken(f"Bearer {value}", registry.clock.now() + life - _TOKEN_SPARE)

    def _refused(self, repository: str) -> NoImage:
        """Return the error for an image that is not accessible, with the settings to fix."""
        host, login = self._registry.peer.host, self._registry.login
        if login.user:
            return NoImage(
                f"{login.user} has no permission for {repository} on {host}.",
                hint=f"Check `user` and `password` in [registries.{login.name}] and what they may read.",
            )
        table = login.name or "NAME"
        return NoImage(
            f"{repository} was not found on {host}, or needs a login.",
            hint=f'Set `host = "{host}"`, `user` and `password` in [registries.{table}].',
        )


def _address(text: str) -> URL:
    """Parse a URL; return an empty one if it is invalid."""
    try:
        return URL(text)
    except ValueError:
        return URL()


def _object(answer: RegistryAnswer) -> dict[str, object]:
    """Return the JSON object of a body; empty if it is none."""
    try:
        content = json_of(answer.body)
    except Unreadable:
        return {}
    return content if isinstance(content, dict) else {}


def _following(answer: RegistryAnswer) -> str:
    """Return the address of the next page (RFC 8288); empty on the last."""
    match = _NEXT.search(answer.headers.get("Link", ""))
    return match[1] if match else ""
