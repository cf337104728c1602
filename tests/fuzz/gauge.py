"""What the bot's process takes while it is lied to: the most memory, and how long its loop stands still."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_TICK = 0.005
MIB = 1 << 20


def most_memory() -> int:
    """The most memory since it was forgotten, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def forget_most() -> None:
    """Let the most memory be what there is now."""
    Path("/proc/self/clear_refs").write_text("5")


class LagGauge:
    """`worst` is the longest time in seconds for which the loop came to nothing.

    Where this process had no processor, as on a machine that others use, only the time in which it worked counts.
    """

    def __init__(self) -> None:
        """Nothing was measured yet."""
        self.worst = 0.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Measure while the block runs."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        while True:
            wall, work = time.perf_counter(), time.process_time()
            await asyncio.sleep(_TICK)
            lag = min(time.perf_counter() - wall - _TICK, time.process_time() - work)
            self.worst = max(self.worst, lag)
