"""Who may work on the Engine: many histories at a time, or one act that all of them feel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class EngineTurns:
    """A lock that many share or one has alone; who waits to be alone goes first. `epoch` counts those turns."""

    def __init__(self) -> None:
        """Begin with nobody at work."""
        self._condition = asyncio.Condition()
        self._sharing = 0
        self._waiting = 0
        self._alone = False
        self.epoch = 0

    @asynccontextmanager
    async def turn(self, *, alone: bool) -> AsyncIterator[None]:
        """Have a turn, alone or together with others."""
        await (self._enter_alone() if alone else self._enter_shared())
        try:
            yield
        finally:
            async with self._condition:
                self._sharing -= not alone
                self._alone = self._alone and not alone
                self.epoch += alone
                self._condition.notify_all()

    async def _enter_shared(self) -> None:
        async with self._condition:
            await self._condition.wait_for(lambda: not self._alone and not self._waiting)
            self._sharing += 1

    async def _enter_alone(self) -> None:
        async with self._condition:
            self._waiting += 1
            try:
                await self._condition.wait_for(lambda: not self._alone and not self._sharing)
                self._alone = True
            finally:
                self._waiting -= 1
