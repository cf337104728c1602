"""Whether many deliveries come just now: a sender waits ten seconds for its answer, what is made of it can wait."""

from __future__ import annotations

import asyncio

from deploybot.memory_tuning import collect_as_usual, collect_rarely

_MANY = 25
_WITHIN = 0.05
_LASTS = 0.1
_AT_MOST = 1.0


class BurstDetector:
    """More than 25 deliveries in 50 ms are a rush; it is over when 100 ms went by without one."""

    def __init__(self) -> None:
        self._since = 0.0
        self._count = 0
        self._until = 0.0
        self._calm = asyncio.Event()
        self._calm.set()

    def came(self) -> None:
        """One came."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - self._since > _WITHIN:
            self._since, self._count = now, 0
        self._count += 1
        if self._count > _MANY:
            self._until = now + _LASTS
            if self._calm.is_set():
                self._calm.clear()
                collect_rarely()
                loop.call_at(self._until, self._look)

    async def over(self) -> None:
        """Return when there is none, and after a second in any case: nothing waits for ever."""
        if self._calm.is_set():
            return
        try:
            async with asyncio.timeout(_AT_MOST):
                await self._calm.wait()
        except TimeoutError:
            return

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < self._until:
            loop.call_at(self._until, self._look)
        else:
            self._calm.set()
            collect_as_usual()
