"""Image registries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from deploybot.domain import ImageOrigin, Pin
from deploybot.settings import App


class Images(Protocol):
    """The images of apps, as their registries have them now. Raises Unreachable, or UserError with the fix."""

    async def pins(self, app: App) -> tuple[Pin, ...]:
        """Return the newest image, by its tag or range, of each service with one in bot.toml; sorted by service."""

    async def services(self, app: App) -> frozenset[str] | None:
        """Return the services that have images; None if a server that may have more does not answer."""

    async def unfit(self, app: App) -> Mapping[str, Sequence[tuple[str, str]]]:
        """Return the tags that look like releases but do not count, and why, by service with a range or pattern."""

    async def origins(self, app: App, pins: Sequence[Pin]) -> Mapping[str, ImageOrigin]:
        """Return the commit and repository that images were built from, by digest, as far as their labels say."""

    async def named(self, app: App, name: str) -> tuple[Pin, ...]:
        """Return the images with a tag or a digest (`sha256:…`), for each service whose repository has it.

        A pin by a digest has a tag only if the service's own tag means it now. Without a repository, only services
        that it is meant for count. Raises UserError if that is unclear.
        """
