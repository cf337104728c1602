"""Detect bursts of deliveries, so that their processing can wait: a sender waits ten seconds for its answer."""

from __future__ import annotations

import asyncio

from deploybot.memory_tuning import collect_as_usual, collect_rarely

_MANY = 25
_WITHIN = 0.05
_LASTS = 0.1
_AT_MOST = 1.0


class BurstDetector:
    """Detects bursts: more than 25 deliveries within 50 ms. A burst is over after 100 ms without one."""

    def __init__(self) -> None:
        self._since = 0.0
        self._count = 0
        self._until = 0.0
        self._calm = asyncio.Event()
        self._calm.set()

    def came(self) -> None:
        """Count a delivery."""
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
        """Return once there is no burst, and after one second in any case, so that nothing waits forever."""
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
