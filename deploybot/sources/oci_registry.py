"""One registry's manifests and tags (OCI Distribution Specification 1.1), with the login that it asks for.

Logging in is what registries ask for by `WWW-Authenticate`: Basic (RFC 7617), or a token from the address that they
name (CNCF Distribution, "Token Authentication Specification"). aiohttp is imported with this module.
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
# Each begins where no other try has been: headers are the registry's, and may be long.
_CHALLENGE = re.compile(r'\b([A-Za-z]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))', re.ASCII)
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel="?next"?', re.IGNORECASE | re.ASCII)
_MOST_PAGES = 200
_MOST_TAGS = 200_000
_KEPT = 64
_KEPT_CHARACTERS = 4 << 20
_TOKEN_LIFE = 60.0  # where a registry does not say: the least that the specification allows
_LONGEST_LIFE = 86400
_TOKEN_SPARE = 10.0
_REST = 60.0
_OK, _NOT_MODIFIED, _BAD, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 304, 400, 401, 403, 404
_NO_HEAD = frozenset({405, 501})


@dataclass(frozen=True, slots=True)
class Login:
    """How a registry is asked. `name` is its table in bot.toml, empty where it has none."""

    name: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    plain: bool = False

    @property
    def header(self) -> str:
        """Name and password as the header that proves them (RFC 7617)."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


class _Token(NamedTuple):
    header: str
    until: float


class _Page(NamedTuple):
    """Some tags, and where the next ones are; empty on the last page."""

    tags: list[str]
    following: str


class _Kept(NamedTuple):
    """What a question was answered with, by the ETag by which the registry knows that it still holds."""

    etag: str
    answer: str


class OciRegistry:
    """One registry, and what is remembered of it between two questions."""

    def __init__(
        self, host: str, login: Login, clock: Clock, *, page: int = PAGE, ask_within: float = ASK_WITHIN
    ) -> None:
        """Take its canonical host (with the port), how it is asked, and the clock.

        `page` is how many tags are asked for at once, `ask_within` the seconds for one question.
        """
        self.peer = Peer(host, clock, plain=login.plain, ask_within=ask_within)
        self.login = login
        self.clock = clock
        self.page = page
        self.tokens: dict[str, _Token] = {}
        self.kept: dict[URL, _Kept] = {}

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[RegistryConnection]:
        """A connection for a few questions."""
        async with self.peer.opened() as session:
            yield RegistryConnection(self, session)

    def keep(self, url: URL, headers: Mapping[str, str], answer: str) -> str:
        """Remember an answer that has an ETag; the answer."""
        if etag := headers.get("ETag", ""):
            self.kept.pop(url, None)
            self.kept[url] = _Kept(etag, answer)
            while len(self.kept) > _KEPT or sum(len(one.answer) for one in self.kept.values()) > _KEPT_CHARACTERS:
                del self.kept[next(iter(self.kept))]
        return answer


