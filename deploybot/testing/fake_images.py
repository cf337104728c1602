"""Registries in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deploybot.domain import ImageOrigin, Pin
from deploybot.domain.image_tags import TagPattern, TagRule, ignored
from deploybot.errors import NoImage, Unreachable
from deploybot.settings import App


class FakeImages:
    """`ports.Images` for repositories with tags set by a test: `known["acme/shop"]["1.4.2"] = "sha256:…"`.

    Set `down` to a reason to make every registry unreachable. `built_from` has the origins of images by digest.
    """

    def __init__(self, **known: dict[str, str]) -> None:
        """Take digests by repository and tag."""
        self.known = dict(known)
        self.down = ""
        self.built_from: dict[str, ImageOrigin] = {}

    async def pins(self, app: App) -> tuple[Pin, ...]:
        """Return what each service's tag or range means now. Raises NoImage if no tag matches."""
        return tuple(self._pin(service, of.image, of.tag) for service, of in sorted(app.images.items()))

    async def services(self, app: App) -> frozenset[str] | None:
        """Return the services with images."""
        return frozenset(app.images)

    async def named(self, app: App, name: str) -> tuple[Pin, ...]:
        """Return the images that have this tag or digest."""
        found = []
        for service, of in sorted(app.images.items()):
            tags = self._tags(of.image)
            if name in tags:
                found.append(Pin(service, of.image, name, tags[name]))
            elif name in tags.values():
                found.append(Pin(service, of.image, self._own_tag(of.image, of.tag, name), name))
        return tuple(found)

    async def origins(self, app: App, pins: Sequence[Pin]) -> Mapping[str, ImageOrigin]:
        """Return those of `built_from`."""
        del app
        if self.down:
            raise Unreachable("the registry", self.down)
        return {pin.digest: self.built_from.get(pin.digest, ImageOrigin()) for pin in pins}

    async def unfit(self, app: App) -> Mapping[str, Sequence[tuple[str, str]]]:
        """Return the tags that do not count, and why."""
        rules = ((service, of, TagRule.of(of.tag)) for service, of in sorted(app.images.items()))
        return {service: ignored(rule, self._tags(of.image)) for service, of, rule in rules if rule}

    def _pin(self, service: str, image: str, wanted: str | TagPattern) -> Pin:
        tags, rule = self._tags(image), TagRule.of(wanted)
        tag = rule.newest(tags) if rule else str(wanted)
        if tag not in tags:
            raise NoImage(f"{image} has no tag `{wanted}`.")
        return Pin(service, image, tag, tags[tag])

    def _own_tag(self, image: str, wanted: str | TagPattern, digest: str) -> str:
        """Return the tag of a service if it means a digest now."""
        try:
            own = self._pin("", image, wanted)
        except NoImage:
            return ""
        return own.tag if own.digest == digest else ""

    def _tags(self, image: str) -> dict[str, str]:
        if self.down:
            raise Unreachable("the registry", self.down)
        return self.known.get(image, {})
