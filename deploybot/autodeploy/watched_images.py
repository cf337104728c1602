"""Ask registries for the images that each environment of an app follows; environments that follow the same ask once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from deploybot.domain import Pin
from deploybot.errors import DeploybotError
from deploybot.ports import Images
from deploybot.settings import App

Answer = tuple[tuple[Pin, ...], DeploybotError | None]
"""What tags mean now; or no pins, and why."""
NO_ANSWER: Answer = ((), None)


async def watched_images(images: Images | None, app: App, environments: Iterable[str]) -> dict[str, Answer]:
    """Return what the tags of an app mean now in some environments, by their names. All are asked at once.

    A registry that fails or is slow affects no environment that does not need it. `images` is None where no registry
    can be asked.
    """
    there = {name: app.at(name) for name in environments}
    distinct: list[App] = []
    for one in there.values():
        if not any(_same(one, other) for other in distinct):
            distinct.append(one)
    if images is None:
        return {}
    answers = await asyncio.gather(*(_ask(images, one) for one in distinct))
    return {
        name: next(answer for other, answer in zip(distinct, answers, strict=True) if _same(one, other))
        for name, one in there.items()
    }


def _same(one: App, other: App) -> bool:
    """Return whether two environments follow the same. Without a repository, each has Compose files of its own."""
    return one.images == other.images and (bool(one.repo) or one.environment == other.environment)


async def _ask(images: Images, app: App) -> Answer:
    try:
        return await images.pins(app), None
    except DeploybotError as problem:
        return (), problem
