"""Implement ports.Images with registries: resolve tags and version ranges to the current images, pinned by digest."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from deploybot.bounded_memory import BoundedDict
from deploybot.domain import ImageOrigin, Pin, canonical_image
from deploybot.domain.image_tags import TagPattern, TagRule, advice_for, ignored, reasons
from deploybot.domain.versions import image_version
from deploybot.errors import DeploybotError, NoImage, Unreachable
from deploybot.ports import Clock
from deploybot.settings import EVERY_APP, App, RegistryLogin
from deploybot.sources.image_ages import Ages
from deploybot.sources.image_origins import Origins
from deploybot.sources.oci_registry import PAGE, Login, OciRegistry, RegistryConnection
from deploybot.sources.registry_http import ASK_WITHIN

WITHIN = 60.0
_DIGEST = "sha256:"
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_SHOWN = 5
_AT_ONCE = 8
_LABELS_WITHIN = 5.0
_REMEMBERED = 200


class _ImageRef(NamedTuple):
    """An image and the wanted version: a tag, a range or a pattern. `known` is False if it may need no login."""

    image: str
    tag: str | TagPattern
    known: bool = True


class _FoundImage(NamedTuple):
    """The tag and digest of an image; the digest is empty if none was found."""

    tag: str
    digest: str


class Registries:
    """All registries of the images in bot.toml. Each keeps its tokens and ETags between requests."""

    def __init__(
        self,
        logins: Iterable[tuple[str, RegistryLogin]],
        clock: Clock,
        *,
        page: int = PAGE,
        ask_within: float = ASK_WITHIN,
    ) -> None:
        """Take the tables of `registries` by name, and the clock; the other arguments are as in `OciRegistry`."""
        self._make = partial(OciRegistry, clock=clock, page=page, ask_within=ask_within)
        known = tuple(logins)
        self._logins = {_host(login.host): _login(name, login) for name, login in known}
        self._apps = {_host(login.host): frozenset(login.apps) for _, login in known}
        self._registries: BoundedDict[tuple[str, bool], OciRegistry] = BoundedDict(_REMEMBERED)
        self._ages = Ages()
        self._origins = Origins()

    async def pins(self, app: App) -> tuple[Pin, ...]:
        """Return the newest image of each service with an image in bot.toml, by its tag or range; sorted by service."""
        return await self._each(app, self._newest)

    async def named(self, app: App, name: str) -> tuple[Pin, ...]:
        """Return the images with a tag or digest (`sha256:…`), for each service whose repository has it."""
        if not name.startswith(_DIGEST) and not _TAG.fullmatch(name):
            return ()
        return await self._each(app, lambda ref: self._of_name(ref, name))

    async def services(self, app: App) -> frozenset[str] | None:
        """Return the services with an image in bot.toml."""
        return frozenset(app.images)

    async def unfit(self, app: App) -> Mapping[str, Sequence[tuple[str, str]]]:
        """Return for each service the tags that look like releases but are not used, with the reason."""
        found: dict[str, Sequence[tuple[str, str]]] = {}
        for service, one in sorted(app.images.items()):
            if rule := TagRule.of(one.tag):
                registry, repository = self._registry(one.image, known=self._has_login(app, one.image))
                async with registry.opened() as connection:
                    found[service] = ignored(rule, await _tags(connection, repository, _ImageRef(one.image, one.tag)))
        return found

    async def origins(self, app: App, pins: Sequence[Pin]) -> Mapping[str, ImageOrigin]:
        """Return where images of an app were built from, by digest, as far as registries and labels say."""
        asked = {pin.digest: pin for pin in pins}
        turns = asyncio.Semaphore(_AT_ONCE)
        found = await asyncio.gather(*(self._origin(app, pin, turns) for pin in asked.values()), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, DeploybotError | TimeoutError):
                raise one
        known = (ImageOrigin() if isinstance(one, BaseException) else one for one in found)
        return dict(zip(asked, known, strict=True))

    async def _origin(self, app: App, pin: Pin, turns: asyncio.Semaphore) -> ImageOrigin:
        registry, repository = self._registry(pin.image, known=self._has_login(app, pin.image))
        async with turns, asyncio.timeout(_LABELS_WITHIN), registry.opened() as connection:
            return await self._origins.of(connection, repository, pin.digest)

    async def _each(self, app: App, ask: Callable[[_ImageRef], Coroutine[None, None, _FoundImage]]) -> tuple[Pin, ...]:
        """Return the found images of all services. Services with the same image share one request."""
        refs = {
            service: _ImageRef(one.image, one.tag, self._has_login(app, one.image))
            for service, one in sorted(app.images.items())
        }
        wanted = tuple(dict.fromkeys(refs.values()))
        turns = asyncio.Semaphore(_AT_ONCE)

        async def in_turn(ref: _ImageRef) -> _FoundImage:
            async with turns:
                return await ask(ref)

        found = dict(zip(wanted, await self._all(*map(in_turn, wanted)), strict=True))
        return tuple(Pin(service, ref.image, *found[ref]) for service, ref in refs.items() if found[ref].digest)

    async def _all(self, *asked: Coroutine[None, None, _FoundImage]) -> list[_FoundImage]:
        """Return all results. The first failure cancels the others."""
        tasks = [asyncio.create_task(one) for one in asked]
        try:
            async with asyncio.timeout(WITHIN):
                return await asyncio.gather(*tasks)
        except TimeoutError:
            raise Unreachable("the registry", f"no answer within {WITHIN:.0f} s") from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _newest(self, ref: _ImageRef) -> _FoundImage:
        """Return the current image of a tag or a range. Raises NoImage if there is none."""
        registry, repository = self._registry(ref.image, known=ref.known)
        async with registry.opened() as connection:
            return await self._newest_of(connection, repository, ref)

    async def _of_name(self, ref: _ImageRef, name: str) -> _FoundImage:
        """Return the image with a tag or digest; the digest is empty if there is none."""
        registry, repository = self._registry(ref.image, known=ref.known)
        async with registry.opened() as connection:
            digest = await connection.digest(repository, name)
            if not digest or not name.startswith(_DIGEST):
                return _FoundImage(name, digest)
            with contextlib.suppress(NoImage):
                newest = await self._newest_of(connection, repository, ref)
                return newest if newest.digest == digest else _FoundImage("", digest)
        return _FoundImage("", digest)

    async def _newest_of(self, connection: RegistryConnection, repository: str, ref: _ImageRef) -> _FoundImage:
        rule = TagRule.of(ref.tag)
        if rule is None:
            tag = str(ref.tag)
        else:
            tags = await _tags(connection, repository, ref)
            by_time = rule.order == "time"
            tag = await self._ages.newest(connection, repository, rule.fitting(tags)) if by_time else rule.newest(tags)
        digest = await connection.digest(repository, tag) if tag else ""
        if digest:
            return _FoundImage(tag, digest)
        tags = await _tags(connection, repository, ref)
        raise _no_version(ref, rule, tags) if rule else _no_tag(ref, tags)

    def _has_login(self, app: App, image: str) -> bool:
        """Return whether an image may be asked for with the login of bot.toml.

        Without a repository, anybody who may edit a file on one server names images: `apps` has to name the app.
        """
        host = canonical_image(image).partition("/")[0]
        return bool(app.repo) or not {app.name, EVERY_APP}.isdisjoint(self._apps.get(host, ()))

    def _registry(self, image: str, *, known: bool) -> tuple[OciRegistry, str]:
        """Return an image's registry, and its repository there. Without `known`, it is asked without a login."""
        host, _, repository = canonical_image(image).partition("/")
        login = self._logins.get(host, Login())
        if not known and (login.user or login.password):
            login = replace(login, user="", password="")
        found = self._registries.get((host, known))
        if found is None:
            found = self._registries[host, known] = self._make(host, login)
        return found, repository


