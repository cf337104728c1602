"""A cancellation signal for a deployment, and waiting that ends with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


class CancellationWatch:
    """A cancellation of a deployment: set once, with the error that every waiting step then raises."""

    def __init__(self) -> None:
        """Start without a cancellation."""
        self._event = asyncio.Event()
        self.why: Exception | None = None

    def set(self, why: Exception) -> None:
        """Cancel with a reason; the first reason stays."""
        if self.why is None:
            self.why = why
            self._event.set()

    async def wait(self) -> None:
        """Return once it is cancelled."""
        await self._event.wait()

    async def pass_on(self, inner: CancellationWatch) -> None:
        """Pass the cancellation of the whole on to the steps that run side by side."""
        await self.wait()
        if self.why is not None:
            inner.set(self.why)

    async def pause(self, seconds: float) -> None:
        """Wait `seconds` before the next try; a cancellation ends the wait early."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.wait()

    async def outrun(self, work: Coroutine[object, object, object], *, within: float | None = None) -> bool:
        """Return whether some work ends before a cancellation and within `within` seconds; otherwise cancel the work.

        Errors of the work are raised.
        """
        return bool(await self._race(work, within))

    async def before(self, work: Coroutine[object, object, T]) -> T | None:
        """Return the result of some work; on a cancellation, cancel the work and return None."""
        given = await self._race(work, None)
        return given[0] if given else None

    async def result_of(self, work: Coroutine[object, object, T]) -> T:
        """Return the result of some work; on a cancellation, cancel the work and raise the reason."""
        given = await self._race(work, None)
        if given:
            return given[0]
        assert self.why is not None  # noqa: S101  only a cancellation comes before a result
        raise self.why

    async def _race(self, work: Coroutine[object, object, T], within: float | None) -> list[T]:
        """Return the result of some work as the only item of a list, or an empty list if it did not end in time."""
        task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait({task, stopped}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            return [task.result()] if task.done() else []
        finally:
            task.cancel()
            stopped.cancel()
            await asyncio.gather(task, stopped, return_exceptions=True)