class RegistryConnection:
    """A few questions to a registry, one after the other or at once."""

    def __init__(self, registry: OciRegistry, session: aiohttp.ClientSession) -> None:
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
        if answer.status == _NOT_MODIFIED and url in self._registry.kept:
            return self._registry.kept[url].answer
        if answer.status == _NOT_FOUND:
            return ""
        if answer.status != _OK or (reference.startswith("sha256:") and found != reference):
            raise self._registry.peer.strange(answer)
        return self._registry.keep(url, answer.headers, found)

    async def _digest_by_body(self, url: URL, repository: str) -> tuple[RegistryAnswer, str]:
        """For registries that tell no digest: it is the SHA-256 of the manifest. That counts as a pull."""
        if self._registry.peer.left == 0:
            raise self._registry.peer.unreachable("it allows no more pulls for now", retry_after=_REST)
        answer = await self._ask("GET", url, repository)
        return answer, f"sha256:{hashlib.sha256(answer.body).hexdigest()}"

    async def document(self, repository: str, kind: str, reference: str) -> dict[str, object]:
        """The JSON object of a manifest (`manifests`) or a blob (`blobs`); empty where it is none. A pull."""
        answer = await self._ask("GET", self._url(repository, kind, reference), repository, fresh=True)
        return _object(answer) if answer.status == _OK else {}

    async def tags(self, repository: str) -> tuple[str, ...] | None:
        """All tags of a repository; None where there is no such repository."""
        first = self._url(repository, "tags", "list")
        url, found = first.with_query(n=str(self._registry.page)), list[str]()
        for number in range(_MOST_PAGES):
            answer = await self._ask("GET", url, repository)
            if answer.status == _BAD:
                if number == 0:
                    # Some take no pages as long as these.
                    url = first
                    continue
                why = f"its list of tags of {repository} breaks off: the next page answers {answer.status}"
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

    def _page(self, url: URL, answer: RegistryAnswer) -> _Page:
        """What a page lists, or listed when it was asked for last."""
        if answer.status == _NOT_MODIFIED and url in self._registry.kept:
            return _Page(**json.loads(self._registry.kept[url].answer))
        tags = _object(answer).get("tags") or []
        if answer.status != _OK or not isinstance(tags, list):
            raise self._registry.peer.strange(answer)
        # What is no tag by the specification would be refused when it is asked for; numbers in one may have no end.
        page = _Page([tag for tag in tags if isinstance(tag, str) and _TAG.fullmatch(tag)], _following(answer))
        self._registry.keep(url, answer.headers, json.dumps(page._asdict()))
        return page

    def _next(self, url: URL, following: str) -> URL:
        try:
            found = url.join(URL(following, encoded=True))
        except ValueError:
            found = URL()
        if not found.absolute or found.origin() != self._registry.peer.base.origin():
            raise self._registry.peer.unreachable("its list of tags goes on where the bot does not ask")
        return found

    def _url(self, repository: str, *parts: str) -> URL:
        return self._registry.peer.base.joinpath("v2", *repository.split("/"), *parts)

    async def _ask(self, method: str, url: URL, repository: str, *, fresh: bool = False) -> RegistryAnswer:
        """One question, with the login that the registry asks for; `fresh` ignores what is known already."""
        registry = self._registry
        headers = {"Accept": ", ".join(_MANIFESTS if "manifests" in url.parts else ("application/json",))}
        if url in registry.kept and not fresh:
            headers["If-None-Match"] = registry.kept[url].etag
        answer = await registry.peer.send(self._session, method, url, headers | self._known(repository))
        # Another host, to which we were redirected, is not told who we are.
        if answer.status == _UNAUTHORIZED and answer.url.origin() == registry.peer.base.origin():
            header = await self._authorise(answer, repository)
            answer = await registry.peer.send(self._session, method, url, headers | {"Authorization": header})
        if answer.status in {_UNAUTHORIZED, _FORBIDDEN}:
            registry.tokens.pop(repository, None)
            raise self._refused(repository)
        return answer

    def _known(self, repository: str) -> dict[str, str]:
        """The token of an earlier question, while it lasts."""
        token = self._registry.tokens.get(repository)
        return {"Authorization": token.header} if token and token.until > self._registry.clock.now() else {}

    async def _authorise(self, answer: RegistryAnswer, repository: str) -> str:
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
                header = login.header
                registry.tokens[repository] = _Token(header, math.inf)
                return header
        raise self._refused(repository)

    async def _token(self, challenge: Mapping[str, str], repository: str) -> _Token:
        registry, login = self._registry, self._registry.login
        realm = _address(challenge.get("realm", ""))
        if not registry.peer.allows(realm):
            raise registry.peer.unreachable("it sends the bot to an address for tokens that is not asked")
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
        return _Token(f"Bearer {value}", registry.clock.now() + life - _TOKEN_SPARE)

    def _refused(self, repository: str) -> NoImage:
        """That the image is not shown, and what to set."""
        host, login = self._registry.peer.host, self._registry.login
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


def _address(text: str) -> URL:
    """An address; none where it cannot be read."""
    try:
        return URL(text)
    except ValueError:
        return URL()


def _object(answer: RegistryAnswer) -> dict[str, object]:
    """A body's JSON object; an empty one where it is none."""
    try:
        content = json_of(answer.body)
    except Unreadable:
        return {}
    return content if isinstance(content, dict) else {}


def _following(answer: RegistryAnswer) -> str:
    """Where the next page is (RFC 8288); empty on the last."""
    match = _NEXT.search(answer.headers.get("Link", ""))
    return match[1] if match else ""