async def _tags(connection: RegistryConnection, repository: str, ref: _ImageRef) -> tuple[str, ...]:
    """Return all tags. Raises NoImage if the image does not exist."""
    tags = await connection.tags(repository)
    if tags is None:
        raise NoImage(
            f"There is no image {ref.image}.", hint="Check its name in the Compose file or bot.toml. Was it pushed?"
        )
    return tags


def _no_tag(ref: _ImageRef, tags: tuple[str, ...]) -> NoImage:
    near = difflib.get_close_matches(str(ref.tag), tags, n=_SHOWN, cutoff=0.4)
    if not near:
        near = sorted(tags)[-_SHOWN:]
    return NoImage(
        f"{ref.image} has no tag `{ref.tag}`.", hint=f"Near: {', '.join(near)}." if near else "It has no tags."
    )


def _no_version(ref: _ImageRef, rule: TagRule, tags: tuple[str, ...]) -> NoImage:
    """Explain that no tag matches, why the most likely tags do not, and how to include them."""
    what = "no version in" if rule.range else "no tag that matches"
    likely = reasons(rule, tags)[:_SHOWN]
    versions = sorted((found, tag) for tag in tags if (found := image_version(tag))) if rule.range else []
    newest = ", ".join(tag for _, tag in reversed(versions[-_SHOWN:]))
    hint = f"Its newest versions: {newest}." if newest else f"None of its {len(tags)} tags is a version such as 1.4.2."
    if not rule.range:
        hint = "" if likely else f"None of its {len(tags)} tags looks like a release."
    if likely:
        why = "; ".join(f"{tag}: {reason}" for tag, reason in likely)
        hint = f"{hint} Not used: {why}. {advice_for(likely[0][0])}".strip()
    return NoImage(f"{ref.image} has {what} `{ref.tag}`.", hint=hint)


def _host(host: str) -> str:
    """Return a registry's host in the form used in image names."""
    return canonical_image(f"{host}/x").partition("/")[0]


def _login(name: str, login: RegistryLogin) -> Login:
    password = login.password.reveal() if login.password else ""
    return Login(name=name, user=login.user or "", password=password, plain=login.plain)
