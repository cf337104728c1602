"""Registries of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from deploybot.domain import Pin
from deploybot.settings import App


class Images(Protocol):
    """The images of apps, as their registries have them now. Raises Unreachable, or UserError with what to do."""

    async def pins(self, app: App) -> tuple[Pin, ...]:
        """The newest image of each service that bot.toml gives one for, by its tag or range; sorted by service."""

    async def unfit(self, app: App) -> Mapping[str, Sequence[tuple[str, str]]]:
        """For each service with a range or a pattern: the tags that look like releases and do not count, and why."""

    async def named(self, app: App, name: str) -> tuple[Pin, ...]:
        """The images that have a tag, or a digest (`sha256:…`), of each service whose repository has it; else none."""
