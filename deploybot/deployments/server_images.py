"""Find the images of apps without a repository: the Compose files on their servers name them, registries have them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from deploybot.deployments.meant_images import DIGEST, meant, what
from deploybot.deployments.target_inspection import Inspector
from deploybot.domain import ImageOrigin, Pin, canonical_image
from deploybot.errors import BuiltHere, DeploybotError, Unreachable, UserError
from deploybot.ports import Images, Store
from deploybot.settings import App, ImageOf
from deploybot.untrusted_input import of_one
from deploybot.wording import listed

WITHIN = 60.0
_AT_ONCE = 8


class ServerImages:
    """Implements `ports.Images` for all apps.

    An app with a repository has its images in bot.toml. For one without, the servers of an environment are asked what
    their Compose files name now; bot.toml may name other tags for some services. Such an app is passed as it is in an
    environment (`App.at`).
    """

    def __init__(self, images: Images, inspector: Inspector, store: Store | None = None) -> None:
        """Take the registries, the inspector of servers, and the store with what ran on servers that do not answer."""
        self._store = store
        self._images = images
        self._inspector = inspector

    async def pins(self, app: App) -> tuple[Pin, ...]:
        """Return the current image of each service, sorted by service. Raises as `Images.pins`, or as an inspection."""
        if app.repo:
            return await self._images.pins(app)
        asked, exact = await self._named(app)
        found = await self._images.pins(asked) if asked.images else ()
        return tuple(sorted((*found, *exact), key=lambda pin: pin.service))

    async def named(self, app: App, name: str) -> tuple[Pin, ...]:
        """Return the images with a tag or digest, for each service that it is meant for (`meant`).

        Without a repository, a registry that cannot be asked matters only if its answer could change that.
        """
        if app.repo:
            return await self._images.named(app, name)
        asked, exact = await self._named(app)
        more = {pin.service: _of(pin.service, pin.image, pin.tag or "latest") for pin in exact}
        written = {
            **{service: str(one.tag) for service, one in asked.images.items()},
            **{pin.service: pin.digest for pin in exact},
        }
        whole = _with(asked, {**asked.images, **more})
        found, failed = await self._of_each(whole, name)
        if failed and (not found or not name.startswith(DIGEST)):
            _insist_on_clear(app, name, found, failed)
        return meant(app, name, found, written)

    async def _of_each(self, app: App, name: str) -> tuple[tuple[Pin, ...], dict[str, DeploybotError]]:
        """Return the images with a tag or digest, and the image repositories that could not be asked, with why."""
        groups: dict[str, dict[str, ImageOf]] = {}
        for service, one in sorted(app.images.items()):
            groups.setdefault(canonical_image(one.image), {})[service] = one
        turns = asyncio.Semaphore(_AT_ONCE)

        async def ask(ones: Mapping[str, ImageOf]) -> tuple[Pin, ...] | DeploybotError:
            try:
                async with asyncio.timeout_at(ends), turns:
                    return await self._images.named(_with(app, ones), name)
            except TimeoutError:
                return Unreachable("the registry", f"no answer within {WITHIN:.0f} s")
            except DeploybotError as problem:
                return problem

        ends = asyncio.get_running_loop().time() + WITHIN
        answers = zip(groups, await asyncio.gather(*map(ask, groups.values())), strict=True)
        found: list[Pin] = []
        failed: dict[str, DeploybotError] = {}
        for image, answer in answers:
            if isinstance(answer, DeploybotError):
                failed[image] = answer
            else:
                found += answer
        return tuple(found), failed

    async def unfit(self, app: App) -> Mapping[str, Sequence[tuple[str, str]]]:
        """Return the tags that do not count for the ranges and patterns of bot.toml."""
        return await self._images.unfit(app)

    async def services(self, app: App) -> frozenset[str] | None:
        """Return the services of the servers' Compose files; None if a server does not answer, which may have more."""
        if app.repo:
            return await self._images.services(app)
        services, silent = await self._written(app)
        return None if silent else frozenset(services)

    async def origins(self, app: App, pins: Sequence[Pin]) -> Mapping[str, ImageOrigin]:
        """Return where images were built from, by digest."""
        return await self._images.origins(app, pins)

    async def _named(self, app: App) -> tuple[App, tuple[Pin, ...]]:
        """Return the app with the images to ask registries for, and those that a Compose file names by digest."""
        if not app.environment:
            raise UserError(f"{app.name} needs an environment: its servers name its images.")
        written, silent = await self._written(app)
        written = {**await self._ran(app, silent), **written}
        names = {service: name for service, name in written.items() if service not in app.images}
        exact = tuple(_pin(service, name) for service, name in names.items() if "@" in name)
        asked = {service: _of(service, *split(name)) for service, name in names.items() if "@" not in name}
        return _with(app, {**asked, **app.images}), exact

    async def _ran(self, app: App, silent: Sequence[str]) -> Mapping[str, str]:
        """Return the images of what the bot last put on servers that do not answer: their files cannot be read now."""
        if self._store is None or not silent:
            return {}
        rows = await self._store.read(lambda tables: tables.running.get(app.name, app.environment))
        pins = [pin for row in rows if row.server in silent and row.release.code is None for pin in row.release.images]
        return {pin.service: f"{pin.image}:{pin.tag}" if pin.tag else f"{pin.image}@{pin.digest}" for pin in pins}

    async def _written(self, app: App) -> tuple[Mapping[str, str], tuple[str, ...]]:
        """Return the image of each service by the Compose files of all servers that answer, and the other servers.

        One has to have usable files. A plan for one that has not says what is wrong with them: another server is not
        stopped by that.

        Raises BuiltHere, or UserError if servers name different images, or if bot.toml has one for a service that no
        server has.
        """
        environment = app.environments[app.environment]
        found = await asyncio.gather(
            *(
                of_one(server, partial(self._inspector.named_images, app, environment, server))
                for server in environment.servers
            ),
            return_exceptions=True,
        )
        answers = dict(zip(environment.servers, found, strict=True))
        problems = [one for one in found if isinstance(one, BaseException)]
        fatal = [one for one in problems if not isinstance(one, DeploybotError) or isinstance(one, BuiltHere)]
        if not fatal and len(problems) == len(found):
            fatal = sorted(problems, key=lambda one: isinstance(one, Unreachable))
        if fatal:
            raise fatal[0]
        known = {server: one for server, one in answers.items() if not isinstance(one, BaseException)}
        _insist_on_one_image(app, known)
        services = {service: name for one in known.values() for service, name in one.items()}
        if not problems and (strange := sorted(app.images.keys() - services)):
            raise UserError(
                f"bot.toml has an image for {listed(strange)}, which no Compose file of {app.name}/{environment.name} "
                "has.",
                hint=f"Its services: {', '.join(sorted(services))}. Correct apps.{app.name}.images.",
            )
        return services, tuple(server for server, one in answers.items() if isinstance(one, BaseException))


