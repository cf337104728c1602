"""Find the newest tags that do not count for an environment, so that `why` can say what is not deployed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial

from deploybot.domain import IgnoredTags
from deploybot.domain.ignored_tags import ignored_refs, unpublished
from deploybot.domain.image_tags import TagRule
from deploybot.errors import DeploybotError
from deploybot.ports import Images, RefSource, Store
from deploybot.settings import App, Environment

WITHIN = 10.0
"""Seconds that a person waits for all registries and the repository."""

_Reasons = Sequence[tuple[str, str]]
_Ask = Callable[[], Awaitable[_Reasons]]


class FollowedTags:
    """The tags of an app's images and repository, compared with what bot.toml follows."""

    def __init__(self, store: Store, refs: RefSource, images: Images | None, within: float = WITHIN) -> None:
        """Take the ports; `images` if an app has some. Everything is asked at once, `within` seconds."""
        self._store = store
        self._refs = refs
        self._images = images
        self._within = within

    async def ignored(self, app: App, environment: Environment) -> tuple[IgnoredTags, ...]:
        """Return the ignored tags by service and rule. What cannot be asked in time has a problem instead."""
        found = [self._bounded(what, ask) for what, ask in self._sources(app, environment)]
        return tuple(await asyncio.gather(*found))

    def _sources(self, app: App, environment: Environment) -> Iterator[tuple[str, _Ask]]:
        """Yield everything to ask, with what its tags are for."""
        if self._images is not None:
            for service, of in sorted(app.images.items()):
                if TagRule.of(of.tag):
                    yield service, partial(self._of_image, self._images, app, service)
        auto = environment.auto
        if auto and auto.tag:
            yield "auto.tag", partial(self._of_tag, app, auto.tag)
        if auto and auto.release:
            yield "auto.release", partial(self._of_releases, app)

    async def _bounded(self, what: str, ask: _Ask) -> IgnoredTags:
        try:
            async with asyncio.timeout(self._within):
                return IgnoredTags(what, tuple(await ask()))
        except TimeoutError:
            return IgnoredTags(what, problem=f"no answer within {self._within:.0f} s")
        except DeploybotError as problem:
            return IgnoredTags(what, problem=str(problem))

    async def _of_image(self, images: Images, app: App, service: str) -> _Reasons:
        one = app.model_copy(update={"images": {service: app.images[service]}})
        return (await images.unfit(one)).get(service, ())

    async def _tags(self, app: App) -> tuple[str, ...]:
        """Return the repository's tags, newest first."""
        return tuple(one.name.removeprefix("tags/") for one in await self._refs.newest(app) if one.is_tag)

    async def _of_tag(self, app: App, glob: str) -> _Reasons:
        return ignored_refs(glob, await self._tags(app))

    async def _of_releases(self, app: App) -> _Reasons:
        published = await self._store.read(lambda tables: tables.triggers.published(app.name))
        return unpublished(await self._tags(app), published)
