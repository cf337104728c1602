"""A wish to stop a deployment, and waiting that ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


class CancellationWatch:
    """A wish to stop a deployment: set once, with the error that every waiting step then raises."""

    def __init__(self) -> None:
        """Nobody wishes anything yet."""
        self._event = asyncio.Event()
        self.why: Exception | None = None

    def set(self, why: Exception) -> None:
        """Wish it; the first reason stays."""
        if self.why is None:
            self.why = why
            self._event.set()

    async def wait(self) -> None:
        """Return once somebody wishes it."""
        await self._event.wait()

    async def pass_on(self, inner: CancellationWatch) -> None:
        """Let a wish to stop the whole reach the steps that run side by side."""
        await self.wait()
        if self.why is not None:
            inner.set(self.why)

    async def pause(self, seconds: float) -> None:
        """Wait before the next try, unless somebody wishes it."""
        await asyncio.gather(asyncio.wait_for(self.wait(), timeout=seconds), return_exceptions=True)

    async def outrun(self, work: Coroutine[object, object, object], *, within: float | None = None) -> bool:
        """Whether some work ends before somebody wishes to stop, and within so many seconds; else it is cancelled.

        What it raises is raised.
        """
        return bool(await self._race(work, within))

    async def before(self, work: Coroutine[object, object, T]) -> T | None:
        """What some work gives, or None where somebody wishes to stop before its end: then it is cancelled."""
        given = await self._race(work, None)
        return given[0] if given else None

    async def _race(self, work: Coroutine[object, object, T], within: float | None) -> list[T]:
        """The one thing that some work gives in time, or nothing."""
        task, wish = asyncio.ensure_future(work), asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait({task, wish}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            return [task.result()] if task.done() else []
        finally:
            task.cancel()
            wish.cancel()
            await asyncio.gather(task, wish, return_exceptions=True)
