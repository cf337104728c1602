"""Ask registries for the images that each environment of an app follows; environments that follow the same ask once."""

from __future__ import annotations

from collections.abc import Mapping

from deploybot.domain import Pin
from deploybot.errors import DeploybotError
from deploybot.ports import Images
from deploybot.settings import App, ImageOf

_Answer = tuple[tuple[Pin, ...], DeploybotError | None]


class WatchedImages:
    """The images of one check of an app. A registry that fails does not affect environments that do not need it."""

    def __init__(self, images: Images | None) -> None:
        """Take what asks registries; None where none can be asked."""
        self._images = images
        self._answers: list[tuple[Mapping[str, ImageOf], _Answer]] = []

    async def pins(self, app: App) -> _Answer:
        """Return what the tags of an app mean now, as it is in an environment; or none, and why.

        A check of one environment sees the same as that of another one with the same images.
        """
        known = next((answer for images, answer in self._answers if images == app.images), None)
        if known is None:
            known = await self._ask(app)
            self._answers.append((app.images, known))
        return known

    async def _ask(self, app: App) -> _Answer:
        if self._images is None:
            return (), None
        try:
            return await self._images.pins(app), None
        except DeploybotError as problem:
            return (), problem