def split(name: str) -> tuple[str, str]:
    """Return the image and the tag of a name as it is written; the default is `latest`, as for Docker."""
    image, colon, tag = name.rpartition(":")
    return (image, tag) if colon and "/" not in tag else (name, "latest")


def _insist_on_clear(app: App, ref: str, found: Sequence[Pin], failed: Mapping[str, DeploybotError]) -> None:
    """Raise Unreachable if an image that could not be asked for may be the one with a tag or digest.

    If bot.toml names images that have the tag, others do not matter.
    """
    named = {canonical_image(one.image) for one in app.images.values()}
    own = [image for image in failed if image in named]
    if not own and any(canonical_image(pin.image) in named for pin in found):
        return
    image = (own or [*failed])[0]
    problem = failed[image]
    more = f" ({listed(sorted(failed))} could not be asked.)" if len(failed) > 1 else ""
    raise Unreachable(
        f"the registry of {image}",
        problem.why if isinstance(problem, Unreachable) else str(problem),
        hint=f"It may have the {what(ref)}, too.{more} If only your own images count, name them under "
        f"apps.{app.name}.images in bot.toml.",
    )


def _plain(name: str) -> tuple[str, str, str]:
    """Return the image, tag and digest of a name as it is written: `nginx` and `nginx:latest` are the same."""
    bare, _, digest = name.partition("@")
    image, tag = split(bare)
    return canonical_image(image), "" if digest else tag, digest


def _pin(service: str, name: str) -> Pin:
    """Return the image of a name with a digest, which needs no registry."""
    bare, _, digest = name.partition("@")
    image, tag = split(bare)
    return Pin(service, image, tag if bare != image else "", digest)


def _of(service: str, image: str, tag: str) -> ImageOf:
    return ImageOf.model_construct(service=service, image=image, tag=tag)


def _with(app: App, images: Mapping[str, ImageOf]) -> App:
    return app.model_copy(update={"images": dict(images)})


def _insist_on_one_image(app: App, written: Mapping[str, Mapping[str, str]]) -> None:
    """Raise UserError if the servers of an environment name different images for a service: a release has one."""
    services: Iterable[str] = {service for one in written.values() for service in one}
    for service in sorted(services):
        names = {server: one[service] for server, one in written.items() if service in one}
        if service not in app.images and len({*map(_plain, names.values())}) > 1:
            each = ", ".join(f"{server} {name}" for server, name in names.items())
            raise UserError(
                f"The Compose files of {app.name}/{app.environment} name different images for {service}: {each}.",
                hint=f"Name one in bot.toml as apps.{app.name}.images.{service}, or use an environment for each.",
            )
